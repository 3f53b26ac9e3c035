"""mem0's lists of memories, and the exports of its Platform.

Lists are the answers of `GET /v1/memories/`, `POST /v2/memories/` and `POST /v3/memories/` of the
Platform, of `GET /memories` of mem0's open-source server, and of `get_all()` of each client. They
are a bare list, or `{"count", "next", "previous", "results": [...]}`, or `{"results": [...]}` in
older versions. A single memory is read, too. Several pages may be in one list, or one after
another. Sources: mem0ai/mem0, docs/openapi.json;
docs.mem0.ai/api-reference/memory/v1-get-memories; the published client mem0ai 2.2.1,
mem0/client/main.py and mem0/memory/main.py.

An export (`/v1/exports/`) has the form that its creator chose by a JSON Schema, alone or under
`data` (mem0ai/mem0, docs/platform/features/memory-export.mdx and
docs/cookbooks/essentials/exporting-memories.mdx). Lists of objects with a text are read as
memories; each other field becomes a memory `field: value`.

Fields that the Platform derives from a memory are left out (DERIVED). Unknown fields become
metadata.
"""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from app.memory.transfer.formats import archive, json_items
from app.memory.transfer.formats.mem0_export import fields_as_memories
from app.memory.transfer.formats.reading import each
from app.memory.transfer.formats.values import (
    Unreadable,
    date_of,
    id_of,
    metadata_of,
    scope_in,
    text_of,
    time_of,
)
from app.memory.transfer.records import ImportedMemory, Item, NotThisFormat, Refused
from app.security.scopes import SCOPE_KEYS

LISTS = ("results", "memories")
TEXTS = ("memory", "text", "content")

DERIVED = frozenset(
    (
        *("hash", "score", "score_details", "owner", "organization", "project", "input"),
        *("structured_attributes", "embedding", "vector", "text_lemmatized", "total_memories"),
        *("org_id", "project_id"),
    )
)
_OWN = frozenset(
    (
        *(*TEXTS, "id", "metadata", "categories", "immutable", "expiration_date", "timestamp"),
        *("created_at", "updated_at", "role", "actor_id", "attributed_to", *SCOPE_KEYS),
    )
)
_OF_PAGES = frozenset(("count", "next", "previous", "relations", "total", "next_cursor"))


def read(stream: BinaryIO) -> Iterator[Item]:
    if archive.is_zip(stream):
        raise NotThisFormat("It is a zip: mem0's lists and exports are JSON.")
    pages = _Pages()
    line = 0
    for item in each(json_items.items(stream, LISTS), pages.read):
        line = item.line
        yield item
    if pages.go_on:
        yield Refused(
            line + 1,
            "it is one page of a list, and the next one does not follow: save every page, or all "
            "with one large page_size",
        )


class _Pages:
    """Reads the lists in a file, and knows whether the last one has further pages (`go_on`)."""

    def __init__(self) -> None:
        self.go_on = False

    def read(self, line: int, found: json_items.Found) -> Iterator[Item]:
        value = found.value
        if not isinstance(value, Mapping):
            raise Unreadable("it is no object")
        if found.key == json_items.REST:
            yield from self._rest(line, value)
        elif isinstance(value.get("results"), list):  # a page in a list of pages
            for one in value["results"]:
                yield from _listed(line, one)
            self.go_on = bool(value.get("next") or value.get("next_cursor"))
        else:
            yield memory_of(line, value)

    def _rest(self, line: int, rest: Mapping[str, Any]) -> Iterator[Item]:
        if rest.keys() <= _OF_PAGES:
            self.go_on = bool(rest.get("next") or rest.get("next_cursor"))
        elif _text_in(rest) is not None:
            yield memory_of(line, rest)
        else:
            exported = rest.get("data") if isinstance(rest.get("data"), Mapping | list) else rest
            yield from _exported(line, exported)


def _listed(line: int, one: Any) -> Iterator[Item]:
    if isinstance(one, Mapping):
        yield memory_of(line, one)
    else:
        yield Refused(line, "it is no object")


def _exported(line: int, value: Any) -> Iterator[Item]:
    """The memories in an export, whatever its form is."""
    if isinstance(value, list):
        for one in value:
            yield from _exported(line, one)
    elif isinstance(value, Mapping) and _text_in(value) is not None:
        yield memory_of(line, value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, list) and any(isinstance(one, Mapping) for one in inner):
                yield from _exported(line, inner)
            else:
                yield from fields_as_memories(line, key, inner)
    else:
        yield Refused(line, "it is neither an object nor a list of objects")


def _text_in(given: Mapping[str, Any]) -> str | None:
    texts = (given[key] for key in TEXTS if given.get(key) is not None)
    return text_of(next(texts, None), "memory")


def memory_of(line: int, given: Mapping[str, Any]) -> ImportedMemory:
    """One memory of a list. Raises Unreadable."""
    text = _text_in(given)
    if text is None:
        raise Unreadable("it has no text under memory")
    return ImportedMemory(
        line=line,
        id=id_of(given.get("id")),
        memory=text,
        scope=scope_in(given),
        metadata=_metadata(given),
        created_at=time_of(given.get("created_at", given.get("timestamp")), "created_at"),
        updated_at=time_of(given.get("updated_at"), "updated_at"),
        expiration_date=date_of(given.get("expiration_date"), "expiration_date"),
        role=text_of(given.get("role"), "role"),
        actor_id=text_of(given.get("actor_id"), "actor_id"),
        attributed_to=text_of(given.get("attributed_to"), "attributed_to"),
    )


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a memory, with its categories, `immutable` and unknown fields added."""
    more = {
        key: value
        for key, value in given.items()
        if key not in _OWN and key not in DERIVED and value is not None
    }
    for key in ("categories", "immutable"):
        if given.get(key):
            more[key] = given[key]
    own = given.get("metadata")
    if own is not None and not isinstance(own, Mapping):
        raise Unreadable("metadata is not an object")
    return metadata_of({**more, **(own or {})})
