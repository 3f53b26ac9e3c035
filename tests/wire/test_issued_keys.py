"""Keys over HTTP: minted, listed and revoked while two processes serve; and who wrote what."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.security.keys import Keys, new_key_id
from app.security.principal import Principal
from tests.servers.qdrant import QdrantServer
from tests.service import ADMIN_KEY, ONCE, Service, wait_for

ADMIN = {"X-API-Key": ADMIN_KEY}
ALICE = {"user_id": "alice"}
REVOKED = "0badc0de"


@pytest.fixture(scope="module")
def offline() -> Keys:
    return Keys(ADMIN_KEY)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two processes that ask for keys."""
    data_dir = tmp_path_factory.mktemp("keys") / "data"
    settings = {"ADMIN_API_KEY": ADMIN_KEY, "REVOKED_KEYS": REVOKED, "WEB_CONCURRENCY": "2"}
    with QdrantServer() as qdrant, Service(data_dir, QDRANT_URL=qdrant.url, **settings) as running:
        yield running


def later() -> float:
    return time.time() + 3600


def mint(service: Service, **body: Any) -> dict[str, Any]:
    response = service.http.post("/keys", json=body, headers=ADMIN)
    assert response.status_code == 201, response.text
    minted: dict[str, Any] = response.json()
    return minted


def known(service: Service) -> dict[str, dict[str, Any]]:
    keys = service.http.get("/keys", headers=ADMIN).json()["keys"]
    return {key["id"]: key for key in keys}


def revoke(service: Service, id_: str) -> httpx.Response:
    return service.http.delete(f"/keys/{id_}", headers=ADMIN)


def statuses(service: Service, key: str, requests: int = 24) -> set[int]:
    """Of requests on connections of their own, which reach both processes."""

    def ask(_: int) -> int:
        headers = {"X-API-Key": key}
        return ONCE.get(f"{service.url}/scopes", headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(4) as pool:
        return {*pool.map(ask, range(requests))}


CALLERS = {
    "no key": 401,
    "garbage": 401,
    "expired": 401,
    "revoked": 401,
    "own": 403,
    "read-only": 403,
}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("caller", CALLERS)
def test_keys_are_the_admins_alone(
    service: Service, offline: Keys, caller: str, method: str
) -> None:
    given = {
        "no key": "",
        "garbage": "garbage",
        "expired": offline.mint(Principal(new_key_id(), ALICE), time.time() - 1),
        "revoked": offline.mint(Principal(REVOKED, ALICE), later()),
        "own": offline.mint(Principal(new_key_id(), ALICE), later()),
        "read-only": offline.mint(Principal(new_key_id(), ALICE, read_only=True), later()),
    }[caller]
    victim = mint(service, user_id="alice")
    path = f"/keys/{victim['id']}" if method == "DELETE" else "/keys"
    body = ALICE if method == "POST" else None
    before = {*known(service)}
    response = service.http.request(method, path, json=body, headers={"X-API-Key": given})
    assert response.status_code == CALLERS[caller]
    after = known(service)
    seen = {offline.open(given).principal.id} if caller in ("own", "read-only") else set()
    assert {*after} - before <= seen
    assert after[victim["id"]]["revoked_at"] is None


def test_a_minted_key_opens_its_scope_and_no_other(service: Service) -> None:
    minted = mint(service, user_id="carol", app_id="shop", days=2)
    assert minted["scope"] == {"user_id": "carol", "app_id": "shop"}
    assert minted["read_only"] is False
    ends_in = datetime.fromisoformat(minted["ends_at"]) - datetime.now(UTC)
    assert timedelta(hours=47) < ends_in < timedelta(hours=49)
    own = {"X-API-Key": minted["key"]}
    added = service.post("add", {"data": "tea"}, headers=own).json()["result"]
    memory = service.post("get", {"memory_id": added}, headers=own).json()
    assert (memory["user_id"], memory["app_id"]) == ("carol", "shop")
    assert service.post("get_all", ALICE, headers=own).status_code == 403
    assert service.post("reset", {}, headers=own).status_code == 403


def test_a_minted_key_may_be_read_only(service: Service) -> None:
    own = {"X-API-Key": mint(service, user_id="carol", read_only=True)["key"]}
    assert service.post("get_all", {}, headers=own).status_code == 200
    assert service.post("add", {"data": "tea"}, headers=own).status_code == 403


@pytest.mark.parametrize(("body", "noted"), [(ALICE, True), ({"app_id": "shop"}, False)], ids=str)
def test_minting_says_where_a_key_sees_every_app(
    service: Service, body: dict[str, str], noted: bool
) -> None:
    assert ("note" in mint(service, **body)) == noted


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"user_id": "*"}, "user_id"),
        ({"user_id": "a", "days": 0}, "days"),
        ({"user_id": "a", "days": 3651}, "days"),
        ({"user_id": "a", "days": "9"}, "days"),
        ({"user_id": "a", "read_only": "yes"}, "read_only"),
        ({"user_id": "a", "readonly": True}, "readonly"),
    ],
    ids=str,
)
def test_a_wrong_wish_is_400_and_names_the_field(
    service: Service, body: dict[str, Any], field: str
) -> None:
    response = service.http.post("/keys", json=body, headers=ADMIN)
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_minted_key_is_listed_with_what_it_may_and_the_day_of_its_last_use(
    service: Service,
) -> None:
    minted = mint(service, user_id="dave", read_only=True)
    listed = known(service)[minted["id"]]
    assert listed.pop("created_at")[:10] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert listed == {
        "id": minted["id"],
        "scope": {"user_id": "dave"},
        "read_only": True,
        "ends_at": minted["ends_at"],
        "last_used_on": None,
        "revoked_at": None,
    }
    assert minted["key"] not in service.http.get("/keys", headers=ADMIN).text


