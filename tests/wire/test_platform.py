"""mem0's Platform API, by what its clients send: each body and query here is one of theirs."""

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app import create_app
from app.config import Settings
from tests.service import Service

NEW_ID = "6dc21140-8a4b-4443-a951-25a7ac90217b"
FOOD = "I am a vegetarian and allergic to nuts."


class Client:
    def __init__(self, service: Service, user: str) -> None:
        self.http = service.http
        self.user = user

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        options |= {} if body is None else {"json": body}
        return self.http.request(method, path, **options)

    def told(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        response = self.ask(method, path, body, **options)
        assert response.status_code == 200, response.text
        return response.json()

    def add(self, text: str, **fields: Any) -> str:
        messages = [{"role": "user", "content": text}]
        body = {"messages": messages, "user_id": self.user, **fields}
        added: str = self.told("POST", "/v3/memories/add/", body)["results"][0]["id"]
        return added

    def texts(self, **filters: Any) -> list[str]:
        found = self.told("POST", "/v3/memories/", {"filters": filters or {"user_id": self.user}})
        return sorted(memory["memory"] for memory in found["results"])

    def refusal(self, method: str, path: str, body: Any = None, **options: Any) -> str:
        """What is said of a request that is 400."""
        response = self.ask(method, path, body, **options)
        assert response.status_code == 400, response.text
        assert response.headers["Content-Type"] == "application/json"
        detail: str = response.json()["detail"]
        return detail


@pytest.fixture
def client(service: Service, user: str) -> Client:
    return Client(service, user)


def test_ping_has_what_clients_cannot_be_made_without(client: Client) -> None:
    pong = client.told("GET", "/v1/ping/")
    assert pong["status"] == "ok"
    assert pong["org_id"]
    assert pong["project_id"]
    assert pong["user_email"] is None


@pytest.mark.parametrize(
    "messages",
    [
        FOOD,
        {"role": "user", "content": FOOD},
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": FOOD}],
    ],
)
def test_an_add_is_done_when_it_answers(client: Client, messages: Any) -> None:
    body = {"messages": messages, "user_id": client.user, "infer": True, "source": "N8N"}
    added = client.told("POST", "/v3/memories/add/", body)
    assert added["status"] == "SUCCEEDED"
    assert "no LLM" in added["message"]
    [result] = added["results"]
    assert (result["event"], result["memory"]) == ("ADD", FOOD)
    assert result["data"] == {"memory": FOOD}
    # There is nothing to wait for, and what is not known is not said to have succeeded.
    assert client.ask("GET", f"/v1/event/{added['event_id']}/").status_code == 404


def test_an_add_may_name_its_user_in_filters(client: Client) -> None:
    client.add("tea", user_id=None, filters={"user_id": client.user})
    assert client.texts() == ["tea"]
    body = {"messages": "tea", "filters": {"user_id": client.user, "metadata": {"a": 1}}}
    assert "only names whose" in client.refusal("POST", "/v3/memories/add/", body)


def test_stored_as_asked_needs_no_excuse(client: Client) -> None:
    body = {"messages": "tea", "user_id": client.user, "infer": False}
    assert client.told("POST", "/v3/memories/add/", body)["message"] == "Memories stored."


def test_a_memory_has_every_key_that_clients_look_for(client: Client) -> None:
    memory_id = client.add(FOOD, metadata={"kind": "food"})
    memory = client.told("GET", f"/v1/memories/{memory_id}/")
    assert memory["id"] == memory_id
    assert memory["memory"] == FOOD
    assert memory["user_id"] == client.user
    assert memory["metadata"] == {"kind": "food"}
    for key in ("agent_id", "run_id", "categories", "expiration_date"):
        assert memory[key] is None
    [listed] = client.told("POST", "/v3/memories/", {"filters": {"user_id": client.user}})[
        "results"
    ]
    assert listed == memory


def test_a_paraphrase_passes_the_threshold_of_mem0s_cli(client: Client) -> None:
    client.add(FOOD)
    client.add("My sister lives in Berlin.")
    body = {
        "query": "What are my dietary restrictions?",
        "top_k": 10,
        "threshold": 0.3,
        "filters": {"user_id": client.user},
        "source": "CLI",
    }
    [found] = client.told("POST", "/v3/memories/search/", body)["results"]
    assert found["memory"] == FOOD
    assert 0.3 <= found["score"] <= 1


def test_what_has_nothing_to_do_with_the_query_is_left_out_by_default(client: Client) -> None:
    client.add(FOOD)
    client.add("My sister lives in Berlin.")
    body = {"query": "What are my dietary restrictions?", "filters": {"user_id": client.user}}
    found = client.told("POST", "/v3/memories/search/", body)["results"]
    assert [memory["memory"] for memory in found] == [FOOD]
    everything = client.told("POST", "/v3/memories/search/", {**body, "threshold": 0})["results"]
    assert len(everything) == 2


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ({"user_id": "A"}, "A"),
        ({"userId": "A"}, "A"),
        ({"AND": [{"user_id": "A"}]}, "A"),
        ({"AND": [{"user_id": "A"}, {"metadata": {"of": "A"}}]}, "A"),
        ({"AND": [{"user_id": "A"}, {"metadata": {"of": {"ne": "A"}}}]}, ""),
        ({"AND": [{"user_id": "A"}, {"user_id": "B"}]}, ""),
        ({"OR": [{"user_id": "A"}, {"user_id": "B"}]}, "AB"),
        ({"OR": [{"user_id": "A"}, {"agent_id": "nobody"}]}, "A"),
        ({"user_id": {"in": ["A", "B"]}}, "AB"),
        ({"user_id": ["A", "B"]}, "AB"),
        ({"user_id": {"ne": "A"}}, "B"),
        ({"NOT": [{"user_id": "A"}]}, "B"),
        ({"NOT": {"user_id": "A"}}, "B"),
        ({"user_id": "*"}, "AB"),
        ({"AND": [{"user_id": "*"}, {"keywords": {"contains": "A"}}]}, "A"),
        ({"AND": [{"user_id": "A"}, {"created_at": {"gte": "2020-01-01"}}]}, "A"),
        ({"AND": [{"user_id": "A"}, {"created_at": {"gte": "2100-01-01"}}]}, ""),
        ({"AND": [{"user_id": "A"}, {"categories": {"contains": "food"}}]}, "A"),
        ({"AND": [{"user_id": "A"}, {"categories": {"contains": "sport"}}]}, ""),
    ],
)
def test_scope_is_understood_wherever_it_stands_in_filters(
    client: Client, shape: Any, found: str
) -> None:
    names = {letter: f"{letter}-{client.user}" for letter in "AB"}
    food = ["food"]
    ids = [
        client.add(f"{name} drinks tea", user_id=name, metadata={"of": name, "categories": food})
        for name in names.values()
    ]

    def named(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: named(value) for key, value in part.items()}
        return [named(one) for one in part] if isinstance(part, list) else names.get(part, part)

    # Of these two alone: others share the service.
    filters = {"AND": [named(shape), {"memory_ids": ids}]}
    wanted = [f"{names[letter]} drinks tea" for letter in found]
    assert client.texts(**filters) == wanted
    body = {"query": "tea", "filters": filters}
    results = client.told("POST", "/v3/memories/search/", body)["results"]
    assert sorted(memory["memory"] for memory in results) == wanted


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (None, "does not say whose"),
        ({}, "does not say whose"),
        ({"metadata": {"kind": "x"}}, "does not say whose"),
        ({"user_id": "a", "kind": "x"}, "'kind' is not a key"),
        ({"user_id": {"nin": ["a"]}}, "unknown operator"),
        ({"user_id": None}, "must be a text"),
        ({"user_id": ""}, "white space"),
        ("user_id", "must be an object"),
        ({"user_id": "a", "memory_ids": ["x"]}, "UUIDs"),
    ],
)
@pytest.mark.parametrize("path", ["/v3/memories/", "/v3/memories/search/"])
def test_filters_that_name_nobody_or_are_wrong_are_refused(
    client: Client, path: str, filters: Any, said: str
) -> None:
    body = {"query": "tea", **({} if filters is None else {"filters": filters})}
    assert said in client.refusal("POST", path, body)


