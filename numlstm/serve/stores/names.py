"""Validation of the names of models and corpora, which clients choose and files carry.

A name has 1 to 64 letters and digits of any script, `_`, `-` and `.`. It does not begin with `.` or `-`, nor end with
`.`, so it cannot leave its folder, be hidden, or be taken for an option.
"""

from __future__ import annotations

import re
import unicodedata

from ..http.refusal import Refusal

LONGEST = 64
_NAME = re.compile(r"(?:\w(?:[\w.-]*[\w-])?)\Z")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{device}{n}" for device in ("com", "lpt") for n in range(10))}  # Windows


def is_name(name: str) -> bool:
    """Return True if `name` is valid."""
    ok = len(name) <= LONGEST and len(name.encode("utf-8", "replace")) <= 200 and _NAME.match(name) is not None
    return ok and name.partition(".")[0].lower() not in _DEVICES


def checked(name: str, what: str = "name") -> str:
    """Return a name in Unicode form NFC. Raises `Refusal`, with the request field `what`, if it is not valid."""
    name = unicodedata.normalize("NFC", name)
    if not is_name(name):
        raise Refusal(
            400,
            f"{name!r:.80} is not a valid name; expected 1 to {LONGEST} letters, digits, _, - and ., "
            "beginning with a letter, digit or _",
            "invalid_name",
            param=what,
        )
    return name
