"""Memories, pages and events in the Platform's words."""

from typing import Any
from urllib.parse import urlencode

from flask import request

from app.security.scopes import SCOPE_KEYS

Answer = dict[str, Any]

_NULLS: Answer = dict.fromkeys(
    (
        *("id", "memory", *SCOPE_KEYS, "metadata", "categories"),
        *("created_at", "updated_at", "expiration_date"),
    )
)


def memory(found: Answer) -> Answer:
    """With every key that clients look for, null where there is nothing."""
    return {**_NULLS, **found, "categories": _categories(found["metadata"])}


def _categories(metadata: Answer) -> list[str] | None:
    """A list of texts under that key: clients join them."""
    given = metadata.get("categories")
    of_texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
    return given if of_texts else None


def results(stored: list[dict[str, str]]) -> list[Answer]:
    """What an add stored: some clients look for the text in `data`."""
    return [{**one, "data": {"memory": one["memory"]}} for one in stored]


def queued(event_id: str) -> Answer:
    """Of an add that is done later. Without `results`, of which clients would take one that is
    empty for the end."""
    message = "Memory processing has been queued for background execution"
    return {"message": message, "status": "PENDING", "event_id": event_id}


def ends_of_page(number: int, size: int, total: int) -> Answer:
    """What stands beside the results of a page."""
    last = number * size >= total
    return {
        "count": total,
        "next": None if last else _page(number + 1),
        "previous": _page(number - 1) if number > 1 else None,
    }


def _page(number: int) -> str:
    query = {**request.args, "page": str(number)}
    return f"{request.base_url}?{urlencode(query)}"


def one_page(results: list[Answer]) -> Answer:
    """All there is."""
    return {"count": len(results), "next": None, "previous": None, "results": results}