def test_deep_filters_are_refused(client: Client) -> None:
    deep: Any = {"user_id": "a"}
    for _ in range(200):
        deep = {"AND": [deep]}
    assert "levels deep" in client.refusal("POST", "/v3/memories/", {"filters": deep})
    operators: Any = "a"
    for _ in range(200):
        operators = {"eq": operators}
    wrong = {"filters": {"user_id": operators}}
    assert "must be a text" in client.refusal("POST", "/v3/memories/", wrong)


def test_pages_go_on_until_next_is_null(client: Client) -> None:
    for number in range(5):
        client.add(f"tea {number}")
    seen, number = [], 1
    while True:
        paging = {"page": number, "page_size": 2}
        body = {"filters": {"user_id": client.user}}
        page = client.told("POST", "/v3/memories/", body, params=paging)
        assert page["count"] == 5
        assert (page["previous"] is None) == (number == 1)
        seen += [memory["memory"] for memory in page["results"]]
        if page["next"] is None:
            break
        number += 1
        assert f"page={number}" in page["next"]
    assert seen == [f"tea {number}" for number in (4, 3, 2, 1, 0)]
    beyond = client.told("POST", "/v3/memories/", body, params={"page": 9, "page_size": 2})
    assert (beyond["results"], beyond["next"], beyond["count"]) == ([], None, 5)


