"""Names of models, texts and jobs, as they come from clients and become names of files.

A name is one to 64 letters, digits, `_`, `-` and `.`, of any script, and neither begins with `.` or `-` nor ends with
`.`: so none leads out of a folder, hides, or is taken for an option. Knows nothing about what is named.
"""

from __future__ import annotations

import re
import unicodedata

from ..http.refusal import Refusal

LONGEST = 64
_NAME = re.compile(r"(?:\w(?:[\w.-]*[\w-])?)\Z")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{device}{n}" for device in ("com", "lpt") for n in range(10))}  # Windows


def is_name(name: str) -> bool:
    """Whether something may be called that."""
    ok = len(name) <= LONGEST and len(name.encode("utf-8", "replace")) <= 200 and _NAME.match(name) is not None
    return ok and name.partition(".")[0].lower() not in _DEVICES


def checked(name: str, what: str = "name") -> str:
    """Return a name in the form that files have; raises `Refusal` if it is none. `what` is the field it comes from."""
    name = unicodedata.normalize("NFC", name)
    if not is_name(name):
        raise Refusal(
            400,
            f"{name!r:.80} is no name; expected 1 to {LONGEST} letters, digits, _, - and ., "
            "beginning with a letter, digit or _",
            "invalid_name",
            param=what,
        )
    return name
