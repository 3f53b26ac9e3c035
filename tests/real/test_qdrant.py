"""The service on a real Qdrant, over REST and over gRPC: `make qdrant QDRANT_BIN=PATH`."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from mem0.vector_stores.qdrant import Qdrant
from qdrant_client import QdrantClient

from tests.servers.program import BINARY, QdrantProgram
from tests.service import Service, wait_for
from tests.soak.crashes import keep_killing
from tests.soak.rounds import ROUNDS

pytestmark = pytest.mark.skipif(not BINARY, reason="QDRANT_BIN names no Qdrant")

KEY = "a-key-of-the-tests"
TRANSPORTS = pytest.mark.parametrize("grpc", [False, True], ids=["REST", "gRPC"])


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[QdrantProgram]:
    with QdrantProgram(tmp_path / "qdrant") as program:
        yield program


@TRANSPORTS
class TestServerMode:
    def test_four_processes_make_one_collection(
        self, tmp_path: Path, qdrant: QdrantProgram, grpc: bool
    ) -> None:
        settings = qdrant.settings(grpc=grpc)
        with Service(tmp_path / "data", **settings, WEB_CONCURRENCY="4") as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200, 60)
            with ThreadPoolExecutor(8) as pool:
                adds = [
                    pool.submit(service.post, "add", {"data": f"note {n}", "user_id": "a"})
                    for n in range(80)
                ]
                assert {add.result().status_code for add in adds} == {201}
            assert service.ask("get_all", user_id="a")["total"] == 80
            assert service.ask("search", query="note 7", user_id="a")["results"]

    def test_works_again_after_the_server_was_killed(
        self, tmp_path: Path, qdrant: QdrantProgram, grpc: bool
    ) -> None:
        with Service(tmp_path / "data", **qdrant.settings(grpc=grpc)) as service:
            kept = service.ask("add", data="tea", user_id="a")["result"]
            qdrant.kill()
            refused = service.post("add", {"data": "x", "user_id": "a"})
            assert (refused.status_code, refused.json()["code"]) == (
                503,
                "vector_store_unavailable",
            )
            qdrant.start()
            wait_for(lambda: service.http.get("/ready").status_code == 200, 30)
            assert service.ask("get", memory_id=kept)["memory"] == "tea"
            service.ask("add", data="coffee", user_id="a")
            assert service.ask("get_all", user_id="a")["total"] == 2

    def test_a_wrong_key_is_told(self, tmp_path: Path, grpc: bool) -> None:
        with QdrantProgram(tmp_path / "qdrant", api_key=KEY) as qdrant:
            settings = qdrant.settings(grpc=grpc)
            with Service(tmp_path / "right", **settings) as service:
                service.ask("add", data="tea", user_id="a")
            wrong = settings | {"QDRANT_API_KEY": "another"}
            with Service(tmp_path / "wrong", **wrong) as service:
                refused = service.post("get_all", {})
                assert refused.status_code == 503
                assert "QDRANT_API_KEY" in refused.json()["detail"]

    def test_opens_what_mem0_made(self, tmp_path: Path, qdrant: QdrantProgram, grpc: bool) -> None:
        client = QdrantClient(url=qdrant.url, check_compatibility=False)
        theirs = Qdrant("memories", 384, client=client)
        memory_id = str(uuid.uuid4())
        payload = {"data": "I like tea", "user_id": "a", "created_at": "2026-01-01T00:00:00+00:00"}
        theirs.insert([[1.0] + [0.0] * 383], [payload], [memory_id])
        client.close()
        with Service(tmp_path / "data", **qdrant.settings(grpc=grpc)) as service:
            wait_for(lambda: service.http.get("/ready").status_code == 200, 30)
            assert service.ask("get", memory_id=memory_id)["memory"] == "I like tea"

    def test_strict_mode_is_told_in_words(
        self, tmp_path: Path, qdrant: QdrantProgram, grpc: bool
    ) -> None:
        with Service(tmp_path / "data", **qdrant.settings(grpc=grpc)) as service:
            service.ask("add", data="tea", user_id="a")
            limits = {"enabled": True, "unindexed_filtering_retrieve": False}
            body = {"strict_mode_config": limits}
            httpx.patch(f"{qdrant.url}/collections/memories", json=body).raise_for_status()
            refused = service.post("get_all", {"user_id": "a", "filters": {"kind": "x"}})
            assert refused.status_code == 400
            assert "METADATA_INDEXES" in refused.json()["detail"]


@pytest.mark.parametrize("store", ["program", "program, gRPC"])
def test_both_killed_at_any_instant_they_keep_what_was_acknowledged(
    tmp_path: Path, store: str
) -> None:
    keep_killing(tmp_path, store, ROUNDS).conclude()
