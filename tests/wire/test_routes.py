"""The nine routes over real HTTP, as callers see them."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.service import Service

UNKNOWN = "00000000-0000-4000-8000-000000000000"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


def add(service: Service, text: str, **fields: Any) -> str:
    """Store `text` and give its id."""
    result: str = service.ask("add", data=text, **fields)["result"]
    return result


def errors(response: Any) -> dict[str, str]:
    return {error["field"]: error["message"] for error in response.json().get("errors", [])}


class TestAdd:
    def test_answers_201_with_what_was_stored(self, service: Service, user: str) -> None:
        response = service.post("add", {"data": "I like tea", "user_id": user})
        body = response.json()
        assert response.status_code == 201
        assert body["results"] == [{"id": body["result"], "memory": "I like tea", "event": "ADD"}]

    def test_stores_each_message_but_the_systems(self, service: Service, user: str) -> None:
        said = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "I like tea", "name": "bob"},
            {"role": "assistant", "content": "Green or black?"},
        ]
        stored = service.ask("add", messages=said, user_id=user)["results"]
        assert [memory["memory"] for memory in stored] == ["I like tea", "Green or black?"]
        first = service.ask("get", memory_id=stored[0]["id"])
        assert (first["role"], first["actor_id"]) == ("user", "bob")

    def test_keeps_the_whole_scope_and_metadata(self, service: Service, user: str) -> None:
        metadata = {"tags": ["a", None], "deep": {"n": 1.5, "ok": True}, "名字": "小明"}
        scope = {"user_id": user, "agent_id": "helper", "app_id": "shop", "run_id": "r1"}
        memory = service.ask("get", memory_id=add(service, "x", metadata=metadata, **scope))
        assert memory["metadata"] == metadata
        assert {key: memory[key] for key in scope} == scope

    def test_takes_a_text_of_100000_characters(self, service: Service, user: str) -> None:
        text = "茶" * 100_000
        assert service.ask("get", memory_id=add(service, text, user_id=user))["memory"] == text

    def test_normalises_ids_to_one_form(self, service: Service, user: str) -> None:
        add(service, "x", user_id=f"{user}-e\u0301")
        assert service.ask("get_all", user_id=f"{user}-\u00e9")["total"] == 1

    def test_infer_without_an_llm_is_501(self, service: Service, user: str) -> None:
        response = service.post("add", {"data": "x", "user_id": user, "infer": True})
        assert (response.status_code, response.json()["code"]) == (501, "llm_not_configured")
        assert service.ask("get_all", user_id=user)["total"] == 0


class TestGetAll:
    def test_without_a_body_lists_everybodys(self, empty_service: Service) -> None:
        ids = {add(empty_service, "x", user_id="a"), add(empty_service, "y", agent_id="b")}
        listing = empty_service.post("get_all").json()
        assert {memory["id"] for memory in listing["results"]} == ids
        assert (listing["total"], listing["next_cursor"]) == (2, None)

    def test_is_newest_first_and_pages_through_everything(
        self, service: Service, user: str
    ) -> None:
        ids = [add(service, f"note {n}", user_id=user) for n in range(7)]
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while cursor is not None:
            page = service.ask("get_all", user_id=user, limit=3, **cursor)
            assert page["total"] == 7
            seen += [memory["id"] for memory in page["results"]]
            cursor = page["next_cursor"] and {"cursor": page["next_cursor"]}
        assert seen == ids[::-1]

    def test_gives_no_cursor_after_a_full_last_page(self, service: Service, user: str) -> None:
        add(service, "x", user_id=user)
        assert service.ask("get_all", user_id=user, limit=1)["next_cursor"] is None

    def test_has_no_silent_cap(self, service: Service, user: str) -> None:
        said = [{"role": "user", "content": f"note {n}"} for n in range(256)]
        for _ in range(4):
            service.ask("add", messages=said, user_id=user)
        assert len(service.ask("get_all", user_id=user)["results"]) == 1024

    def test_several_ids_mean_the_memories_that_have_them_all(
        self, service: Service, user: str
    ) -> None:
        both = add(service, "x", user_id=user, agent_id=f"{user}-agent")
        add(service, "y", user_id=user)
        found = service.ask("get_all", user_id=user, agent_id=f"{user}-agent")["results"]
        assert [memory["id"] for memory in found] == [both]


FILTERS = [
    ({"kind": "tea"}, "green black"),
    ({"kind": ["tea", "none"]}, "green black"),
    ({"kind": {"ne": "tea"}}, "milk"),
    ({"kind": {"in": ["milk", 3]}}, "milk"),
    ({"kind": {"nin": ["milk"]}}, "green black"),
    ({"price": {"gt": 2, "lte": 3.5}}, "black"),
    ({"price": 2}, "green"),
    ({"price": 3.5}, "black"),
    ({"hot": True}, "green"),
    ({"hot": False}, "black"),
    ({"hot": "*"}, "green black"),
    ({"hot": None}, "milk"),
    ({"shop.city": "杭州"}, "green"),
    ({"label": {"contains": "Long"}}, "green"),
    ({"label": {"contains": "long"}}, ""),
    ({"label": {"icontains": "JING long"}}, "green"),
    ({"bought": {"gte": "2026-02-01", "lt": "2026-03-01T00:00:00Z"}}, "black"),
    ({"OR": [{"kind": "milk"}, {"price": {"lt": 3}}]}, "green milk"),
    ({"NOT": [{"kind": "tea"}]}, "milk water"),
    ({"AND": [{"kind": "tea"}, {"OR": [{"hot": True}, {"hot": None}]}]}, "green"),
    ({"tags": "b"}, "green"),
    ({"odd key": 1}, "water"),
    ({"created_at": {"gt": "2020-01-01T00:00:00+00:00"}}, "green black milk water"),
]


@pytest.fixture(scope="module")
def drinks(service: Service) -> str:
    user = f"user-{uuid.uuid4()}"
    for text, metadata in {
        "green": {
            "kind": "tea",
            "price": 2,
            "hot": True,
            "shop": {"city": "杭州"},
            "label": "Long Jing",
            "tags": ["a", "b"],
        },
        "black": {"kind": "tea", "price": 3.5, "hot": False, "bought": "2026-02-14"},
        "milk": {"kind": "milk", "hot": None},
        "water": {"odd key": 1},
    }.items():
        add(service, text, user_id=user, metadata=metadata)
    return user


class TestFilters:
    @pytest.mark.parametrize(("filters", "expected"), FILTERS, ids=str)
    @pytest.mark.parametrize("route", ["get_all", "search"])
    def test_pass_what_holds(
        self, service: Service, drinks: str, route: str, filters: Any, expected: str
    ) -> None:
        query = {"query": "drinks"} if route == "search" else {}
        found = service.ask(route, user_id=drinks, filters=filters, **query)["results"]
        assert {memory["memory"] for memory in found} == set(expected.split())

    @pytest.mark.parametrize(
        "filters",
        [
            {"user_id": "bob"},
            {"AND": [{"user_id": "bob"}]},
            {"OR": [{"a": 1}, {"NOT": [{"agent_id": "*"}]}]},
            {"run_id.x": 1},
            {"app_id": "shop"},
            {"kind": {"like": "t"}},
            {"kind": {}},
            {"kind": {"in": "tea"}},
            {"kind": {"gt": True}},
            {"kind": {"contains": 1}},
            {"kind": [[1]]},
            {"kind": 2**64},
            {"OR": []},
            {"AND": {"a": 1}},
            {"NOT": ["a"]},
            {"": 1},
            {"a..b": 1},
            {'a"b': 1},
            {f"k{n}": n for n in range(101)},
            "kind",
            [],
        ],
        ids=str,
    )
    def test_that_are_wrong_are_400(self, service: Service, drinks: str, filters: Any) -> None:
        response = service.post("get_all", {"user_id": drinks, "filters": filters})
        assert response.status_code == 400
        assert [*errors(response)] == ["filters"]


class TestGet:
    def test_gives_the_memory(self, service: Service, user: str) -> None:
        memory = service.ask("get", memory_id=add(service, "I like tea", user_id=user))
        assert memory["memory"] == "I like tea"
        assert memory["user_id"] == user
        assert memory["metadata"] == {}
        assert memory["created_at"] == memory["updated_at"]
        assert "data" not in memory

    @pytest.mark.parametrize("spell", [str.upper, lambda i: f"{{{i}}}", lambda i: f"urn:uuid:{i}"])
    def test_knows_an_id_in_any_spelling(self, service: Service, user: str, spell: Any) -> None:
        memory_id = add(service, "x", user_id=user)
        assert service.ask("get", memory_id=spell(memory_id))["id"] == memory_id


class TestUpdate:
    def test_of_the_text_is_found_by_the_new_one_only(self, service: Service, user: str) -> None:
        memory_id = add(service, "apples are red", user_id=user)
        answer = service.ask("update", memory_id=memory_id, data="bananas are yellow")
        assert answer["result"]["memory"] == "bananas are yellow"
        assert answer["result"]["updated_at"] > answer["result"]["created_at"]

        def keyword(query: str) -> float:
            found = service.ask("search", query=query, user_id=user, explain=True)["results"]
            share: float = found[0]["keyword"]
            return share

        assert keyword("bananas") == 1
        assert keyword("apples") == 0

    def test_of_metadata_merges_and_keeps_the_text(self, service: Service, user: str) -> None:
        memory_id = add(service, "x", user_id=user, metadata={"a": 1, "b": 1})
        memory = service.ask("update", memory_id=memory_id, metadata={"b": 2, "c": 3})["result"]
        assert memory == service.ask("get", memory_id=memory_id)
        assert memory["memory"] == "x"
        assert memory["metadata"] == {"a": 1, "b": 2, "c": 3}

    def test_is_one_history_row(self, service: Service, user: str) -> None:
        memory_id = add(service, "x", user_id=user)
        service.ask("update", memory_id=memory_id, data="y", metadata={"a": 1})
        service.ask("update", memory_id=memory_id, metadata={"a": 2})
        rows = service.ask("history", memory_id=memory_id)["results"]
        changes = [(row["event"], row["old_memory"], row["new_memory"]) for row in rows]
        assert changes == [("ADD", None, "x"), ("UPDATE", "x", "y"), ("UPDATE", "y", "y")]


class TestExpiration:
    @pytest.fixture
    def expired(self, service: Service, user: str) -> str:
        return add(service, "old tea", user_id=user, expiration_date=YESTERDAY)

    def test_hides_a_memory_from_get_search_and_listings(
        self, service: Service, user: str, expired: str
    ) -> None:
        assert service.post("get", {"memory_id": expired}).status_code == 404
        assert service.ask("search", query="tea", user_id=user)["results"] == []
        assert service.ask("get_all", user_id=user)["total"] == 0

    def test_shows_it_when_asked_to(self, service: Service, user: str, expired: str) -> None:
        shown = service.ask("get", memory_id=expired, show_expired=True)
        assert shown["expiration_date"] == YESTERDAY
        assert service.ask("search", query="tea", user_id=user, show_expired=True)["results"]
        assert service.ask("get_all", user_id=user, show_expired=True)["total"] == 1

    def test_leaves_update_history_and_delete_their_reach(
        self, service: Service, user: str, expired: str
    ) -> None:
        assert service.ask("history", memory_id=expired)["results"]
        service.ask("update", memory_id=expired, expiration_date=None)
        assert "expiration_date" not in service.ask("get", memory_id=expired)
        service.ask("update", memory_id=expired, expiration_date=YESTERDAY)
        service.ask("delete", memory_id=expired)

    def test_today_and_tomorrow_are_not_expired(self, service: Service, user: str) -> None:
        today = datetime.now(UTC).date().isoformat()
        for date in (today, TOMORROW):
            add(service, "x", user_id=user, expiration_date=date)
        assert service.ask("get_all", user_id=user)["total"] == 2


class TestDelete:
    def test_leaves_the_history_ending_in_delete(self, service: Service, user: str) -> None:
        memory_id = add(service, "x", user_id=user)
        service.ask("delete", memory_id=memory_id)
        assert service.post("get", {"memory_id": memory_id}).status_code == 404
        rows = service.ask("history", memory_id=memory_id)["results"]
        assert [row["event"] for row in rows] == ["ADD", "DELETE"]
        assert rows[-1]["is_deleted"] is True
        assert (rows[-1]["old_memory"], rows[-1]["new_memory"]) == ("x", None)

    def test_twice_is_404(self, service: Service, user: str) -> None:
        memory_id = add(service, "x", user_id=user)
        service.ask("delete", memory_id=memory_id)
        assert service.post("delete", {"memory_id": memory_id}).status_code == 404


class TestDeleteAll:
    def test_deletes_a_scope_and_nothing_else(self, service: Service, user: str) -> None:
        for n in range(3):
            add(service, f"mine {n}", user_id=user)
        other = add(service, "not mine", user_id=f"{user}-2")
        assert service.ask("delete_all", user_id=user)["deleted"] == 3
        assert service.ask("get_all", user_id=user)["total"] == 0
        assert service.ask("get", memory_id=other)["memory"] == "not mine"

    def test_keeps_the_texts_in_the_history(self, service: Service, user: str) -> None:
        memory_id = add(service, "x", user_id=user)
        service.ask("delete_all", user_id=user)
        rows = service.ask("history", memory_id=memory_id)["results"]
        assert [row["old_memory"] for row in rows] == [None, "x"]

    def test_purge_erases_them_of_earlier_deleted_ones_too(
        self, service: Service, user: str
    ) -> None:
        early, late = (add(service, "secret", user_id=user) for _ in range(2))
        service.ask("delete", memory_id=early)
        service.ask("delete_all", user_id=user, purge=True)
        for memory_id in (early, late):
            rows = service.ask("history", memory_id=memory_id)["results"]
            assert [row["event"] for row in rows] == ["ADD", "DELETE"]
            assert {row[key] for row in rows for key in ("old_memory", "new_memory")} == {None}

    @pytest.mark.parametrize("body", [{}, {"purge": True}, {"user_id": "*"}, {"user_id": None}])
    def test_without_a_scope_is_400_and_deletes_nothing(
        self, service: Service, user: str, body: Any
    ) -> None:
        memory_id = add(service, "x", user_id=user)
        assert service.post("delete_all", body).status_code == 400
        assert service.ask("get", memory_id=memory_id)


def test_reset_leaves_nothing_and_a_service_that_works(empty_service: Service) -> None:
    memory_id = add(empty_service, "x", user_id="a")
    assert empty_service.post("reset").json()["deleted"] == 1
    assert empty_service.post("get_all").json()["results"] == []
    assert empty_service.post("history", {"memory_id": memory_id}).status_code == 404
    assert add(empty_service, "y", user_id="a")


BY_ID = ["get", "update", "delete", "history"]


@pytest.mark.parametrize("route", BY_ID)
def test_an_unknown_id_is_404(service: Service, route: str) -> None:
    change = {"data": "x"} if route == "update" else {}
    response = service.post(route, {"memory_id": UNKNOWN, **change})
    assert (response.status_code, response.json()["code"]) == (404, "memory_not_found")


@pytest.mark.parametrize("route", BY_ID)
@pytest.mark.parametrize("memory_id", ["", "nope", 5, None, ["x"], "\ud800"])
def test_an_id_that_is_no_uuid_is_400(service: Service, route: str, memory_id: Any) -> None:
    change = {"data": "x"} if route == "update" else {}
    response = post_json(service, route, {"memory_id": memory_id, **change})
    assert response.status_code == 400
    assert [*errors(response)] == ["memory_id"]


@pytest.mark.parametrize("key", ["user_id", "agent_id", "app_id", "run_id"])
@pytest.mark.parametrize(
    "value",
    [
        "*",
        "",
        " ",
        "a b",
        "a\t",
        "a\n",
        "\x00",
        "\u200b",
        "\ud800",
        "x" * 257,
        5.5,
        2**53,
        True,
        None,
    ],
)
@pytest.mark.parametrize("route", ["add", "get_all", "search", "delete_all"])
def test_a_bad_scope_id_is_400(service: Service, route: str, key: str, value: Any) -> None:
    needed = {"add": {"data": "x"}, "search": {"query": "x"}}.get(route, {})
    response = post_json(service, route, {key: value, **needed})
    assert response.status_code == 400
    assert key in errors(response)


MESSAGE = "messages.0.content"
LONG = "x" * 60_000


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("add", {"data": "x", "usr_id": "a", "user_id": "a"}, "usr_id"),
        ("add", {"data": "x"}, "body"),
        ("add", {"user_id": "a"}, "body"),
        (
            "add",
            {"data": "x", "messages": [{"role": "user", "content": "x"}], "user_id": "a"},
            "body",
        ),
        ("add", {"data": "", "user_id": "a"}, "data"),
        ("add", {"data": " \n\u3000", "user_id": "a"}, "data"),
        ("add", {"data": "x" * 100_001, "user_id": "a"}, "data"),
        ("add", {"data": ["x"], "user_id": "a"}, "data"),
        ("add", {"data": "\ud800", "user_id": "a"}, "data"),
        ("add", {"messages": [], "user_id": "a"}, "messages"),
        ("add", {"messages": ["x"], "user_id": "a"}, "messages.0"),
        (
            "add",
            {"messages": [{"role": "narrator", "content": "x"}], "user_id": "a"},
            "messages.0.role",
        ),
        ("add", {"messages": [{"role": "tool", "content": "x"}], "user_id": "a"}, "body"),
        ("add", {"messages": [{"role": "assistant", "content": None}], "user_id": "a"}, "body"),
        ("add", {"messages": [{"role": "user", "content": " "}], "user_id": "a"}, "body"),
        ("add", {"messages": [{"role": "user", "content": None}], "user_id": "a"}, "body"),
        ("add", {"messages": [{"role": "user", "content": 5}], "user_id": "a"}, MESSAGE),
        ("add", {"messages": [{"role": "user", "content": [5]}], "user_id": "a"}, MESSAGE),
        ("add", {"messages": [{"role": "user", "content": [LONG, LONG]}], "user_id": "a"}, MESSAGE),
        ("add", {"data": "x", "user_id": "a", "timestamp": "yesterday"}, "timestamp"),
        ("add", {"data": "x", "user_id": "a", "timestamp": True}, "timestamp"),
        ("add", {"data": "x", "user_id": "a", "timestamp": 10**30}, "timestamp"),
        ("add", {"data": "x", "user_id": "a", "timestamp": "04/05/2024"}, "timestamp"),
        ("add", {"data": "x", "user_id": "a", "timestamp": "2999-01-01T00:00:00Z"}, "timestamp"),
        ("add", {"messages": [{"role": "user"}], "user_id": "a"}, "messages.0.content"),
        ("add", {"messages": [{"role": "system", "content": "x"}], "user_id": "a"}, "body"),
        ("add", {"data": "x", "user_id": "a", "infer": "yes"}, "infer"),
        ("add", {"data": "x", "user_id": "a", "expiration_date": "20300101"}, "expiration_date"),
        ("add", {"data": "x", "user_id": "a", "expiration_date": "2030-02-30"}, "expiration_date"),
        ("add", {"data": "x", "user_id": "a", "metadata": "m"}, "metadata"),
        ("add", {"data": "x", "user_id": "a", "metadata": {"created_at": 5}}, "metadata"),
        ("add", {"data": "x", "user_id": "a", "metadata": {"user_id": "b"}}, "metadata"),
        ("add", {"data": "x", "user_id": "a", "metadata": {"n": 2**63}}, "metadata"),
        ("add", {"data": "x", "user_id": "a", "metadata": {"s": "\ud800"}}, "metadata"),
        ("add", {"data": "x", "user_id": "a", "metadata": {"big": "x" * 64_000}}, "metadata"),
        ("add", {"data": "x", "user_id": "a", "metadata": {"a.b": "x"}}, "metadata"),
        ("get_all", {"limit": 0}, "limit"),
        ("get_all", {"limit": 1001}, "limit"),
        ("get_all", {"limit": "5"}, "limit"),
        ("get_all", {"limit": True}, "limit"),
        ("get_all", {"cursor": "nonsense"}, "cursor"),
        ("get_all", {"cursor": "WzFd"}, "cursor"),
        ("search", {}, "query"),
        ("search", {"query": "  "}, "query"),
        ("search", {"query": "x", "threshold": 1.1}, "threshold"),
        ("search", {"query": "x", "limit": 1, "top_k": 1}, "top_k"),
        ("update", {"memory_id": UNKNOWN}, "body"),
        ("update", {"memory_id": UNKNOWN, "metadata": {"data": "x"}}, "metadata"),
        ("update", {"memory_id": UNKNOWN, "metadata": {"a.b": "x"}}, "metadata"),
        ("update", {"memory_id": UNKNOWN, "data": " "}, "data"),
        ("reset", {"user_id": "a"}, "user_id"),
    ],
)
def test_a_wrong_field_is_400_and_named(
    service: Service, route: str, body: Any, field: str
) -> None:
    response = post_json(service, route, body)
    assert response.status_code == 400, response.text
    assert [*errors(response)] == [field]


@pytest.mark.parametrize(
    "metadata",
    [
        {"": 1},
        {".": 1},
        {"a.": 1},
        {'a"': 1},
        {"a\\b": 1},
        {"x" * 257: 1},
        {"AND": 1},
        {"OR": [{"a": 1}]},
        {"NOT": None},
        {"deep": {"a.b": 1}},
        {"deep": {"er": {"": 1}}},
        {"deep": {"er": {'"': {}}}},
        {"x" * 128: {"y" * 128: 1}},
    ],
    ids=lambda metadata: str(metadata)[:30],
)
@pytest.mark.parametrize("route", ["add", "update"])
def test_a_metadata_key_that_no_filter_could_name_is_refused_with_it(
    service: Service, route: str, metadata: dict[str, Any]
) -> None:
    whose = {"memory_id": UNKNOWN} if route == "update" else {"data": "x", "user_id": "a"}
    response = service.post(route, {**whose, "metadata": metadata})
    assert response.status_code == 400
    [key] = metadata
    [message] = errors(response).values()
    assert "must not use the key" in message
    assert key[:30] in message.replace("\\\\", "\\")
    assert len(message) < 200


def test_every_other_metadata_key_is_found_by_a_filter(service: Service, user: str) -> None:
    keys = ["two words", "a[0]", "a/b", "名字", "é", "-", "$", "and", "🏔", "x" * 256, "\n", "'"]
    memory_id = add(service, "x", user_id=user, metadata=dict.fromkeys(keys, "v"))
    for key in keys:
        found = service.ask("get_all", user_id=user, filters={key: "v"})["results"]
        assert [memory["id"] for memory in found] == [memory_id], key
    deep = {"AND": {"y" * 200: [{"a.b": 1, "": 2}]}, "z": {"OR": 3}}
    memory_id = add(service, "x", user_id=user, metadata={"deep": deep})
    for key, value in {"deep.z.OR": 3, f"deep.AND.{'y' * 200}": "*"}.items():
        found = service.ask("get_all", user_id=user, filters={key: value})["results"]
        assert [memory["id"] for memory in found] == [memory_id], key


def test_metadata_may_be_10_levels_deep_and_no_deeper(service: Service, user: str) -> None:
    def nested(levels: int) -> dict[str, Any]:
        return {"in": nested(levels - 1)} if levels > 1 else {"leaf": 1}

    assert add(service, "x", user_id=user, metadata=nested(10))
    response = service.post("add", {"data": "x", "user_id": user, "metadata": nested(11)})
    assert [*errors(response)] == ["metadata"]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"data":"x","data":"y","user_id":"a"}',
        b'{"data":"x","user_id":"a","metadata":{"k":1,"k":2}}',
        b'{"data":"x","user_id":"a","metadata":{"k":NaN}}',
        b'{"data":"x","user_id":"a","metadata":{"k":Infinity}}',
        b'{"data":"x","user_id":"a","metadata":{"k":1e999}}',
        b'{"data":"x","user_id":"a","metadata":{"k":' + b"9" * 5000 + b"}}",
        b'{"data":"\xff","user_id":"a"}',
        b"[" * 200_000,
    ],
    ids=lambda raw: raw[:60],
)
def test_a_body_that_is_no_proper_json_object_is_400(service: Service, raw: bytes) -> None:
    response = service.post("add", content=raw, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_refused_requests_store_nothing(service: Service, user: str) -> None:
    service.post("add", {"data": "x", "user_id": user, "metadata": {"hash": "h"}})
    service.post("add", {"data": "x", "user_id": user, "usr": 1})
    assert service.ask("get_all", user_id=user)["total"] == 0


def post_json(service: Service, route: str, body: Any) -> Any:
    """Post with the standard library's JSON, which can say half a surrogate pair."""
    headers = {"Content-Type": "application/json"}
    return service.post(route, content=json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize("route", ["get_all", "search"])
@pytest.mark.parametrize("limit", [{}, {"limit": 5}], ids=str)
def test_a_filter_that_would_keep_everybody_waiting_is_refused(
    service: Service, user: str, route: str, limit: dict[str, int]
) -> None:
    add(service, "x", user_id=user)
    parts = [{"OR": [{"data": {"contains": f"zq{n}-{m}"}} for m in range(40)]} for n in range(25)]
    asked = {"user_id": user, "filters": {"OR": parts}, **limit}
    if route == "search":
        asked["query"] = "x"
    response = service.post(route, asked)
    assert (response.status_code, response.json()["code"]) == (400, "filter_too_expensive")
    assert [*errors(response)] == ["filters"]
    asked["filters"] = {"OR": [{"data": {"contains": "x"}}, *parts[0]["OR"]]}
    assert len(service.post(route, asked).json()["results"]) == 1
