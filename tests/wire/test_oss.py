"""The API of mem0's open-source server, by what Hermes, agentscope and bridges send."""

import json
from typing import Any

import httpx
import pytest

from tests.service import Service

NEW_ID = "6dc21140-8a4b-4443-a951-25a7ac90217b"
ANY_KEY = {"X-API-Key": "any text"}  # their clients must send one


def ask(service: Service, method: str, path: str, body: Any = None) -> httpx.Response:
    options = {} if body is None else {"json": body}
    return service.http.request(method, path, headers=ANY_KEY, **options)


def told(service: Service, method: str, path: str, body: Any = None) -> Any:
    response = ask(service, method, path, body)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_life_of_a_memory(service: Service, user: str) -> None:
    said = [{"role": "user", "content": "I drink tea"}, {"role": "assistant", "content": "Noted"}]
    body = {
        "messages": said,
        "user_id": user,
        "agent_id": None,
        "infer": False,
        "metadata": {"a": 1},
    }
    added = told(service, "POST", "/memories", {**body, "infer": False})["results"]
    assert [one["event"] for one in added] == ["ADD", "ADD"]
    path = f"/memories/{added[0]['id']}"
    memory = told(service, "GET", path)
    assert (memory["memory"], memory["user_id"], memory["metadata"]) == (
        "I drink tea",
        user,
        {"a": 1},
    )
    for text in ({"text": "I drink coffee"}, {"data": "I drink cocoa"}):
        assert "updated" in told(service, "PUT", path, text)["message"]
    listed = told(service, "GET", f"/memories?user_id={user}")["results"]
    assert {one["memory"] for one in listed} == {"I drink cocoa", "Noted"}
    assert len(told(service, "GET", f"/memories?user_id={user}&top_k=1")["results"]) == 1
    assert "deleted" in told(service, "DELETE", path)["message"]
    events = [row["event"] for row in told(service, "GET", f"{path}/history")]
    assert events == ["ADD", "UPDATE", "UPDATE", "DELETE"]
    told(service, "DELETE", f"/memories?user_id={user}")
    assert told(service, "GET", f"/memories?user_id={user}")["results"] == []


@pytest.mark.parametrize(
    "place",
    [
        {"filters": {"user_id": "<user>"}},
        {"user_id": "<user>"},
        {"user_id": "<user>", "agent_id": None, "filters": {"kind": "drink"}},
        {"filters": {"AND": [{"user_id": "<user>"}, {"kind": {"nin": ["food"]}}]}},
        {"filters": {"user_id": "<user>", "OR": [{"kind": "drink"}, {"kind": "food"}]}},
    ],
)
def test_a_search_names_its_user_in_filters_or_beside_them(
    service: Service, user: str, place: dict[str, Any]
) -> None:
    for who in (user, f"not-{user}"):
        body = {"messages": "I drink tea", "user_id": who, "metadata": {"kind": "drink"}}
        told(service, "POST", "/memories", body)
    named = json.loads(json.dumps(place).replace("<user>", user))
    found = told(service, "POST", "/search", {"query": "tea", "top_k": 5, **named})["results"]
    assert [(one["memory"], one["user_id"]) for one in found] == [("I drink tea", user)]
    assert 0 < found[0]["score"] <= 1


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/memories", {"messages": "x"}, "give at least one of"),
        ("POST", "/memories", {"user_id": "a"}, "messages"),
        ("POST", "/search", {"query": "x"}, "does not say whose"),
        ("POST", "/search", {"query": "x", "filters": {"kind": "x"}}, "does not say whose"),
        ("POST", "/search", {"query": "x", "filters": {"user_id": 5}}, "must be a text"),
        ("POST", "/search", {"query": "x", "filters": {"OR": {"user_id": "a"}}}, "takes a list"),
        ("POST", "/search", {"query": "x", "filters": ["user_id"]}, "must be an object"),
        ("GET", "/memories", None, "does not say whose"),
        ("GET", "/memories?user_id=a&top_k=0", None, "top_k: "),
        ("DELETE", "/memories", None, "nothing was deleted"),
        ("DELETE", "/memories?user_id=*", None, "reset deletes everything"),
        ("DELETE", "/memories?user_id=a&filters=x", None, "nothing was deleted"),
        ("DELETE", "/entities/user/*", None, "reset deletes everything"),
        ("GET", "/memories/x", None, "UUID"),
        ("GET", "/memories/a%2Fb", None, "UUID"),
    ],
)
def test_what_is_wrong_is_said_in_the_detail(
    service: Service, method: str, path: str, body: Any, said: str
) -> None:
    response = ask(service, method, path, body)
    assert response.status_code == 400, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert said in response.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_memory_that_is_not_there(service: Service, method: str) -> None:
    response = ask(service, method, f"/memories/{NEW_ID}", {"text": "x"})
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/json"


def test_entities_are_listed_and_deleted(service: Service, user: str) -> None:
    entity = f"{user}/x"
    told(service, "POST", "/memories", {"messages": "tea", "agent_id": entity})
    told_of = {"id": entity, "type": "agent", "total_memories": 1}
    assert any(one | told_of == one for one in told(service, "GET", "/entities"))
    told(service, "DELETE", f"/entities/agent/{entity.replace('/', '%2F')}")
    assert told(service, "GET", f"/memories?agent_id={entity}")["results"] == []


def test_its_settings_are_not_to_be_had(service: Service) -> None:
    assert ask(service, "POST", "/configure", {"llm": {}}).status_code == 501


def test_reset_takes_everything(fresh_service: Service) -> None:
    told(fresh_service, "POST", "/memories", {"messages": "tea", "user_id": "a"})
    assert told(fresh_service, "POST", "/reset")["deleted"] == 1
    assert told(fresh_service, "GET", "/entities") == []
