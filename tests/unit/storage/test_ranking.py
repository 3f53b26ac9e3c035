"""One score from meaning, words and neighbours, by numbers worked out by hand."""

from typing import Any

import pytest

from app.storage.payloads import ASKS, PLACE, new_payload
from app.storage.vectors.ranking import Ranked, Record, Turn, candidates, rank, turn_of

TEA, GREEN = 1, 2  # ids of words


def similar(record_id: str, cosine: float, turn: Turn | None = None) -> Record:
    return Record(record_id, {"found": "by meaning"}, cosine, turn=turn or Turn())


def worded(record_id: str, bm25: float, *tokens: int) -> Record:
    return Record(record_id, {"found": "by words"}, bm25, frozenset(tokens))


def turn(number: int, run: str = "r", **more: Any) -> Turn:
    return Turn((run,), number, **more)


def shown(results: list[Ranked]) -> list[tuple[str, float, float, float]]:
    """(id, similarity, keyword, score) of each."""
    return [(found.record.id, found.similarity, found.keyword, found.score) for found in results]


def neighbours(*records: Record) -> dict[str, float]:
    return {found.record.id: found.neighbours for found in rank(records, [], set())}


def test_ranks_the_union_of_both_lists() -> None:
    results = rank(
        [similar("a", 0.7), similar("b", 0.25)],
        [worded("b", 4.0, TEA, GREEN), worded("c", 2.0, TEA, GREEN)],
        {TEA, GREEN},
    )
    assert shown(results) == [
        ("b", 0.25, 1.0, 1.0),
        ("a", 0.7, 0.0, 0.7),
        ("c", 0.0, 0.5, 0.5),
    ]


def test_coverage_scales_the_keyword_share() -> None:
    # a has both words of the query; b, though BM25 likes it best, one of the two.
    results = rank([], [worded("b", 8.0, TEA), worded("a", 6.0, TEA, GREEN)], {TEA, GREEN})
    assert shown(results) == [("a", 0.0, 0.75, 0.75), ("b", 0.0, 0.5, 0.5)]


def test_words_of_the_memory_that_are_not_asked_for_do_not_count() -> None:
    results = rank([], [worded("a", 3.0, TEA, 7, 8, 9)], {TEA, GREEN})
    assert shown(results) == [("a", 0.0, 0.5, 0.5)]


def test_a_vector_that_points_away_counts_as_nothing() -> None:
    results = rank([similar("a", -0.9)], [worded("a", 1.0, TEA, GREEN)], {TEA})
    assert shown(results) == [("a", 0.0, 1.0, 1.0)]


def test_a_cosine_counts_from_that_of_unrelated_texts_on() -> None:
    results = rank([similar("a", 0.9), similar("b", 0.7), similar("c", 0.6)], [], set(), zero=0.7)
    assert shown(results) == [
        ("a", pytest.approx(2 / 3), 0.0, pytest.approx(2 / 3)),
        ("b", 0.0, 0.0, 0.0),
        ("c", 0.0, 0.0, 0.0),
    ]


def test_scores_stay_within_0_and_1() -> None:
    # float32 gives equal vectors a little more than 1.
    (found,) = rank([similar("a", 1.0000002)], [worded("a", 1e9, TEA)], {TEA})
    assert (found.similarity, found.keyword, found.score) == (1.0, 1.0, 1.0)


def test_the_order_is_of_the_whole_sums_and_not_of_what_is_shown() -> None:
    hits = [similar("a", 0.5), similar("b", 0.9)]
    words = [worded("a", 3.0, TEA), worded("b", 3.0, TEA)]
    assert [(one.record.id, one.score) for one in rank(hits, words, {TEA})] == [
        ("b", 1.0),
        ("a", 1.0),
    ]


def test_ties_are_settled_by_id_whatever_the_order_they_came_in() -> None:
    hits = [similar("b", 0.5), similar("c", 0.5), similar("a", 0.5)]
    assert [found.record.id for found in rank(hits, [], set())] == ["a", "b", "c"]
    assert rank(hits[::-1], [], set()) == rank(hits, [], set())


def test_a_keyword_list_whose_best_score_is_0_adds_nothing() -> None:
    hits = rank([similar("a", 0.6)], [worded("a", 0.0, TEA), worded("b", 0.0, TEA)], {TEA})
    assert shown(hits) == [("a", 0.6, 0.0, 0.6), ("b", 0.0, 0.0, 0.0)]


