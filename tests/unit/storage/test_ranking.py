"""One score from meaning and words, by numbers worked out by hand."""

import pytest

from app.storage.vectors.ranking import Ranked, Record, candidates, rank

TEA, GREEN = 1, 2  # ids of words


def similar(record_id: str, cosine: float) -> Record:
    return Record(record_id, {"found": "by meaning"}, cosine)


def worded(record_id: str, bm25: float, *tokens: int) -> Record:
    return Record(record_id, {"found": "by words"}, bm25, frozenset(tokens))


def shown(results: list[Ranked]) -> list[tuple[str, float, float, float]]:
    """(id, similarity, keyword, score) of each."""
    return [(found.record.id, found.similarity, found.keyword, found.score) for found in results]


def test_ranks_the_union_of_both_lists() -> None:
    results = rank(
        [similar("a", 0.8), similar("b", 0.25)],
        [worded("b", 4.0, TEA, GREEN), worded("c", 2.0, TEA, GREEN)],
        {TEA, GREEN},
    )
    assert shown(results) == [
        ("b", 0.25, 1.0, pytest.approx(0.5 * 0.25 + 0.5)),
        ("a", 0.8, 0.0, pytest.approx(0.4)),
        ("c", 0.0, 0.5, pytest.approx(0.25)),
    ]


def test_coverage_scales_the_keyword_share() -> None:
    # a has both words of the query; b, though BM25 likes it best, one of the two.
    results = rank([], [worded("b", 8.0, TEA), worded("a", 6.0, TEA, GREEN)], {TEA, GREEN})
    assert shown(results) == [("a", 0.0, 0.75, 0.375), ("b", 0.0, 0.5, 0.25)]


def test_words_of_the_memory_that_are_not_asked_for_do_not_count() -> None:
    results = rank([], [worded("a", 3.0, TEA, 7, 8, 9)], {TEA, GREEN})
    assert shown(results) == [("a", 0.0, 0.5, 0.25)]


def test_a_vector_that_points_away_counts_as_nothing() -> None:
    results = rank([similar("a", -0.9)], [worded("a", 1.0, TEA)], {TEA})
    assert shown(results) == [("a", 0.0, 1.0, 0.5)]


def test_scores_stay_within_0_and_1() -> None:
    # float32 gives equal vectors a little more than 1.
    (found,) = rank([similar("a", 1.0000002)], [worded("a", 1e9, TEA)], {TEA})
    assert (found.similarity, found.keyword, found.score) == (1.0, 1.0, 1.0)


def test_ties_are_settled_by_id_whatever_the_order_they_came_in() -> None:
    hits = [similar("b", 0.5), similar("c", 0.5), similar("a", 0.5)]
    assert [found.record.id for found in rank(hits, [], set())] == ["a", "b", "c"]
    assert rank(hits[::-1], [], set()) == rank(hits, [], set())


def test_meaning_alone_is_worth_half() -> None:
    assert shown(rank([similar("a", 1.0)], [], {TEA})) == [("a", 1.0, 0.0, 0.5)]


def test_words_alone_are_worth_half() -> None:
    assert shown(rank([], [worded("a", 0.01, TEA)], {TEA})) == [("a", 0.0, 1.0, 0.5)]


def test_a_keyword_list_whose_best_score_is_0_adds_nothing() -> None:
    hits = rank([similar("a", 0.6)], [worded("a", 0.0, TEA), worded("b", 0.0, TEA)], {TEA})
    assert shown(hits) == [("a", 0.6, 0.0, 0.3)]


def test_two_empty_lists_give_an_empty_one() -> None:
    assert rank([], [], {TEA}) == []


@pytest.mark.parametrize(("limit", "expected"), [(1, 80), (20, 80), (21, 84), (1000, 4000)])
def test_four_candidates_for_each_result_but_at_least_80(limit: int, expected: int) -> None:
    assert candidates(limit) == expected
