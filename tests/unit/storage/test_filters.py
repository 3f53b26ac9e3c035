"""mem0's filter language in, Qdrant's JSON filters out."""

from typing import Any

import pytest

from app.storage.payloads import today
from app.storage.vectors.filters import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_KEY,
    MAX_PARTS,
    MAX_VALUES,
    compile_filters,
    in_scope,
)

EMPTY = {"is_empty": {"key": "a"}}


def nested(levels: int) -> dict[str, Any]:
    filters: dict[str, Any] = {"a": "x"}
    for _ in range(levels - 1):
        filters = {"AND": [filters]}
    return filters


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", {"key": "a", "match": {"value": "x"}}),
        ("", {"key": "a", "match": {"value": ""}}),
        (True, {"key": "a", "match": {"value": True}}),
        (False, {"key": "a", "match": {"value": False}}),
        (1.5, {"key": "a", "range": {"gte": 1.5, "lte": 1.5}}),
        (None, {"is_null": {"key": "a"}}),
        ("*", {"must_not": [EMPTY]}),
        ({"eq": "x"}, {"key": "a", "match": {"value": "x"}}),
        ({"ne": "x"}, {"must_not": [{"key": "a", "match": {"value": "x"}}, EMPTY]}),
        (
            ["x", None],
            {"should": [{"key": "a", "match": {"value": "x"}}, {"is_null": {"key": "a"}}]},
        ),
        ({"in": ["x"]}, {"should": [{"key": "a", "match": {"value": "x"}}]}),
        (
            {"nin": ["x"]},
            {"must_not": [{"should": [{"key": "a", "match": {"value": "x"}}]}, EMPTY]},
        ),
        ({"contains": "x"}, {"key": "a", "match": {"substring": "x"}}),
        ({"icontains": "x"}, {"key": "a", "match": {"text": "x"}}),
        ({"gt": 1}, {"key": "a", "range": {"gt": 1.0}}),
        ({"gte": 1.5}, {"key": "a", "range": {"gte": 1.5}}),
        ({"lt": -1}, {"key": "a", "range": {"lt": -1.0}}),
        ({"lte": 0}, {"key": "a", "range": {"lte": 0.0}}),
        ({"gt": "2024-05-01"}, {"key": "a", "range": {"gt": "2024-05-01T00:00:00+00:00"}}),
        (
            {"gt": "2024-05-01T10:00:00Z"},
            {"key": "a", "range": {"gt": "2024-05-01T10:00:00+00:00"}},
        ),
    ],
    ids=str,
)
def test_a_condition_compiles_to_qdrants_own(value: Any, expected: dict[str, Any]) -> None:
    assert compile_filters({"a": value}) == {"must": [expected]}


def test_a_boolean_is_not_taken_for_a_number() -> None:
    (condition,) = compile_filters({"a": True})["must"]
    assert condition["match"]["value"] is True


def test_no_filters_hold_for_everything() -> None:
    assert compile_filters({}) == {"must": []}


def test_keys_and_operators_must_all_hold() -> None:
    assert compile_filters({"a": {"gt": 1, "lt": 5}, "b": "x"}) == {
        "must": [
            {"key": "a", "range": {"gt": 1.0}},
            {"key": "a", "range": {"lt": 5.0}},
            {"key": "b", "match": {"value": "x"}},
        ]
    }


def test_and_or_not_nest() -> None:
    filters = {"OR": [{"a": "x"}, {"NOT": [{"b": "y"}, {"AND": [{"c": "z"}]}]}]}
    a, b, c = ({"must": [{"key": k, "match": {"value": v}}]} for k, v in ("ax", "by", "cz"))
    assert compile_filters(filters) == {
        "must": [{"should": [a, {"must": [{"must_not": [b, {"must": [{"must": [c]}]}]}]}]}]
    }


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("address.city", "address.city"),
        ("snake_case-2", "snake_case-2"),
        ("名字", "名字"),
        ("two words", '"two words"'),
        ("a[0]", '"a[0]"'),
        ("a.b c.d", 'a."b c".d'),
    ],
)
def test_keys_become_paths_with_odd_segments_quoted(key: str, path: str) -> None:
    assert compile_filters({key: "x"}) == {"must": [{"key": path, "match": {"value": "x"}}]}


@pytest.mark.parametrize(
    "key", ["", ".", "a.", ".a", "a..b", 'a"b', "a\\b", "a" * (MAX_KEY + 1)], ids=lambda k: k[:10]
)
def test_a_key_that_cannot_be_a_path_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not a key that can be filtered by"):
        compile_filters({key: "x"})


