"""The Platform's filters in the service's own words."""

from typing import Any

import pytest

from app.api.dialect.scope import lifted
from app.api.platform.filters import translated
from app.storage.vectors.filters import compile_filters

DAY = "2026-11-27T00:00:00+00:00"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"user_id": "a", "agent_id": "b"}, {"user_id": "a", "agent_id": "b"}),
        ({"userId": "a"}, {"user_id": "a"}),
        ({"user_id": {"in": ["a", "b"]}}, {"user_id": {"in": ["a", "b"]}}),
        ({"user_id": "*"}, {"user_id": "*"}),
        ({"NOT": {"user_id": "a"}}, {"NOT": [{"user_id": "a"}]}),
        ({"OR": [{"user_id": "a"}, {"run_id": "b"}]}, {"OR": [{"user_id": "a"}, {"run_id": "b"}]}),
        ({"metadata": {"kind": "x", "size": 3}}, {"kind": "x", "size": 3}),
        ({"keywords": {"icontains": "tea"}}, {"data": {"icontains": "tea"}}),
        ({"categories": {"contains": "food"}}, {"categories": "food"}),
        ({"categories": {"in": ["food", "sport"]}}, {"categories": ["food", "sport"]}),
        ({"memory_ids": ["x"]}, {"id": ["x"]}),
        ({"timestamp": {"gte": 1795737600}}, {"created_at": {"gte": DAY}}),
        ({"created_at": {"gte": DAY}}, {"created_at": {"gte": DAY}}),
        ({"updated_at": DAY}, {"updated_at": {"gte": DAY, "lte": DAY}}),
        ({"created_at": {"ne": DAY}}, {"NOT": [{"created_at": {"gte": DAY, "lte": DAY}}]}),
        ({"created_at": {"in": [DAY]}}, {"OR": [{"created_at": {"gte": DAY, "lte": DAY}}]}),
        (
            {"created_at": {"gte": DAY, "lte": DAY}},
            {"AND": [{"created_at": {"gte": DAY}}, {"created_at": {"lte": DAY}}]},
        ),
    ],
)
def test_each_form_has_one_of_ours(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert translated(theirs) == ours


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ("user_id", "must be an object"),
        ({"kind": "x"}, "'kind' is not a key"),
        ({"user_id": {"nin": ["a"]}}, "unknown operator 'nin'"),
        ({"user_id": "a b"}, "white space"),
        ({"user_id": ["a", 5]}, "must be a text"),
        ({"user_id": None}, "must be a text"),
        ({"AND": {"user_id": "a"}}, "AND takes a list"),
        ({"metadata": "x"}, "takes an object"),
        ({"metadata": {"user_id": "bob"}}, "not a key of metadata"),
        ({"metadata": {"OR": [{"user_id": "bob"}]}}, "not a key of metadata"),
        ({"created_at": {"gte": [1]}}, "ISO 8601"),
        ({"created_at": {"gte": 10**30}}, "calendar"),
        ({"created_at": {"in": "x"}}, "list of times"),
        ({"keywords": {"gt": "x"}}, "unknown operator"),
        ({"memory_ids": "x"}, "list of UUIDs"),
        ({"memory_ids": []}, "list of UUIDs"),
    ],
)
def test_what_is_none_of_theirs_is_refused(theirs: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        translated(theirs)


def test_depth_is_bounded() -> None:
    deep: dict[str, Any] = {"user_id": "a"}
    for _ in range(900):
        deep = {"AND": [deep]}
    with pytest.raises(ValueError, match="levels deep"):
        translated(deep)


@pytest.mark.parametrize(
    ("filters", "scope", "rest"),
    [
        ({"user_id": "a"}, {"user_id": "a"}, {}),
        (
            {"AND": [{"user_id": "a"}, {"AND": [{"run_id": "r"}]}, {"kind": "x"}]},
            {"user_id": "a", "run_id": "r"},
            {"AND": [{"kind": "x"}]},
        ),
        (
            {"AND": [{"user_id": "a"}, {"user_id": "b"}]},
            {"user_id": "a"},
            {"AND": [{"user_id": "b"}]},
        ),
        ({"OR": [{"user_id": "a"}]}, {}, {"OR": [{"user_id": "a"}]}),
        ({"NOT": [{"user_id": "a"}]}, {}, {"NOT": [{"user_id": "a"}]}),
        ({"user_id": "*"}, {}, {"user_id": "*"}),
        ({"user_id": {"in": ["a"]}}, {}, {"user_id": {"in": ["a"]}}),
    ],
)
def test_ids_that_every_memory_must_have_become_the_scope(
    filters: dict[str, Any], scope: dict[str, str], rest: dict[str, Any]
) -> None:
    assert lifted(filters) == (scope, rest)


def test_ids_are_filters_only_where_they_are_let_in() -> None:
    nested = {"OR": [{"kind": "x"}, {"user_id": "bob"}]}
    with pytest.raises(ValueError, match="user_id is not a filter"):
        compile_filters(nested)
    assert compile_filters(nested, with_ids=True)
    with pytest.raises(ValueError, match="list of UUIDs"):
        compile_filters({"id": ["no-uuid"]}, with_ids=True)