@pytest.mark.parametrize("page", ["0", "-1", "x", "1.5", "1001", "9" * 30])
def test_a_page_is_a_number(client: Client, page: str) -> None:
    body = {"filters": {"user_id": client.user}}
    assert "page: " in client.refusal("POST", "/v3/memories/", body, params={"page": page})


@pytest.mark.parametrize("start", ["2020-01-01", "2100-01-01"])
def test_a_listing_can_begin_at_a_date(client: Client, start: str) -> None:
    client.add("tea")
    body = {"filters": {"user_id": client.user}, "start_date": start}
    assert client.told("POST", "/v3/memories/", body)["count"] == (start == "2020-01-01")


class TestOlderClients:
    """Those before v3: bare lists, unless they ask for v1.1."""

    @pytest.mark.parametrize("path", ["/v1/memories/search/", "/v2/memories/search/"])
    def test_search(self, client: Client, path: str) -> None:
        client.add("tea")
        for where in ({"user_id": client.user}, {"filters": {"user_id": client.user}}):
            bare = client.told("POST", path, {"query": "tea", **where})
            assert [memory["memory"] for memory in bare] == ["tea"]
            body = {"query": "tea", "output_format": "v1.1", **where}
            assert client.told("POST", path, body) == {"results": bare}

    def test_lists(self, client: Client) -> None:
        client.add("tea")
        ours = {"user_id": client.user, "org_id": "x"}
        bare = client.told("GET", "/v1/memories/", params=ours)
        assert [memory["memory"] for memory in bare] == ["tea"]
        wrapped = client.told("GET", "/v1/memories/", params={**ours, "output_format": "v1.1"})
        assert wrapped == {"results": bare}
        assert client.told("POST", "/v2/memories/", {"filters": {"user_id": client.user}}) == bare
        body = {"filters": {"user_id": client.user}}
        page = client.told("POST", "/v2/memories/", body, params={"page": 1})
        assert (page["count"], page["results"]) == (1, bare)

    def test_add(self, client: Client) -> None:
        body = {"messages": "tea", "user_id": client.user, "output_format": "v1.1"}
        assert client.told("POST", "/v1/memories/", body)["results"][0]["memory"] == "tea"


def test_one_memory_is_changed_followed_and_deleted(client: Client) -> None:
    memory_id = client.add("tea", expiration_date="2100-01-01")
    path = f"/v1/memories/{memory_id}/"
    changed = client.told("PUT", path, {"text": "coffee", "metadata": {"a": 1}, "timestamp": 5})
    assert (changed["memory"], changed["metadata"]) == ("coffee", {"a": 1})
    assert changed["expiration_date"] == "2100-01-01"
    assert client.told("PUT", path, {"expiration_date": None})["expiration_date"] is None
    assert "message" in client.told("DELETE", path, params={"source": "CLI"})
    events = client.told("GET", f"{path}history/")
    assert [row["event"] for row in events] == ["ADD", "UPDATE", "UPDATE", "DELETE"]
    assert client.ask("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "says of nobody"),
        ("source=CLI", "says of nobody"),
        ("filters=%7B%27user_id%27%3A+%27{user}%27%7D", "filters: is not understood"),
        ("user_id={user}&metadata=x", "metadata: is not understood"),
        ("userId={user}", "userId: is not understood"),
        ("user_id=*", "reset deletes everything"),
        ("user_id={user}&run_id=*", "reset deletes everything"),
        ("user_id={user}&user_id=bob", "is given twice"),
        ("user_id=", "white space"),
    ],
)
def test_a_deletion_that_is_not_understood_deletes_nothing(
    client: Client, query: str, said: str
) -> None:
    client.add("tea")
    path = f"/v1/memories/?{query.format(user=client.user)}"
    assert said in client.refusal("DELETE", path)
    assert client.texts() == ["tea"]