def test_two_empty_lists_give_an_empty_one() -> None:
    assert rank([], [], {TEA}) == []


@pytest.mark.parametrize(("limit", "expected"), [(1, 80), (20, 80), (21, 84), (1000, 4000)])
def test_four_candidates_for_each_result_but_at_least_80(limit: int, expected: int) -> None:
    assert candidates(limit) == expected


class TestNeighbours:
    def test_hand_a_fifth_to_the_next_and_a_tenth_to_the_next_but_one(self) -> None:
        found = neighbours(
            similar("far", 0.3, turn(8)),
            similar("two before", 0.0, turn(1)),
            similar("before", 0.0, turn(2)),
            similar("hit", 0.5, turn(3)),
            similar("after", 0.0, turn(4)),
            similar("two after", 0.0, turn(5)),
        )
        near, next_but_one = pytest.approx(0.1), pytest.approx(0.05)
        assert (found["before"], found["after"]) == (near, near)
        assert (found["two before"], found["two after"]) == (next_but_one, next_but_one)
        assert (found["hit"], found["far"]) == (0, 0)

    def test_what_they_give_is_their_own_with_its_words_and_not_what_they_got(self) -> None:
        hits = [similar(str(n), 0.5, turn(n)) for n in range(2)]
        results = rank(hits, [worded("0", 2.0, TEA)], {TEA})
        by_id = {found.record.id: found.neighbours for found in results}
        assert by_id == {"0": pytest.approx(0.2 * 0.5), "1": pytest.approx(0.2 * 1.5)}

    def test_a_question_hands_half_to_its_answer_and_counts_less_itself(self) -> None:
        question = similar("question", 0.6, turn(1, asks=True))
        answer, other = similar("answer", 0.1, turn(2)), similar("before", 0.1, turn(0))
        results = {one.record.id: one for one in rank([question, answer, other], [], set())}
        assert results["answer"].neighbours == pytest.approx(0.5 * 0.6 + 0.1 * 0.1)
        assert results["before"].neighbours == pytest.approx(0.2 * 0.6 + 0.1 * 0.1)
        assert results["question"].score == pytest.approx(0.8 * (0.6 + 0.2 * 0.1 + 0.2 * 0.1))

    def test_another_conversation_has_none(self) -> None:
        found = neighbours(similar("a", 0.5, turn(1, "r")), similar("b", 0.5, turn(2, "s")))
        assert found == {"a": 0, "b": 0}

    def test_without_a_run_an_hour_ends_the_conversation(self) -> None:
        found = neighbours(
            similar("a", 0.5, turn(1, time=0.0)),
            similar("b", 0.5, turn(2, time=3600.0)),
            similar("c", 0.5, turn(3, time=7201.0)),
        )
        assert found == {"a": pytest.approx(0.1), "b": pytest.approx(0.1), "c": 0}

    def test_what_has_no_place_has_none(self) -> None:
        assert neighbours(similar("a", 0.5), similar("b", 0.5)) == {"a": 0, "b": 0}


class TestTurns:
    def test_are_read_from_the_payload(self) -> None:
        payload = new_payload("Tea?", {"user_id": "u", "run_id": "r"}, {}) | {PLACE: 7}
        found = turn_of(payload)
        assert (found.number, found.time, found.asks) == (7, None, True)
        assert found.conversation == ("u", None, None, "r")

    def test_have_a_time_where_no_run_holds_them_together(self) -> None:
        payload = {"user_id": "u", "created_at": "1970-01-01T00:01:00+00:00", PLACE: 7}
        assert turn_of(payload).time == 60

    def test_of_memories_that_were_stored_before_there_were_places(self) -> None:
        assert turn_of(new_payload("Tea", {"user_id": "u"}, {})) == Turn()

    @pytest.mark.parametrize("text", ["Tea?", "茶？", "شاي؟", 'He said "Tea?" ', "“茶？”"])
    def test_a_question_ends_in_a_question_mark(self, text: str) -> None:
        assert new_payload(text, {}, {})[ASKS] is True

    @pytest.mark.parametrize("text", ["Tea", "Tea? Yes.", "?!"])
    def test_other_texts_are_none(self, text: str) -> None:
        assert ASKS not in new_payload(text, {}, {})
