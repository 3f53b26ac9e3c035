"""Ranks search results by one score from meaning, words, and neighbours in the conversation.

For each memory in one of the two lists:

    similarity  max(0, (cosine - zero) / (1 - zero)), zero being the cosine of unrelated texts
    keyword     coverage * bm25 / max(bm25 of this query), coverage being the share of the query's
                words that the memory has, so that one stray common word never weighs like all
    own         similarity + keyword
    neighbours  0.2 * own of the memories just before and just after in the same conversation, and
                0.1 * own of those two away, as far as they were found, too; but 0.5 * own of a
                memory just before that is a question
    score       (own + neighbours) * 0.8 for a question, else own + neighbours

Results are sorted by the score, which is shown as at most 1. The numbers were found on one half of
LoCoMo (arXiv:2402.17753) and checked on the other; benchmarks/README.md has the figures.
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
SAME_CONVERSATION_S = 3600.0  # the longest gap in a conversation without a run_id

TURN_KEYS = (*SCOPE_KEYS, "created_at", PLACE, ASKS)
"""The payload keys that `turn_of` reads."""


class Turn(NamedTuple):
    """The place of a memory in its conversation."""

    conversation: tuple[Any, ...] | None = None
    """The ids of its scope; None where it has no place, and so no neighbours."""
    number: int = 0
    """Its number; one more than that of the memory just before."""
    time: float | None = None
    """Its time in seconds since 1970; None where a run_id identifies the conversation."""
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
    """A UUID as text; the engine's own id where the request was `ids_only`."""
    payload: dict[str, Any]
    score: float = 0.0
    tokens: Collection[int] = ()
    """The ids of the distinct words of its text, in a list by words only. With `ids_only` at least
    those of the query."""
    turn: Turn = NO_TURN
    """Set in the lists of a search only."""


@dataclass(slots=True)
class Ranked:
    """A search result with the parts of its score, see above."""

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
        """The score that is shown, 0..1."""
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
    """The best `limit` (None: all) of both lists, best first.

    The scores of `similar` are cosines, those of `worded` are BM25. `query` has the ids of the
    query's distinct words. A memory that a list lacks counts as 0 there.
    """
    found = {record.id: Ranked(record) for record in (*worded, *similar)}
    for record in similar:
        found[record.id].similarity = _unit((record.score - zero) / (1 - zero))
    for id_, share in _shares_of_words(worded, query).items():
        found[id_].keyword = share
    _add_neighbours(found.values())
    # Ties are sorted by id, so that a repeated search gives the same order.
    order = sorted((-one.total, id_) for id_, one in found.items())
    return [found[id_] for _, id_ in order[:limit]]


def _shares_of_words(
    worded: Sequence[Record], query: frozenset[int] | set[int]
) -> dict[Any, float]:
    """The `keyword` of each record by its id, 0..1: coverage * bm25 / max(bm25)."""
    best = max((record.score for record in worded), default=0.0)
    if best <= 0:
        return {}
    words = len(query)
    return {
        record.id: _unit(len(query.intersection(record.tokens)) / words * (record.score / best))
        for record in worded
    }


def _add_neighbours(found: Collection[Ranked]) -> None:
    """Add a share of each memory's `own` to its neighbours, one or two places away."""
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
        return True  # a run_id identifies the conversation
    return abs(turn.time - other.time) <= SAME_CONVERSATION_S


def _unit(score: float) -> float:
    """`score`, bounded to 0..1: the cosine of equal float32 vectors may be 1.0000001."""
    return score if 0.0 <= score <= 1.0 else float(score > 0)