def test_a_deletion_by_a_body_deletes_nothing(client: Client) -> None:
    client.add("tea")
    path = f"/v1/memories/?user_id={client.user}"
    assert "is not understood" in client.refusal("DELETE", path, {"run_id": "r"})
    # What a client sends that was given an empty memory id.
    client.refusal("DELETE", "/v1/memories//")
    assert client.texts() == ["tea"]


def test_delete_all_takes_the_scope_of_the_query(client: Client) -> None:
    client.add("tea", run_id="r")
    client.add("coffee")
    client.told("DELETE", "/v1/memories/", params={"user_id": client.user, "run_id": "r"})
    assert client.texts() == ["coffee"]
    headers = {"Content-Type": "application/json"}  # with no body, as JavaScript sends it
    client.told("DELETE", f"/v1/memories/?user_id={client.user}", headers=headers)
    assert client.texts() == []


@pytest.mark.parametrize("name", ["a/b", "50%", "a%2Fb", "a?b#c", "\u00fc"])
def test_entities_are_told_and_deleted_whatever_their_name(client: Client, name: str) -> None:
    entity = f"{client.user}{name}"
    client.add("tea", user_id=entity)
    client.add("left", user_id=client.user)
    told = client.told("GET", "/v1/entities/")
    assert told["next"] is None
    [found] = [one for one in told["results"] if one["name"] == entity]
    assert (found["type"], found["total_memories"]) == ("user", 1)
    path = f"/v2/entities/user/{quote(entity, safe='')}/"
    client.told("DELETE", path)
    client.told("DELETE", path)  # its memories may have gone with another's
    assert client.texts(user_id=entity) == []
    assert client.texts() == ["left"]


def test_expired_memories_belong_to_entities_too(client: Client) -> None:
    client.add("tea", expiration_date="2020-01-01")
    names = [one["name"] for one in client.told("GET", "/v1/entities/")["results"]]
    assert client.user in names


@pytest.mark.parametrize("spelt", ["app_id", "appId"])
def test_an_app_is_an_id_as_the_others_are(client: Client, spelt: str) -> None:
    app = f"app-{client.user}"
    client.add("tea", app_id=app)
    client.add("coffee")
    assert client.texts(**{spelt: app}) == ["tea"]
    kinds = {one["name"]: one["type"] for one in client.told("GET", "/v1/entities/")["results"]}
    assert kinds[app] == "app"
    client.told("DELETE", f"/v2/entities/app/{app}/")
    assert client.texts() == ["coffee"]


def test_a_kind_of_entity_that_there_is_not(client: Client) -> None:
    assert "must be one of" in client.refusal("DELETE", "/v2/entities/planet/mars/")
    assert "reset deletes" in client.refusal("DELETE", "/v2/entities/user/*/")


class TestBatches:
    def test_change_and_delete_several(self, client: Client) -> None:
        ids = [client.add("tea"), client.add("coffee")]
        changes = [{"memory_id": one, "text": f"new {one}"} for one in ids]
        client.told("PUT", "/v1/batch/", {"memories": changes})
        assert client.texts() == sorted(change["text"] for change in changes)
        client.told("DELETE", "/v1/batch/", {"memories": [{"memory_id": one} for one in ids]})
        assert client.texts() == []

    @pytest.mark.parametrize(
        ("wrong", "status"),
        [
            ({"memory_id": NEW_ID, "text": "x"}, 404),
            ({"memory_id": "x", "text": "x"}, 400),
            ({"text": "x"}, 400),
            ("x", 400),
        ],
    )
    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_one_that_is_wrong_leaves_all_as_they_were(
        self, client: Client, method: str, wrong: Any, status: int
    ) -> None:
        good = {"memory_id": client.add("tea"), "text": "new"}
        response = client.ask(method, "/v1/batch/", {"memories": [good, wrong]})
        assert response.status_code == status
        if status == 400:
            assert "memories.1" in response.json()["detail"]
        assert client.texts() == ["tea"]

    @pytest.mark.parametrize("memories", [[], None, "x"])
    def test_takes_a_list(self, client: Client, memories: Any) -> None:
        assert "memories: " in client.refusal("PUT", "/v1/batch/", {"memories": memories})