@pytest.mark.parametrize("key", ["user_id", "agent_id", "app_id", "run_id", "user_id.deep"])
@pytest.mark.parametrize(
    "around",
    [
        lambda scope: scope,
        lambda scope: {"AND": [scope]},
        lambda scope: {"OR": [{"a": 1}, scope]},
        lambda scope: {"NOT": [scope]},
        lambda scope: {"a": 1, "NOT": [{"OR": [{"AND": [{"b": 2}, scope]}]}]},
    ],
    ids=["bare", "AND", "OR", "NOT", "deep"],
)
def test_a_scope_key_is_refused_wherever_it_stands(key: str, around: Any) -> None:
    with pytest.raises(ValueError, match=f"{key} is not a filter: give it beside filters"):
        compile_filters(around({key: "somebody else"}))


def test_a_key_that_only_begins_like_a_scope_key_is_a_filter() -> None:
    assert compile_filters({"user_identity": "x", "owner.user_id": "y"})["must"][1] == {
        "key": "owner.user_id",
        "match": {"value": "y"},
    }


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"a": {"like": "x"}}, "a has the unknown operator 'like'"),
        ({"a": {"eq": "x", "EQ": "x"}}, "unknown operator"),
        ({"a": {}}, "a has no operator"),
        ({"a": []}, "takes a list of 1 to"),
        ({"a": {"in": "x"}}, "takes a list of 1 to"),
        ({"a": {"nin": []}}, "takes a list of 1 to"),
        ({"a": ["x"] * (MAX_VALUES + 1)}, "takes a list of 1 to"),
        ({"a": {"in": [["x"]]}}, "must be compared with"),
        ({"a": {"eq": {"b": 1}}}, "must be compared with"),
        ({"a": 2**63}, "must be compared with"),
        ({"a": {"contains": 1}}, "must be compared with a text"),
        ({"a": {"contains": ""}}, "must be compared with a text"),
        ({"a": {"icontains": None}}, "must be compared with a text"),
        ({"a": {"gt": True}}, "a number or an ISO 8601 time"),
        ({"a": {"gt": None}}, "a number or an ISO 8601 time"),
        ({"a": {"lt": "yesterday"}}, "a number or an ISO 8601 time"),
        ({"a": {"lt": ["2024-01-01"]}}, "a number or an ISO 8601 time"),
        ({"AND": {"a": 1}}, f"AND takes a list of 1 to {MAX_PARTS} filters"),
        ({"OR": []}, f"OR takes a list of 1 to {MAX_PARTS} filters"),
        ({"NOT": "x"}, f"NOT takes a list of 1 to {MAX_PARTS} filters"),
        ({"OR": [{"a": 1}] * (MAX_PARTS + 1)}, f"OR takes a list of 1 to {MAX_PARTS} filters"),
        ({f"k{n}": n for n in range(MAX_PARTS + 1)}, f"at most {MAX_PARTS} keys"),
        ({"AND": ["x"]}, "each filter must be an object"),
        (["a"], "each filter must be an object"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_filter_is_refused_with_its_reason(filters: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_filters(filters)


def test_a_bound_beyond_every_float_is_refused() -> None:
    with pytest.raises(ValueError, match="a number"):
        compile_filters({"a": {"gt": 10**400}})


def test_filters_nest_to_a_limit() -> None:
    assert compile_filters(nested(MAX_DEPTH))
    with pytest.raises(ValueError, match=f"at most {MAX_DEPTH} levels"):
        compile_filters(nested(MAX_DEPTH + 1))


def test_endless_nesting_is_refused_before_the_stack_ends() -> None:
    with pytest.raises(ValueError, match="levels"):
        compile_filters(nested(10_000))


def test_conditions_are_limited_over_all_of_the_filters() -> None:
    part = {f"k{number}": {"gt": 1, "lt": 5} for number in range(10)}
    full: dict[str, Any] = {"AND": [part] * (MAX_CONDITIONS // 20)}
    assert compile_filters(full)
    with pytest.raises(ValueError, match=f"at most {MAX_CONDITIONS} conditions"):
        compile_filters(full | {"one": "more"})


def test_a_list_of_values_may_be_as_long_as_it_says() -> None:
    (condition,) = compile_filters({"a": {"in": ["x"] * MAX_VALUES}})["must"]
    assert len(condition["should"][0]["match"]["any"]) == MAX_VALUES


class TestInScope:
    def test_no_scope_holds_for_all_that_have_not_expired(self) -> None:
        assert in_scope({}) == {
            "must": [],
            "must_not": [{"key": "expiration_date", "range": {"lt": today()}}],
        }

    def test_show_expired_drops_the_bound(self) -> None:
        assert in_scope({}, show_expired=True) == {"must": []}

    def test_every_key_of_the_scope_must_match(self) -> None:
        assert in_scope({"user_id": "u", "run_id": "r"}, show_expired=True) == {
            "must": [
                {"key": "user_id", "match": {"value": "u"}},
                {"key": "run_id", "match": {"value": "r"}},
            ]
        }

    def test_filters_narrow_the_scope_and_never_widen_it(self) -> None:
        extra = compile_filters({"OR": [{"a": 1}]})
        where = in_scope({"user_id": "u"}, extra=extra)
        assert where["must"] == [{"key": "user_id", "match": {"value": "u"}}, extra]
