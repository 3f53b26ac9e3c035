"""The operations of the tools: each parses its arguments, which are named as in the Platform's
bodies, and calls one operation. Unknown arguments are ignored, except in deletions."""

from collections.abc import Mapping
from typing import Any

from app.api.dialect import adding, deleting
from app.api.dialect.fields import asked, change, wrong
from app.api.http.streaming import found
from app.api.memory.routes import memory
from app.api.platform import requests
from app.memory.filtered import FilteredGetAllRequest
from app.memory.requests import DeleteRequest, GetRequest, UpdateRequest
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS

Arguments = Mapping[str, Any]
Answer = dict[str, Any]

PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000


def add(principal: Principal, given: Arguments) -> Answer:
    if not given.keys() & {"text", "messages"}:
        raise wrong("text", "give text or messages")
    said = {"messages": given["text"], **given} if "text" in given else given
    sent = adding.add_request(said, {key: given[key] for key in SCOPE_KEYS if key in given})
    added = memory().add(principal, sent)
    return {
        "message": adding.message(added, sent, memory().extracts),
        "results": added.stored,
    }


def search(principal: Principal, given: Arguments) -> Answer:
    parts = [*found(memory().found(principal, requests.search(given)))]
    _, beside = parts[-1]
    return {"results": [_brief(one) for part, _ in parts for one in part], **beside}


def list_page(principal: Principal, given: Arguments) -> Answer:
    page = _number(given, "page", 1, requests.MAX_PAGE)
    size = _number(given, "page_size", PAGE_SIZE, MAX_PAGE_SIZE)
    sent = asked(FilteredGetAllRequest, {**requests.place(given), "limit": size})
    pages = [*memory().listing(principal, sent, page - 1)]
    results = [_brief(one) for part in pages for one in part.memories]
    return {"count": pages[0].total, "page": page, "page_size": size, "results": results}


def get(principal: Principal, given: Arguments) -> Answer:
    return _brief(memory().get(principal, asked(GetRequest, _one(given))))


def update(principal: Principal, given: Arguments) -> Answer:
    sent = asked(UpdateRequest, change(given.get("memory_id"), given, text="data"))
    return _brief(memory().update(principal, sent))


def delete(principal: Principal, given: Arguments) -> Answer:
    memory().delete(principal, asked(DeleteRequest, _one(given)))
    return {"message": "Memory deleted."}


def delete_all(principal: Principal, given: Arguments) -> Answer:
    for name in given:
        if name not in SCOPE_KEYS:
            raise wrong(name, "is not understood, so nothing was deleted")
    deleted = memory().delete_all(principal, deleting.of(given))
    return {"message": "Memories deleted.", "deleted": deleted.memories}


def entities(principal: Principal, given: Arguments) -> Answer:
    found = memory().entities(principal)
    return {
        "results": [
            {"type": one.kind.removesuffix("_id"), "id": one.id, "total_memories": one.memories}
            for one in found
        ]
    }


def _brief(memory: Answer) -> Answer:
    """`memory` without its hash and empty fields: they only cost the model tokens."""
    return {
        key: value for key, value in memory.items() if key != "hash" and value not in (None, {})
    }


def _number(given: Arguments, name: str, default: int, most: int) -> int:
    number = given.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= most:
        raise wrong(name, f"must be a whole number, 1 to {most}")
    return number


def _one(given: Arguments) -> Answer:
    return {"memory_id": given["memory_id"]} if "memory_id" in given else {}