def test_there_are_no_events_at_work(client: Client) -> None:
    assert client.told("GET", "/v1/events/")["results"] == []
    assert "event_id: " in client.refusal("GET", "/v1/event/x/")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/orgs/organizations/o/projects/p/?fields=custom_instructions"),
        ("PATCH", "/api/v1/orgs/organizations/o/projects/p/"),
        ("GET", "/api/v1/webhooks/projects/p/"),
        ("DELETE", "/api/v1/webhooks/w/"),
        ("POST", "/v1/exports/"),
        ("POST", "/v1/exports/get/"),
        ("POST", "/v1/summary/"),
        ("POST", "/v1/feedback/"),
        ("GET", "/v2/profiles/settings/"),
        ("POST", "/v2/profiles/jobs/"),
    ],
)
def test_what_is_not_offered_is_no_memory_that_is_missing(
    client: Client, method: str, path: str
) -> None:
    response = client.ask(method, path)
    assert response.status_code == 501
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["code"] == "not_offered"
    assert response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v1/memories/x/", {}, 400),
        ("GET", "/v1/memories/a%2Fb/", {}, 400),
        ("GET", "/v1/memories/%FF/", {}, 400),
        ("GET", f"/v1/memories/{NEW_ID}/", {}, 404),
        ("GET", f"/v1/memories/{NEW_ID}/history/", {}, 404),
        ("PUT", f"/v1/memories/{NEW_ID}/", {"json": {"text": "x"}}, 404),
        ("PUT", f"/v1/memories/{NEW_ID}/", {"json": {}}, 400),
        ("DELETE", f"/v1/memories/{NEW_ID}/", {}, 404),
        ("GET", "/v1/nothing/", {}, 404),
        ("PATCH", "/v1/ping/", {}, 405),
        ("POST", "/v3/memories/add/", {"json": {"user_id": "a"}}, 400),
        ("POST", "/v3/memories/add/", {"json": {"messages": "x"}}, 400),
        ("POST", "/v3/memories/add/", {"json": ["x"]}, 400),
        ("POST", "/v3/memories/add/", {"content": "x"}, 415),
        ("POST", "/v3/memories/search/", {"json": {"filters": {"user_id": "a"}}}, 400),
    ],
)
def test_failures_are_json_with_a_detail(
    client: Client, method: str, path: str, options: Any, status: int
) -> None:
    response = client.ask(method, path, **options)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", 7), ("threshold", {}), ("top_k", 1001), ("query", " ")]
)
def test_a_wrong_field_is_named_in_the_detail(client: Client, field: str, value: Any) -> None:
    body = {"query": "x", "filters": {"user_id": "a"}, field: value}
    assert f"{field}: " in client.refusal("POST", "/v3/memories/search/", body)
    assert "text: " in client.refusal("PUT", f"/v1/memories/{NEW_ID}/", {"text": " "})


def test_a_page_that_would_be_cut_short_is_refused(client: Client) -> None:
    body = {"filters": {"user_id": client.user}}
    paging = {"page_size": 1001}
    assert "page_size: " in client.refusal("POST", "/v3/memories/", body, params=paging)


@pytest.mark.parametrize(
    "path", ["/v3/memories/", "/v3/memories", "//v3/memories/", "/v3//memories//"]
)
def test_slashes_are_as_clients_put_them(client: Client, path: str) -> None:
    client.add("tea")
    url = f"{str(client.http.base_url).rstrip('/')}{path}"
    assert client.told("POST", url, {"filters": {"user_id": client.user}})["count"] == 1


def test_the_nine_routes_still_refuse_what_they_do_not_know(service: Service) -> None:
    response = service.post("add", {"data": "tea", "user_id": "a", "source": "CLI"})
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("chosen", "there", "absent"),
    [
        ("platform", "/v1/ping/", "/memories"),
        ("oss", "/memories", "/v1/ping/"),
        ("mcp", "/mcp", "/v1/ping/"),
        ("none", "/memory/add", "/v1/ping/"),
        ("none", "/memory/add", "/mcp"),
    ],
)
def test_dialects_can_be_turned_off(tmp_path: Path, chosen: str, there: str, absent: str) -> None:
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "DIALECTS": chosen})
    app = create_app(settings, memory=object())  # type: ignore[arg-type]
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert there in rules
    assert absent not in rules


def test_ids_of_events_are_new(client: Client) -> None:
    body = {"messages": "tea", "user_id": client.user}
    ids = {client.told("POST", "/v3/memories/add/", body)["event_id"] for _ in range(2)}
    assert len({uuid.UUID(one) for one in ids}) == 2
