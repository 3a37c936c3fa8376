"""The server's settings: its folder, its limits, and who may use it."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from pathlib import Path

from ..errors import ConfigError
from ..settings.precision import rounding_of

MB = 2**20


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a server: sizes in bytes, times in seconds, lengths in tokens; `precision` is the weights'.

    `models` is the folder of models, jobs and corpora, and is read-only if `train` is false. `memory` limits the loaded
    models, `max_texts` the texts written at once, and `max_jobs` the jobs in the list, finished ones included. Raises
    `ConfigError` if a setting is out of range, or if other machines can reach `host` and there is no key.
    """

    models: Path = Path("models")
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str = ""
    train: bool = True
    precision: str = "float32"
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
            raise ConfigError(f"--models {self.models} is not a folder; expected a folder or an unused name")
        rounding_of(self.precision)
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port is {self.port}; expected 0 to 65535")
        for name in ("memory", "max_body", "max_upload", "max_prompt", "max_tokens", "max_texts", "max_jobs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected at least 1")
        if not self.max_seconds > 0:
            raise ConfigError(f"--max-seconds is {self.max_seconds}; expected more than 0")
        if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable() and " " not in self.api_key):
            raise ConfigError(
                "the key for --api-key has characters that an HTTP header cannot hold; "
                "expected printable ASCII without spaces"
            )
        if not is_loopback(self.host) and not self.api_key:
            raise ConfigError(
                f"--host {self.host} accepts connections from other machines, which requires a key; give --api-key, or "
                "set NUMLSTM_API_KEY"
            )


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a server that listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