def used(service: Service, id_: str) -> dict[str, Any]:
    """It is written down within a second or so, by the process that was asked."""

    def listed() -> dict[str, Any] | None:
        key: dict[str, Any] | None = known(service).get(id_)
        return key if key and key["last_used_on"] else None

    found: dict[str, Any] = wait_for(listed, 20)
    return found


def test_the_day_of_the_last_use_is_listed(service: Service) -> None:
    minted = mint(service, user_id="dave")
    assert statuses(service, minted["key"], 1) == {200}
    assert used(service, minted["id"])["last_used_on"] == f"{datetime.now(UTC):%Y-%m-%d}"


def test_an_offline_key_is_listed_once_it_was_used(service: Service, offline: Keys) -> None:
    id_, ends_at = new_key_id(), int(later())
    assert statuses(service, offline.mint(Principal(id_, ALICE), ends_at), 1) == {200}
    key = used(service, id_)
    assert (key["scope"], key["read_only"], key["created_at"]) == (ALICE, False, None)
    assert datetime.fromisoformat(key["ends_at"]).timestamp() == ends_at


def test_a_revoked_key_is_refused_from_the_next_request_on_by_every_process(
    service: Service,
) -> None:
    minted = mint(service, user_id="alice")
    assert statuses(service, minted["key"]) == {200}
    answer = revoke(service, minted["id"])
    assert answer.json() == {"message": f"The key {minted['id']} is revoked."}
    assert statuses(service, minted["key"]) == {401}
    refused = service.http.get("/scopes", headers={"X-API-Key": minted["key"]}).json()
    assert refused["detail"] == "This key was revoked."


def test_an_offline_key_is_revoked_by_its_id_before_it_was_ever_used(
    service: Service, offline: Keys
) -> None:
    id_ = new_key_id()
    assert revoke(service, id_).status_code == 200
    assert statuses(service, offline.mint(Principal(id_, ALICE), later())) == {401}
    key = known(service)[id_]
    assert key["revoked_at"]
    assert (key["scope"], key["read_only"], key["ends_at"]) == (None, None, None)


def test_to_revoke_twice_changes_nothing(service: Service) -> None:
    id_ = mint(service, user_id="alice")["id"]
    revoke(service, id_)
    before = known(service)[id_]
    assert revoke(service, id_).status_code == 200
    assert known(service)[id_] == before


@pytest.mark.parametrize("id_", ["admin", "95c71b8", "95C71B81", "95c71b81x", "%2A"])
def test_what_is_no_id_of_a_key_is_400(service: Service, id_: str) -> None:
    response = revoke(service, id_)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "id")


def test_without_an_admin_key_there_are_none_to_give_out(empty_service: Service) -> None:
    for method, path in (("GET", "/keys"), ("POST", "/keys"), ("DELETE", "/keys/95c71b81")):
        body = ALICE if method == "POST" else None
        response = empty_service.http.request(method, path, json=body)
        assert (response.status_code, response.json()["code"]) == (501, "keys_not_configured")


