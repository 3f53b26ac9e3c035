"""Completes the lists of a hybrid search: each list gets the scores of hits that only another list
has."""

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
    """The list of each request, followed by the records that only another list has, with their
    scores for this request. A second call asks for those. A record without such a score stays
    missing, such as a memory without a word of the query."""
    lists = [[*found] for found in ask(requests)]
    # A list that is shorter than its limit has all hits already.
    missing = [
        _lacking(found, lists) if len(found) == request.limit else []
        for request, found in zip(requests, lists, strict=True)
    ]
    most = ids_at_once()  # an engine may know it only after its first call
    again = [(number, part) for number, ids in enumerate(missing) for part in sliced(ids, most)]
    if again:
        more = ask([_only(requests[number], part) for number, part in again])
        for (number, _), records in zip(again, more, strict=True):
            lists[number] += records
    return lists


def _only(request: Nearest, ids: Sequence[Any]) -> Nearest:
    return replace(request, limit=len(ids), where={"must": [{"has_id": ids}]})


def _lacking(records: Sequence[Record], lists: Sequence[Sequence[Record]]) -> list[Any]:
    """The ids that other lists have and `records` lacks."""
    there = {record.id for record in records}
    others = dict.fromkeys(record.id for found in lists for record in found)
    return [id_ for id_ in others if id_ not in there]
