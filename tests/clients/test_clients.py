"""The main job of each published client: against a service without a key, and with the admin's, a
bound and a read-only one. `make clients` installs and runs them."""

import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.security.keys import Keys, new_key_id
from app.security.principal import Principal
from tests.clients.published import CLIENTS, MODULES, Client, Refused
from tests.service import ADMIN_KEY, Service

FOOD = "I am a vegetarian and allergic to nuts."
HIKING = "I love hiking in the mountains."
QUESTION = "What are my dietary restrictions?"
CALLERS = ("no key", "admin", "bound", "read-only")
THRESHOLD = 0.3  # of mem0's CLI

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and MODULES.is_dir()),
    reason="node or tests/clients/node_modules is not there: `make clients` installs them",
)
PARAMS = [
    pytest.param(name, marks=() if name.startswith("python") else needs_node) for name in CLIENTS
]


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for no key."""
    with Service(tmp_path_factory.mktemp("opened") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data_dir = tmp_path_factory.mktemp("locked") / "data"
    with Service(data_dir, ADMIN_API_KEY=ADMIN_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(ADMIN_KEY)


@dataclass
class Job:
    """A client as a caller, for a user with one memory; `service` as nobody's client."""

    client: Client
    caller: str
    service: Service
    user: str
    memory_id: str

    @property
    def reads_only(self) -> bool:
        return self.caller == "read-only"

    def ask(self, route: str, **fields: Any) -> Any:
        response = self.service.post(route, fields, headers={"X-API-Key": ADMIN_KEY})
        assert response.is_success, response.text
        return response.json()

    def stored(self, user: str | None = None) -> list[str]:
        listed = self.ask("get_all", user_id=user or self.user)["results"]
        return sorted(memory["memory"] for memory in listed)


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=PARAMS)
def job(
    request: pytest.FixtureRequest, caller: str, opened: Service, locked: Service, keys: Keys
) -> Job:
    user = f"user-{uuid.uuid4()}"
    service = opened if caller == "no key" else locked
    bound = Principal(new_key_id(), {"user_id": user}, read_only=caller == "read-only")
    key = {"no key": "any text", "admin": ADMIN_KEY}.get(caller)
    client = CLIENTS[request.param](service.url, key or keys.mint(bound, time.time() + 3600))
    job = Job(client, caller, service, user, "")
    needed = request.function.__name__.removeprefix("test_")
    if needed in client.lacks:
        pytest.skip(f"{request.param} has no {needed}")
    job.memory_id = job.ask("add", data=FOOD, user_id=user)["result"]
    return job


def test_add(job: Job) -> None:
    if job.reads_only:
        with pytest.raises(Refused):
            job.client.add(HIKING, job.user)
        assert job.stored() == [FOOD]
    else:
        memory_id = job.client.add(HIKING, job.user)
        assert job.ask("get", memory_id=memory_id)["memory"] == HIKING
        assert job.stored() == [FOOD, HIKING]


def test_search(job: Job) -> None:
    job.ask("add", data=HIKING, user_id=job.user)
    assert FOOD in job.client.search(QUESTION, job.user, THRESHOLD)


def test_listed(job: Job) -> None:
    job.ask("add", data=HIKING, user_id=job.user)
    assert job.client.listed(job.user) == [FOOD, HIKING]


def test_get(job: Job) -> None:
    assert job.client.get(job.memory_id) == FOOD
    with pytest.raises(Refused):
        job.client.get(str(uuid.uuid4()))


def test_update(job: Job) -> None:
    if job.reads_only:
        with pytest.raises(Refused):
            job.client.update(job.memory_id, HIKING)
    else:
        job.client.update(job.memory_id, HIKING)
    assert job.stored() == ([FOOD] if job.reads_only else [HIKING])


def test_history(job: Job) -> None:
    job.ask("update", memory_id=job.memory_id, data=HIKING)
    assert job.client.history(job.memory_id) == ["ADD", "UPDATE"]


def test_delete(job: Job) -> None:
    if job.reads_only:
        with pytest.raises(Refused):
            job.client.delete(job.memory_id)
    else:
        job.client.delete(job.memory_id)
    assert job.stored() == ([FOOD] if job.reads_only else [])


def test_delete_all(job: Job) -> None:
    other = f"other-{job.user}"
    job.ask("add", data=FOOD, user_id=other)
    if job.reads_only:
        with pytest.raises(Refused):
            job.client.delete_all(job.user)
    else:
        job.client.delete_all(job.user)
    assert job.stored() == ([FOOD] if job.reads_only else [])
    assert job.stored(other) == [FOOD]


def test_users(job: Job) -> None:
    if job.caller in ("bound", "read-only"):
        assert job.client.users() == [job.user]
    else:
        assert job.user in job.client.users()


@pytest.mark.parametrize("caller", ["bound", "read-only"], indirect=True)
def test_nothing_of_others_is_found(job: Job) -> None:
    other = f"other-{job.user}"
    job.ask("add", data=FOOD, user_id=other)
    with pytest.raises(Refused):
        job.client.search(QUESTION, other, THRESHOLD)
    with pytest.raises(Refused):
        job.client.add(HIKING, other)
    assert job.stored(other) == [FOOD]


@pytest.mark.parametrize("name", PARAMS)
def test_a_wrong_key_is_refused(locked: Service, name: str) -> None:
    with pytest.raises(Refused):
        CLIENTS[name](locked.url, "wrong").search(QUESTION, "alice", THRESHOLD)
