"""What each refusal of a Qdrant server is told as, over REST and over gRPC: the table of them.

What the caller can mend is 400; what time or an operator mends is 503 and says when to ask again.
Nothing of a write that was refused is left, neither a memory nor an intent.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

KEY = "the-key-of-this-service"
POINTS = "/collections/memories/points"
TRANSPORTS = (  # QDRANT_GRPC
    pytest.param("off", id="REST"),
    pytest.param("on", id="gRPC", marks=pytest.mark.soak),
)


class Deployment(NamedTuple):
    service: Service
    qdrant: QdrantServer

    def strict(self, **limits: Any) -> None:
        """Switch these limits of strict mode on, and all others off."""
        with self.qdrant.lock:
            strict = self.qdrant._strict("memories")
            strict.limits.clear()
            strict.change({"enabled": True, **limits})

    def says(self, status: int, text: str, path: str = POINTS, **where: Any) -> None:
        self.qdrant.fault(path, status=status, body={"status": {"error": text}}, **where)

    def intents(self) -> int:
        with sqlite3.connect(self.service.data_dir / "history.db", timeout=30) as history:
            found: tuple[int] = history.execute("SELECT count(*) FROM intents").fetchone()
        history.close()
        return found[0]


@pytest.fixture(scope="module", params=TRANSPORTS)
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with OpenAIServer() as openai, QdrantServer(grpc=True, api_key=KEY) as qdrant:
        settings = {
            "OPENAI_BASE_URL": f"{openai.url}/v1",
            "LLM_PROVIDER": "none",
            "QDRANT_URL": qdrant.url,
            "QDRANT_API_KEY": KEY,
            "QDRANT_GRPC": request.param,
            "QDRANT_GRPC_PORT": str(qdrant.grpc_port),
            "FLUSH_SECONDS": "3600",  # so that nothing is settled between
        }
        with Service(tmp_path_factory.mktemp("refusals") / "data", **settings) as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200)
            yield Deployment(service, qdrant)


@pytest.fixture
def deployment(started: Deployment) -> Iterator[Deployment]:
    yield started
    qdrant = started.qdrant
    qdrant.clear_faults()
    qdrant.api_key, qdrant.read_only_api_key, qdrant.full = KEY, None, False
    with qdrant.lock:
        qdrant._strict("memories").limits.clear()


def spent(deployment: Deployment, kind: str) -> None:
    """As after as many calls as a minute may have."""
    deployment.strict(**{f"{kind}_rate_limit": 1})
    with deployment.qdrant.lock:
        deployment.qdrant._strict("memories").spend(kind, 1)


ADD = ("add", {"data": "new"})
TWO = ("add", {"messages": [{"role": "user", "content": text} for text in ("one", "two")]})
SEARCH = ("search", {"query": "old"})
FILTERED = ("search", {"query": "old", "filters": {"kind": {"in": ["a", "b", "c"]}}})
LIST = ("get_all", {"filters": {"kind": "a"}})
TOTAL = ("get_all", {"limit": 1})
DELETE_ALL = ("delete_all", {})

MENDABLE, DOWN, FULL = "invalid_request", "vector_store_unavailable", "storage_full"
NO_REPLICA = "Service internal error: The replica set for shard 0 on peer 1 "
Break = Callable[[Deployment], Any]

REFUSALS: dict[str, tuple[Break, tuple[str, dict[str, Any]], int, str, str, int | None]] = {
    # what: how it comes about, what is asked, status, code, words, seconds of Retry-After
    "no index for a filter": (
        lambda d: d.strict(unindexed_filtering_retrieve=False),
        FILTERED, 400, MENDABLE, "METADATA_INDEXES", None,
    ),
    "no index for a listing": (
        lambda d: d.strict(unindexed_filtering_retrieve=False),
        LIST, 400, MENDABLE, "kind has none", None,
    ),
    "too many conditions": (
        lambda d: d.strict(filter_max_conditions=2),
        LIST, 400, MENDABLE, "filter_max_conditions", None,
    ),
    "too long a condition": (
        lambda d: d.strict(condition_max_size=2),
        FILTERED, 400, MENDABLE, "condition_max_size", None,
    ),
    "too many points at once": (
        lambda d: d.strict(upsert_max_batchsize=1),
        TWO, 400, MENDABLE, "upsert_max_batchsize", None,
    ),
    "more than a minute's writes": (
        lambda d: d.strict(write_rate_limit=1), TWO, 400, MENDABLE, "Write rate limit", None,
    ),
    "a body too large": (
        lambda d: d.says(400, "JSON payload (40000000 bytes) is larger than allowed."),
        ADD, 400, MENDABLE, "max_request_size_mb", None,
    ),
    "no exact totals": (
        lambda d: d.strict(search_allow_exact=False),
        TOTAL, 503, DOWN, "search_allow_exact", 60,
    ),
    "too few searches at once": (
        lambda d: d.says(400, 'Bad request: Limit exceeded 2 > 1 for "search batch size".'),
        SEARCH, 503, DOWN, 'allows 1 for "search batch size"', 60,
    ),
    "as many points as may be": (
        lambda d: d.strict(max_points_count=1), ADD, 503, FULL, "points count", 60,
    ),
    "a minute's writes are used up": (
        lambda d: spent(d, "write"), ADD, 503, DOWN, "Write rate limit", 60,
    ),
    "a minute's reads are used up": (
        lambda d: spent(d, "read"), SEARCH, 503, DOWN, "Read rate limit", 60,
    ),
    "a limit of something before it": (
        lambda d: d.says(429, "Rate limiting exceeded"), SEARCH, 503, DOWN, "at its limits", 5,
    ),
    "no key": (
        lambda d: d.says(401, "Must provide an API key or an Authorization bearer token"),
        ADD, 503, DOWN, "set QDRANT_API_KEY", 60,
    ),
    "a wrong key": (
        lambda d: setattr(d.qdrant, "api_key", "other"),
        SEARCH, 503, DOWN, "check QDRANT_API_KEY", 60,
    ),
    "a key that may only read": (
        lambda d: d.qdrant.__dict__.update(api_key="other", read_only_api_key=KEY),
        ADD, 503, DOWN, "may only read", 60,
    ),
    "a key of another collection": (
        lambda d: d.says(403, "Forbidden: Access to collection memories is required"),
        ADD, 503, DOWN, "QDRANT_COLLECTION", 60,
    ),
    "a full disk": (
        lambda d: setattr(d.qdrant, "full", True), ADD, 503, FULL, "disk", 60,
    ),
    "a full disk, deleting": (
        lambda d: setattr(d.qdrant, "full", True), DELETE_ALL, 503, FULL, "disk", 60,
    ),
    "a quota": (
        lambda d: d.says(507, "Insufficient storage: disk usage is above 90%", method="PUT"),
        ADD, 503, FULL, "/quotas", 60,
    ),
    "recovery mode": (
        lambda d: d.says(500, "Service internal error: Failed to upsert points, Out-of-memory"),
        ADD, 503, DOWN, "recovery mode", 60,
    ),
    "a shard without replicas": (
        lambda d: d.says(500, f"{NO_REPLICA}does not have enough active replicas"),
        SEARCH, 503, DOWN, "No replica of a shard", 5,
    ),
    "a shard that is restored": (
        lambda d: d.says(503, "Shard temporarily unavailable: recovering"),
        SEARCH, 503, DOWN, "being restored", 5,
    ),
    "something unheard of": (
        lambda d: d.says(418, "Bad request: teapot"), SEARCH, 503, DOWN, "failed", 5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_is_told_in_words_and_leaves_nothing(
    deployment: Deployment, user: str, what: str
) -> None:
    break_it, (route, fields), status, code, words, after = REFUSALS[what]
    service = deployment.service
    for text in ("old", "older"):
        service.ask("add", data=text, user_id=user)
    break_it(deployment)
    refused = service.post(route, {**fields, "user_id": user})
    told = refused.json()
    assert (refused.status_code, told["code"]) == (status, code), told
    assert words in told["detail"]
    assert "failed (4" not in told["detail"] or what == "something unheard of"
    assert waits(refused) == (pytest.approx(after, abs=5) if after else None)
    assert deployment.intents() == 0


def test_after_a_refusal_all_goes_on_as_before(started: Deployment, user: str) -> None:
    service = started.service
    assert service.ask("get_all", user_id=user)["results"] == []
    service.ask("add", data="new", user_id=user)
    assert [one["memory"] for one in service.ask("get_all", user_id=user)["results"]] == ["new"]


@pytest.mark.parametrize(("route", "fields"), [ADD, DELETE_ALL], ids=["add", "delete_all"])
def test_a_refused_connection_is_told_with_its_address_and_leaves_nothing(
    deployment: Deployment, user: str, route: str, fields: dict[str, Any]
) -> None:
    service = deployment.service
    service.ask("add", data="old", user_id=user)
    deployment.qdrant.stop()
    try:
        refused = service.post(route, {**fields, "user_id": user})
        assert (refused.status_code, refused.json()["code"]) == (503, DOWN)
        assert "It is asked at http://127.0.0.1:" in refused.json()["detail"]
        assert deployment.intents() == 0
    finally:
        deployment.qdrant.start()
    wait_for(lambda: service.post("get_all", {"user_id": user}).status_code == 200, 2)
    assert service.ask("get_all", user_id=user)["total"] == 1


def test_a_refused_filter_names_its_field(deployment: Deployment, user: str) -> None:
    deployment.strict(unindexed_filtering_retrieve=False)
    refused = deployment.service.post("get_all", {"filters": {"kind": "a"}, "user_id": user})
    assert [error["field"] for error in refused.json()["errors"]] == ["filters"]


def test_few_rows_at_once_are_enough(deployment: Deployment, user: str) -> None:
    service = deployment.service
    texts = {f"note {number}" for number in range(25)}
    said = [{"role": "user", "content": text} for text in texts]
    service.ask("add", messages=said, user_id=user)
    deployment.strict(max_query_limit=7)
    service.post("search", {"query": "note", "user_id": user})  # it looks again after this one
    found = service.ask("search", query="note", user_id=user, limit=25)["results"]
    assert {one["memory"] for one in found} == texts
    assert service.ask("get_all", user_id=user)["total"] == 25
    assert service.ask("delete_all", user_id=user)["deleted"] == 25


@pytest.mark.parametrize("most", [1, 7])
def test_few_values_in_a_condition_are_enough(deployment: Deployment, user: str, most: int) -> None:
    """A search asks for the scores that one of its lists lacks, by the ids."""
    service = deployment.service
    said = [{"role": "user", "content": f"note {number}"} for number in range(100)]
    service.ask("add", messages=said, user_id=user)
    search = {"query": "note 5", "user_id": user, "limit": 20}
    before = [one["score"] for one in service.ask("search", **search)["results"]]
    deployment.strict(condition_max_size=most)
    service.post("search", search)  # it looks again after this one
    assert [one["score"] for one in service.ask("search", **search)["results"]] == before


@pytest.mark.parametrize(
    ("route", "fields"),
    [("get_all", {}), ("search", {"query": "x"}), ("get", {"memory_id": "0" * 32})],
    ids=["get_all", "search", "get"],
)
def test_a_collection_that_is_gone_is_told_and_not_taken_for_an_empty_one(
    deployment: Deployment, user: str, route: str, fields: dict[str, Any]
) -> None:
    service = deployment.service
    service.ask("add", data="old", user_id=user)
    deployment.says(404, "Not found: Collection `memories` doesn't exist!")
    scope = {} if route == "get" else {"user_id": user}
    refused = service.post(route, {**fields, **scope})
    assert (refused.status_code, refused.json()["code"]) == (503, DOWN)
    assert "is gone" in refused.json()["detail"]


READY: dict[str, tuple[Break, str]] = {
    "a key that may only read": (
        lambda d: d.qdrant.__dict__.update(api_key="other", read_only_api_key=KEY),
        "may only read",
    ),
    "a shard without replicas": (
        lambda d: d.says(500, f"{NO_REPLICA}does not have enough active replicas"),
        "No replica of a shard",
    ),
    "a collection that is gone": (
        lambda d: d.says(404, "Not found: Collection `memories` doesn't exist!"),
        "is gone",
    ),
}


@pytest.mark.parametrize("what", READY)
def test_ready_tells_it(deployment: Deployment, user: str, what: str) -> None:
    break_it, words = READY[what]
    service = deployment.service
    break_it(deployment)
    service.post(
        "add", {"data": "a write, by which it is seen whether the key may", "user_id": user}
    )
    wait_for(lambda: words in store_check(service).get("detail", ""))
    assert service.http.get("/ready").status_code == 503
    deployment.qdrant.clear_faults()
    deployment.qdrant.api_key, deployment.qdrant.read_only_api_key = KEY, None
    wait_for(lambda: service.http.get("/ready").status_code == 200)


def waits(response: httpx.Response) -> int | None:
    after = response.headers.get("Retry-After")
    return int(after) if after else None


def store_check(service: Service) -> dict[str, str]:
    checks: dict[str, dict[str, str]] = service.http.get("/ready").json()["checks"]
    return checks["vector_store"]
