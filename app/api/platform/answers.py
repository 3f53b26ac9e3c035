"""Memories, pages and events in the Platform's form."""

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
    """`found` with every key that clients read; null where there is no value."""
    return {**_NULLS, **found, "categories": _categories(found["metadata"])}


def _categories(metadata: Answer) -> list[str] | None:
    """The metadata's `categories` where it is a list of texts, because clients join it."""
    given = metadata.get("categories")
    of_texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
    return given if of_texts else None


def results(stored: list[dict[str, str]]) -> list[Answer]:
    """The results of an add; some clients read the text from `data`."""
    return [{**one, "data": {"memory": one["memory"]}} for one in stored]


def queued(event_id: str) -> Answer:
    """The answer of an add that was accepted as a job. It has no `results`: clients would take an
    empty list for an add that has ended."""
    message = "Memory processing has been queued for background execution"
    return {"message": message, "status": "PENDING", "event_id": event_id}


def ends_of_page(number: int, size: int, total: int) -> Answer:
    """The fields beside the results of a page."""
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
    """An answer with all results on one page."""
    return {"count": len(results), "next": None, "previous": None, "results": results}
