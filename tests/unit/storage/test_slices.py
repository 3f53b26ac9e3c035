"""Filters on Qdrant Edge: what they cost is bounded, and what they find does not depend on it."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.embeddings import EmbedderInfo
from app.errors import FilterTooExpensive
from app.storage.payloads import new_payload
from app.storage.vectors.edge import EdgeStore
from app.storage.vectors.edge.slices import MAX_WORK, SLICE_WORK, Slices, Trial, split, weight
from app.storage.vectors.filters import Filter, compile_filters, in_scope

NUMBER = 1100  # more than one page of ids
ALICE = {"user_id": "alice"}
EAST = [1.0, 0.0]


class Watched(EdgeStore):
    """Remembers how many memories each call has tried."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tried: list[int] = []

    def _trial(self, conditions: Sequence[Filter]) -> Trial:
        trial = super()._trial(conditions)

        def watched(ids: list[str]) -> set[str]:
            self.tried.append(len(ids))
            return trial(ids)

        return watched


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Memories of alice, each with its number `n` and `even` or `odd` as its `kind`."""
    store = Watched(tmp_path_factory.mktemp("slices") / "qdrant")
    store.prepare(EmbedderInfo("test", len(EAST)))
    store.put(
        {
            str(uuid.uuid4()): (
                EAST,
                new_payload("tea", ALICE, {"n": n, "kind": "odd" if n % 2 else "even"}),
            )
            for n in range(NUMBER)
        }
    )
    store.put({str(uuid.uuid4()): (EAST, new_payload("tea", {"user_id": "bob"}, {"n": 1}))})
    yield store
    store.close()


@pytest.fixture
def store(filled: Watched) -> Watched:
    filled.tried.clear()
    return filled


def where(filters: dict[str, Any], scope: dict[str, str] = ALICE) -> Filter:
    return in_scope(scope, extra=compile_filters(filters))


@pytest.mark.parametrize("conditions", [1, 2, 3, 7, 50, 66, 99, 200])
def test_no_call_tries_more_than_a_slice_and_nothing_is_missed(
    store: Watched, conditions: int
) -> None:
    filters = {"OR": [{"kind": "odd"}, *({"zq": 1.5} for _ in range(min(conditions, 50) - 1))]}
    if conditions > 50:
        rest = [{"zq": 2.5}] * (conditions - 50)
        filters = {"OR": [filters, *({"OR": rest[i : i + 50]} for i in range(0, len(rest), 50))]}
    asked = where(filters)
    assert weight(asked) == conditions
    odd = {n for n in range(NUMBER) if n % 2}
    assert {record.payload["n"] for record in store.scan(asked)} == odd
    assert store.count(asked) == len(odd)
    assert max(store.tried) * conditions <= SLICE_WORK


def test_a_search_keeps_to_its_filter(store: Watched) -> None:
    similar, worded, _ = store.hybrid("tea", EAST, where({"n": {"lt": 3.5}}), 80)
    for hits in (similar, worded):
        assert sorted(record.payload["n"] for record in hits) == [0, 1, 2, 3]
    assert store.hybrid("tea", EAST, where({"n": -5.5}), 80)[:2] == ([], [])


def test_pages_through_a_filter_are_in_order_and_whole(store: Watched) -> None:
    numbers, cursor = [], None
    while True:
        records, cursor = store.page(where({"kind": "even"}), 37, cursor)
        numbers += [record.payload["n"] for record in records]
        if cursor is None:
            break
    assert numbers == [n for n in reversed(range(NUMBER)) if n % 2 == 0]


def test_a_page_tries_no_more_memories_than_it_needs(store: Watched) -> None:
    store.page(where({"kind": "even"}), 5)
    assert sum(store.tried) == SLICE_WORK


def test_what_the_indexes_answer_is_one_call(store: Watched) -> None:
    for filters in ({"created_at": {"gt": "2024-05-01"}}, {"hash": "x"}, {}):
        store.page(where(filters), 5)
        store.count(where(filters))
    assert store.tried == []


@pytest.mark.parametrize(
    "filters",
    [
        {"OR": [{"OR": [{"data": {"contains": "zq"}}] * 40}] * 25},
        {"AND": [{"AND": [{"data": {"contains": "e"}}] * 40}] * 25},
        {"AND": [{"a": {"icontains": "x"}}] * 50, "OR": [{"a": {"icontains": "x"}}] * 17},
        {"a": {"in": list(range(100))}, "b": 1},
    ],
    ids=["any of 1000", "all of 1000", "201 of words", "numbers"],
)
@pytest.mark.parametrize("scope", [ALICE, {"user_id": "nobody"}], ids=str)
def test_more_conditions_than_a_call_may_ask_are_refused(
    store: Watched, filters: Any, scope: dict[str, str]
) -> None:
    for ask in (
        lambda asked: store.page(asked, 1),
        store.count,
        lambda asked: store.hybrid("tea", EAST, asked, 10),
    ):
        with pytest.raises(FilterTooExpensive) as refusal:
            ask(where(filters, scope))
        assert [error.field for error in refusal.value.errors] == ["filters"]
    assert store.tried == []


def slices(memories: int, seconds: float = 5.0) -> Slices:
    """Of a scope with so many memories, none of which is there."""
    return Slices(lambda *_: [], lambda _: lambda _: set(), lambda _: memories, seconds)


def matching(engine: Slices, filters: dict[str, Any]) -> list[Any]:
    return [*engine.matching(*split(where(filters)))]


def test_conditions_times_memories_are_bounded() -> None:
    ten = {"OR": [{f"k{n}": "x"} for n in range(10)]}
    assert matching(slices(MAX_WORK // 10), ten) == []
    with pytest.raises(FilterTooExpensive):
        matching(slices(MAX_WORK // 10 + 1), ten)


@pytest.mark.parametrize(
    "filters",
    [
        {"a": "x"},
        {"a": 5},
        {"a": {"ne": True}},
        {"a": {"in": [f"tag {n}" for n in range(100)]}},
        {"a": {"gte": 1, "lt": 5}},
        {"a": {"gte": "2024-05-01"}},
        {"data": {"contains": "x"}},
        {"data": {"icontains": "x"}},
    ],
    ids=lambda filters: str(filters)[:40],
)
def test_one_condition_over_100000_memories_is_allowed(filters: dict[str, Any]) -> None:
    assert matching(slices(100_000), filters) == []


def test_a_filter_ends_when_large_memories_take_too_long(store: Watched) -> None:
    engine = Slices(store._ordered, store._trial, store._estimate, seconds=0)
    with pytest.raises(FilterTooExpensive):
        matching(engine, {"kind": "even"})


def test_only_what_an_index_answers_weighs_nothing() -> None:
    free = [{"hash": "x"}, {"created_at": {"lt": "2024-05-01"}}, {}]
    assert [weight(compile_filters(filters)) for filters in free] == [0, 0, 0]
    paid = [{"hash": 5}, {"created_at": {"lt": 5}}, {"hash": {"contains": "x"}}, {"hash": "*"}]
    assert all(weight(compile_filters(filters)) for filters in paid)
    assert weight(compile_filters({"NOT": [{"hash": "x"}, {"a": "x"}]})) == 1
