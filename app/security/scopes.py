"""Whose memories: the ids of a scope, and what may be one."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

Scope = dict[str, str]
"""Any of SCOPE_KEYS."""

SCOPE_KEYS = ("user_id", "agent_id", "app_id", "run_id")
MAX_ID = 256

# White space, controls and what shows nothing. Spelt out, because "\s" means other characters
# in Python than in JSON Schema, and openapi.yaml gives callers this very class.
UNSEEN = (
    "\\u0000-\\u0020\\u007f-\\u00a0\\u00ad\\u1680\\u180e\\u2000-\\u200f\\u2028-\\u202f"
    "\\u205f-\\u206f\\u3000\\ufeff"
)
_ID = re.compile(f"[^{UNSEEN}\\ud800-\\udfff]+")


def scope_id(value: str) -> str:
    """`value` as it is compared and stored (NFC). Raises ValueError for what may not be an id."""
    if len(value) > MAX_ID:
        raise ValueError(f"must not have more than {MAX_ID} characters")
    if not _ID.fullmatch(value):
        raise ValueError("must be a text without white space or control characters")
    if value == "*":
        raise ValueError("must name one; leave it out to mean all")
    return unicodedata.normalize("NFC", value)


def is_within(memory: Mapping[str, Any], scope: Scope) -> bool:
    """Whether what has these ids is of `scope`; of the empty one everything is."""
    return all(memory.get(key) == value for key, value in scope.items())


def overlap(one: Scope, other: Scope) -> bool:
    """Whether a memory may be of both."""
    return all(other.get(key, value) == value for key, value in one.items())
