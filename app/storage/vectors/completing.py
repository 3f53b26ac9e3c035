"""Lists of a hybrid search, each with the scores of what only the others have."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from app.storage.vectors.paging import sliced
from app.storage.vectors.points import Nearest
from app.storage.vectors.ranking import Record

Ask = Callable[[Sequence[Nearest]], Sequence[Sequence[Record]]]


def completed(
    requests: Sequence[Nearest], ask: Ask, ids_at_once: Callable[[], int]
) -> list[list[Record]]:
    """What `ask` gives for each of `requests`, and behind it the records that only another list
    has, by its own score. A second call asks for those; what has no such score stays missing, as
    a memory without a word of the query does."""
    lists = [[*found] for found in ask(requests)]
    # A list that is shorter than was asked for has all that there are.
    missing = [
        _lacking(found, lists) if len(found) == request.limit else []
        for request, found in zip(requests, lists, strict=True)
    ]
    most = ids_at_once()  # which may be known only now, when the engine was asked
    again = [(number, part) for number, ids in enumerate(missing) for part in sliced(ids, most)]
    if again:
        more = ask([_only(requests[number], part) for number, part in again])
        for (number, _), records in zip(again, more, strict=True):
            lists[number] += records
    return lists


def _only(request: Nearest, ids: Sequence[Any]) -> Nearest:
    return replace(request, limit=len(ids), where={"must": [{"has_id": ids}]})


def _lacking(records: Sequence[Record], lists: Sequence[Sequence[Record]]) -> list[Any]:
    """The ids of what others of `lists` have."""
    there = {record.id for record in records}
    others = dict.fromkeys(record.id for found in lists for record in found)
    return [id_ for id_ in others if id_ not in there]
