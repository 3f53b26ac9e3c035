"""No score, order or count tells the holder of a key whether others' memories have a word."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from app.security.keys import Keys, new_key_id
from app.security.principal import Principal
from tests.filling import SERVER_IN_SOAK, Place
from tests.service import ADMIN_KEY, Service

SECRET, COMMON = "zebrafish", "quincejam"
Headers = dict[str, str]
Results = list[dict[str, Any]]


@pytest.fixture(scope="module", params=SERVER_IN_SOAK)
def locked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service that asks for keys, with some memories of others already."""
    with ExitStack() as stack:
        place = Place(request.param, tmp_path_factory.mktemp("words") / "data", stack)
        place.fill(30, "something else altogether", {"user_id": "bob"})
        yield place.start(ADMIN_API_KEY=ADMIN_KEY)


def key_of(**scope: str) -> Headers:
    minted = Keys(ADMIN_KEY).mint(Principal(new_key_id(), scope), time.time() + 3600)
    return {"Authorization": f"Bearer {minted}"}


def ask(service: Service, headers: Headers, route: str, **fields: Any) -> Results:
    response = service.post(route, fields, headers=headers)
    assert response.is_success, response.text
    results: Results = response.json()["results"]
    return results


def found(service: Service, headers: Headers, **fields: Any) -> Results:
    """What a search tells, without what is another memory's each time."""
    results = ask(service, headers, "search", query=f"{SECRET} {COMMON}", explain=True, **fields)
    return [
        {key: memory[key] for key in ("memory", "score", "similarity", "keyword")}
        for memory in results
    ]


@pytest.mark.parametrize(
    "scope", [{"user_id": "mallory"}, {"user_id": "mallory", "run_id": "r"}], ids=str
)
def test_a_scoped_key_sees_the_same_whatever_others_store(
    locked: Service, user: str, scope: dict[str, str]
) -> None:
    mallory = key_of(**scope | {"user_id": user})
    for word in (SECRET, COMMON):
        ask(locked, mallory, "add", data=word, infer=False)
    before = found(locked, mallory)
    assert len(before) == 2
    assert len({memory["keyword"] for memory in before}) == 1
    for more in (1, 2, 7):
        for _ in range(more):
            ask(locked, key_of(user_id="bob"), "add", data=f"has {SECRET}", infer=False)
        assert found(locked, mallory) == before
        assert found(locked, mallory, filters={"a": {"ne": 1}}) == []
        assert found(locked, mallory, limit=1) == before[:1]


def test_a_key_of_an_agent_does_not_see_other_users_of_other_agents(
    locked: Service, user: str
) -> None:
    agent = key_of(agent_id=user)
    for word in (SECRET, COMMON):
        ask(locked, agent, "add", data=word, user_id=f"{user}-1", infer=False)
    before = found(locked, agent)
    ask(locked, key_of(user_id="bob"), "add", data=SECRET, infer=False)
    assert found(locked, agent) == before


def test_the_frequencies_of_its_own_memories_count(locked: Service, user: str) -> None:
    mine = key_of(user_id=user)
    for text in (SECRET, COMMON, f"{COMMON} toast", f"{COMMON} tea"):
        ask(locked, mine, "add", data=text, infer=False)
    by_text = {memory["memory"]: memory["keyword"] for memory in found(locked, mine)}
    assert by_text[SECRET] > by_text[COMMON]
