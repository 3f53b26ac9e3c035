"""The order of search results: one score from meaning, words, and what was said before and after.

For each memory that one of the two lists found:

    similarity  max(0, (cosine - zero) / (1 - zero)), zero being the cosine of unrelated texts
    keyword     coverage * bm25 / max(bm25 of this query), coverage being the share of the query's
                words that the memory has, so that one stray common word never weighs like all
    own         similarity + keyword
    neighbours  0.2 * own of the memories of the same conversation just before and just after, 0.1
                * own of those two away, as far as they were found too; 0.5 of one just before
                that is a question
    score       (own + neighbours) * 0.8 for a question, else own + neighbours

Sorted by score, and shown as at most 1. Found on half of LoCoMo (arXiv:2402.17753), checked on the
other half; benchmarks/README.md has the figures.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.security.scopes import SCOPE_KEYS
from app.storage.payloads import ASKS, PLACE, instant

CANDIDATES_PER_RESULT = 4
MIN_CANDIDATES = 80

NEXT, NEXT_BUT_ONE, ANSWER = 0.2, 0.1, 0.5
QUESTION = 0.8
SAME_CONVERSATION_S = 3600.0  # between two memories that no run_id holds together

TURN_KEYS = (*SCOPE_KEYS, "created_at", PLACE, ASKS)
"""The payload keys that `turn_of` reads."""


class Turn(NamedTuple):
    """What a memory is in its conversation."""

    conversation: tuple[Any, ...] | None = None
    """The ids of its scope; None where it has no place in an order, and so no neighbours."""
    number: int = 0
    """One more than that of the memory just before."""
    time: float | None = None
    """When, in s since 1970, where only the time tells conversations apart."""
    asks: bool = False
    """Whether it is a question."""


def turn_of(payload: Mapping[str, Any]) -> Turn:
    number, asks = payload.get(PLACE), payload.get(ASKS) is True
    if not isinstance(number, int):
        return Turn(asks=asks)
    scope = tuple(payload.get(key) for key in SCOPE_KEYS)
    time = None if payload.get("run_id") else instant(payload["created_at"]).timestamp()
    return Turn(scope, number, time, asks)


NO_TURN = Turn()


@dataclass(slots=True)
class Record:
    """A point of the store: its payload, and the score of the list it was found in."""

    id: Any
    """A UUID as text; the engine's own where the record came `ids_only`."""
    payload: dict[str, Any]
    score: float = 0.0
    tokens: Collection[int] = ()
    """The ids of the words of its text, each once, in a keyword list only; of an `ids_only`
    record, at least those that were asked for."""
    turn: Turn = NO_TURN
    """In a list of a search only."""


@dataclass(slots=True)
class Ranked:
    """A search result, and how its score came about, see above."""

    record: Record
    similarity: float = 0.0
    keyword: float = 0.0
    neighbours: float = 0.0

    @property
    def is_question(self) -> bool:
        return self.record.turn.asks

    @property
    def total(self) -> float:
        own = self.similarity + self.keyword + self.neighbours
        return own * QUESTION if self.is_question else own

    @property
    def score(self) -> float:
        """0..1."""
        return min(1.0, self.total)


def candidates(limit: int) -> int:
    """How many hits of each list to rank for `limit` results."""
    return max(CANDIDATES_PER_RESULT * limit, MIN_CANDIDATES)


def rank(
    similar: Sequence[Record],
    worded: Sequence[Record],
    query: frozenset[int] | set[int],
    limit: int | None = None,
    zero: float = 0.0,
) -> list[Ranked]:
    """The best `limit` (None: all) of both lists as one, best first.

    `similar` is scored by cosine similarity, `worded` by BM25; `query` holds the ids of the
    query's distinct words. What a list lacks counts as 0 there.
    """
    found = {record.id: Ranked(record) for record in (*worded, *similar)}
    for record in similar:
        found[record.id].similarity = _unit((record.score - zero) / (1 - zero))
    for id_, share in _shares_of_words(worded, query).items():
        found[id_].keyword = share
    _add_neighbours(found.values())
    # The id settles ties, so that the same search gives the same order twice.
    order = sorted((-one.total, id_) for id_, one in found.items())
    return [found[id_] for _, id_ in order[:limit]]


def _shares_of_words(
    worded: Sequence[Record], query: frozenset[int] | set[int]
) -> dict[Any, float]:
    """By id, 0..1: coverage * bm25 / max(bm25 of this query)."""
    best = max((record.score for record in worded), default=0.0)
    if best <= 0:
        return {}
    words = len(query)
    return {
        record.id: _unit(len(query.intersection(record.tokens)) / words * (record.score / best))
        for record in worded
    }


def _add_neighbours(found: Collection[Ranked]) -> None:
    """Hand each one's own to those of its conversation that are next to it, or next but one."""
    conversations: defaultdict[Any, dict[int, Ranked]] = defaultdict(dict)
    for one in found:
        turn = one.record.turn
        if turn.conversation is not None:
            conversations[turn.conversation][turn.number] = one
    for numbered in conversations.values():
        if len(numbered) > 1:
            for number, one in numbered.items():
                for step in (-2, -1, 1, 2):
                    neighbour = numbered.get(number + step)
                    if neighbour and _are_of_one(one.record.turn, neighbour.record.turn):
                        neighbour.neighbours += _share(one, step) * (one.similarity + one.keyword)


def _share(giver: Ranked, step: int) -> float:
    if abs(step) == 2:
        return NEXT_BUT_ONE
    return ANSWER if step == 1 and giver.is_question else NEXT


def _are_of_one(turn: Turn, other: Turn) -> bool:
    if turn.time is None or other.time is None:
        return True  # a run_id says so
    return abs(turn.time - other.time) <= SAME_CONVERSATION_S


def _unit(score: float) -> float:
    """Into 0..1: float32 cosine of equal vectors comes out as 1.0000001."""
    return score if 0.0 <= score <= 1.0 else float(score > 0)
