"""What a server may do, and how much of everything it allows. Knows nothing about HTTP."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from pathlib import Path

from ..errors import ConfigError

MB = 2**20


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a server: sizes in bytes, times in seconds, lengths in tokens.

    `models` is the folder of models, jobs and texts; `memory` what loaded models may take; `max_texts` how many texts
    are written at once, `max_jobs` how many jobs may wait, run or rest. Without `train` nothing in the folder changes.
    Raises `ConfigError` for what is out of range, and for a host beyond this machine without a key.
    """

    models: Path = Path("models")
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str = ""
    train: bool = True
    device: str = "auto"
    threads: int | None = None
    memory: int = 2048 * MB
    max_body: int = 4 * MB
    max_upload: int = 512 * MB
    max_prompt: int = 32_768
    max_tokens: int = 4096
    max_texts: int = 256
    max_seconds: float = 300.0
    max_jobs: int = 100
    allow_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if os.path.exists(self.models) and not os.path.isdir(self.models):
            raise ConfigError(f"--models {self.models} is no folder; expected one, or a name that is free")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port is {self.port}; expected 0 to 65535")
        for name in ("memory", "max_body", "max_upload", "max_prompt", "max_tokens", "max_texts", "max_jobs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected at least 1")
        if not self.max_seconds > 0:
            raise ConfigError(f"--max-seconds is {self.max_seconds}; expected more than 0")
        if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable() and " " not in self.api_key):
            raise ConfigError("the key for --api-key has characters that a header cannot hold; expected plain ASCII")
        if not is_loopback(self.host) and not self.api_key:
            raise ConfigError(
                f"--host {self.host} lets other machines in; expected a key that they must know: give --api-key, or "
                "set NUMLSTM_API_KEY"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens at `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
