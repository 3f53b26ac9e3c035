"""Scopes: the ids that say whose memories are meant, and which texts may be such ids."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

Scope = dict[str, str]
"""Ids by their keys, which are some of SCOPE_KEYS. A memory is in a scope that is equal in each."""

SCOPE_KEYS = ("user_id", "agent_id", "app_id", "run_id")
MAX_ID = 256

# White space, control characters and invisible ones. They are spelt out because "\s" means other
# characters in Python than in JSON Schema, and openapi.yaml publishes this very class.
UNSEEN = (
    "\\u0000-\\u0020\\u007f-\\u00a0\\u00ad\\u1680\\u180e\\u2000-\\u200f\\u2028-\\u202f"
    "\\u205f-\\u206f\\u3000\\ufeff"
)
_ID = re.compile(f"[^{UNSEEN}\\ud800-\\udfff]+")


def scope_id(value: str) -> str:
    """`value` in NFC, as ids are compared and stored. Raises ValueError where it may be no id."""
    if len(value) > MAX_ID:
        raise ValueError(f"must not have more than {MAX_ID} characters")
    if not _ID.fullmatch(value):
        raise ValueError("must be a text without white space or control characters")
    if value == "*":
        raise ValueError("must name one; leave it out to mean all")
    return unicodedata.normalize("NFC", value)


def is_within(memory: Mapping[str, Any], scope: Scope) -> bool:
    """Whether `memory`, or another mapping with the ids of one, is in `scope`. Everything is in
    the empty scope."""
    return all(memory.get(key) == value for key, value in scope.items())


def overlap(one: Scope, other: Scope) -> bool:
    """Whether a memory could be in both scopes."""
    return all(other.get(key, value) == value for key, value in one.items())