class Written:
    """A service where two keys of alice and one of bob have written."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.ask("reset", ADMIN)
        self.good, self.bad, self.bobs = (
            mint(service, user_id=user) for user in ("alice", "alice", "bob")
        )
        self.before = self.add(self.bad, "early")
        self.kept = self.add(self.good, "kept")
        self.between = datetime.now(UTC).isoformat()
        self.late = self.add(self.bad, "late")
        self.changed = self.add(self.good, "right")
        self.ask("update", self.as_(self.bad), memory_id=self.changed, data="wrong")
        self.others = self.add(self.bobs, "bob's")

    def as_(self, minted: dict[str, Any]) -> dict[str, str]:
        return {"X-API-Key": minted["key"]}

    def ask(self, route: str, headers: dict[str, str], **body: Any) -> Any:
        response = self.service.post(route, body, headers=headers)
        assert response.is_success, response.text
        return response.json()

    def add(self, minted: dict[str, Any], text: str) -> str:
        id_: str = self.ask("add", self.as_(minted), data=text)["result"]
        return id_

    def listed(self, headers: dict[str, str] = ADMIN, **asked: Any) -> list[str]:
        return [memory["id"] for memory in self.ask("get_all", headers, **asked)["results"]]


@pytest.fixture
def written(service: Service) -> Written:
    return Written(service)


def test_each_event_says_which_key_wrote_it(written: Written) -> None:
    written.ask("delete", ADMIN, memory_id=written.changed)
    events = written.ask("history", ADMIN, memory_id=written.changed)["results"]
    ids = [written.good["id"], written.bad["id"], "admin"]
    assert [event["written_by"] for event in events] == ids
    written.ask("delete_all", ADMIN, user_id="bob")
    events = written.ask("history", ADMIN, memory_id=written.others)["results"]
    assert [event["written_by"] for event in events] == [written.bobs["id"], "admin"]


def test_without_keys_an_event_names_none(empty_service: Service) -> None:
    added = empty_service.ask("add", data="tea", user_id="alice")["result"]
    (event,) = empty_service.ask("history", memory_id=added)["results"]
    assert event["written_by"] is None


def test_a_listing_shows_what_a_key_wrote(written: Written) -> None:
    bad = written.bad["id"]
    assert written.listed(written_by=bad) == [written.changed, written.late, written.before]
    assert written.listed(written_by=bad, since=written.between) == [written.changed, written.late]
    assert written.listed(written_by=bad, until=written.between) == [written.before]
    assert written.listed(written_by=bad, user_id="bob") == []
    assert written.listed(written_by="00000000") == []
    first = written.ask("get_all", ADMIN, written_by=bad, limit=2)
    assert first["total"] == 3
    assert written.listed(written_by=bad, limit=2, cursor=first["next_cursor"]) == [written.before]


def test_without_a_key_since_and_until_bound_created_at(written: Written) -> None:
    since = written.listed(since=written.between)
    assert since == [written.others, written.changed, written.late]
    assert written.listed(until=written.between) == [written.kept, written.before]
    assert written.listed(since=written.between, until=written.between) == []


def test_a_bound_key_sees_only_its_own_of_what_another_wrote(written: Written) -> None:
    as_bob = written.as_(written.bobs)
    assert written.listed(as_bob, written_by=written.bad["id"]) == []
    as_alice = written.as_(written.good)
    assert written.listed(as_alice, written_by=written.bobs["id"]) == []
    assert len(written.listed(as_alice, written_by=written.bad["id"])) == 3


def test_the_admin_deletes_what_a_key_wrote_since_then_wherever_it_is(written: Written) -> None:
    asked = {"written_by": written.bad["id"], "since": written.between}
    assert written.ask("delete_all", ADMIN, **asked)["deleted"] == 2
    assert written.listed() == [written.others, written.kept, written.before]
    events = written.ask("history", ADMIN, memory_id=written.late)["results"]
    assert [event["event"] for event in events] == ["ADD", "DELETE"]
    assert written.ask("delete_all", ADMIN, **asked)["deleted"] == 0


def test_a_bound_key_deletes_what_a_key_wrote_within_its_scope_alone(written: Written) -> None:
    asked = {"written_by": written.bad["id"]}
    assert written.ask("delete_all", written.as_(written.bobs), **asked)["deleted"] == 0
    assert written.ask("delete_all", written.as_(written.good), **asked)["deleted"] == 3
    assert written.listed() == [written.others, written.kept]


def test_delete_all_takes_a_time_beside_a_scope(written: Written) -> None:
    deleted = written.ask("delete_all", ADMIN, user_id="alice", until=written.between)["deleted"]
    assert deleted == 2
    assert written.listed() == [written.others, written.changed, written.late]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": "2026-01-01T00:00:00Z"}, "body"),
        ({"written_by": "95c71b81", "purge": True}, "body"),
        ({"user_id": "alice", "since": "2026-01-01T00:00:00Z", "purge": True}, "body"),
        ({"user_id": "alice", "since": "2026-01-01"}, "since"),
        ({"user_id": "alice", "since": "2026-01-01T00:00:00"}, "since"),
        ({"user_id": "alice", "until": "2026-02-30T00:00:00Z"}, "until"),
        ({"user_id": "alice", "until": "0001-01-01T00:00:00+23:00"}, "until"),
        ({"user_id": "alice", "until": None}, "until"),
        ({"user_id": "alice", "since": 5}, "since"),
        ({"written_by": "*"}, "written_by"),
        ({"written_by": None}, "written_by"),
        ({"written_by": "95C71B81"}, "written_by"),
    ],
    ids=str,
)
def test_what_delete_all_does_not_understand_deletes_nothing(
    written: Written, asked: dict[str, Any], field: str
) -> None:
    before = written.listed()
    response = written.service.post("delete_all", asked, headers=ADMIN)
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert written.listed() == before
