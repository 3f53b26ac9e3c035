"""The last step of every reader: adds a default scope, and turns the source's id into a UUID.

An id that is no UUID becomes one that is made from it, the format and the scope. So it is the same
in each import, and differs between users.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace

from app.memory.transfer.records import (
    ImportedConversation,
    ImportedMemory,
    Item,
    Record,
    Refused,
)
from app.security.scopes import Scope

_IMPORTED = uuid.UUID("6d0d8b0e-6f0c-5c1e-9a53-2f6a8f1b7c44")


def finished(format_name: str, items: Iterable[Item], default: Scope) -> Iterator[Item]:
    """`items`, with the ids of `default` that they lack. A memory without any id of a scope is
    refused, as is a conversation without a user, agent or app."""
    for item in items:
        yield item if isinstance(item, Refused) else _finished(format_name, item, default)


def _finished(format_name: str, record: Record, default: Scope) -> Item:
    scope = {**default, **record.scope}
    own_run = {"run_id"} if isinstance(record, ImportedConversation) else set()
    if not scope.keys() - own_run:
        return Refused(record.line, "it does not say whose it is: give a user_id")
    if isinstance(record, ImportedMemory) and record.id is not None:
        return replace(record, scope=scope, id=_uuid(format_name, scope, record.id))
    return replace(record, scope=scope)


def _uuid(format_name: str, scope: Scope, source_id: str) -> str:
    try:
        return str(uuid.UUID(source_id))
    except ValueError:
        named = "\x1f".join((format_name, *(f"{k}={scope[k]}" for k in sorted(scope)), source_id))
        return str(uuid.uuid5(_IMPORTED, named.encode("utf-8", "replace").decode()))
