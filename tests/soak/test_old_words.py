"""A store that an earlier version filled, whose words are cut in another way now."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import models
from qdrant_edge import PointVectors, SparseVector, UpdateOperation

from app.storage.vectors.bm25 import VERSION
from app.storage.vectors.edge.shard import open_shard
from tests.cli import reembed
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

TEXTS = ["우리 강아지를 매일 산책시킨다", "周末我喜欢去爬山", "две книги о море", "tea at five"]
QUERIES = ["강아지", "爬山", "книга", "tea"]
OLD = [1, 2]
"""Word ids that no text has."""


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def by_openai(openai: OpenAIServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{openai.url}/v1", "LLM_PROVIDER": "none"}


def fill(service: Service) -> list[str]:
    wait_for(lambda: is_well(service))
    said = [{"role": "user", "content": text} for text in TEXTS]
    stored = service.ask("add", messages=said, user_id="alice", infer=False)["results"]
    return [memory["id"] for memory in stored]


def age(data: Path, ids: list[str]) -> None:
    """Make the embedded store one of an earlier version."""
    folder = data / "qdrant"
    shard = open_shard(folder)
    words = SparseVector(indices=OLD, values=[1.0, 1.0])
    old = [PointVectors(id_, {"bm25": words}) for id_ in ids]
    shard.update(UpdateOperation.update_vectors(old))
    shard.close()
    kept = json.loads((folder / "embedder.json").read_text())
    del kept["words"]
    (folder / "embedder.json").write_text(json.dumps(kept))


def is_well(service: Service) -> bool:
    return bool(service.http.get("/ready").json()["status"] == "ok")


def store_says(service: Service) -> str:
    """What /ready says of the vector store, which is well."""
    check = service.http.get("/ready").json()["checks"]["vector_store"]
    assert check["status"] == "ok"
    return str(check.get("detail", ""))


def by_words(service: Service, query: str) -> dict[str, float]:
    """What words give each memory of a search."""
    found = service.ask("search", query=query, user_id="alice", explain=True)["results"]
    return {memory["memory"]: memory["keyword"] for memory in found}


def assert_found(service: Service) -> None:
    for query, text in zip(QUERIES, TEXTS, strict=True):
        assert by_words(service, query)[text] > 0, query


def embedded(openai: OpenAIServer) -> list[str]:
    """The memories that were; how long its vectors are, a model is asked with another text."""
    given = [r.body["input"] for r in openai.requests if isinstance(r.body, dict)]
    return [text for texts in given for text in texts if text in TEXTS]


def test_are_made_again_by_themselves_also_with_the_model_down(
    tmp_path: Path, openai: OpenAIServer
) -> None:
    data = tmp_path / "data"
    with Service(data, **by_openai(openai)) as service:
        ids = fill(service)
        service.stop()
        age(data, ids)
        openai.stop()
        service.start()
        wait_for(lambda: "every memory has its words" in service.log.read_text())
        assert_found(service)
        openai.start()
        openai.requests.clear()
        wait_for(lambda: is_well(service))
        assert "Words are made again" not in store_says(service)
        assert embedded(openai) == []
        found = service.ask("search", query=TEXTS[0], user_id="alice", explain=True)
        assert found["results"][0]["similarity"] == pytest.approx(1, abs=1e-3)


def test_manual_leaves_them_to_the_operator_and_embeds_nothing(
    tmp_path: Path, openai: OpenAIServer
) -> None:
    data = tmp_path / "data"
    with Service(data, REEMBED="manual", **by_openai(openai)) as service:
        ids = fill(service)
        service.stop()
        age(data, ids)
        service.start()
        wait_for(lambda: is_well(service))
        assert by_words(service, "강아지")[TEXTS[0]] == 0
        assert "python -m app.reembed" in store_says(service)
        service.stop()
        openai.requests.clear()
        openai.stop()
        done = reembed(service)
        assert ("every memory has its words" in done.stdout, done.returncode) == (True, 1)
        openai.start()
        assert reembed(service).stdout.startswith("nothing to do")
        assert embedded(openai) == []
        service.start()
        assert_found(service)


def test_on_a_server_a_line_tells_and_reembed_makes_them(
    tmp_path: Path, openai: OpenAIServer
) -> None:
    with QdrantServer() as qdrant:
        settings = {"QDRANT_URL": qdrant.url, **by_openai(openai)}
        with Service(tmp_path / "data", **settings) as service:
            ids = fill(service)
            service.stop()
            old = models.SparseVector(indices=OLD, values=[1.0, 1.0])
            points = [models.PointVectors(id=id_, vector={"bm25": old}) for id_ in ids]
            qdrant.client.update_vectors("memories", points)
            qdrant.client.update_collection("memories", metadata={"words": None})
            service.start()
            wait_for(lambda: is_well(service))
            assert by_words(service, "강아지")[TEXTS[0]] == 0
            assert "python -m app.reembed" in store_says(service)
            service.ask("add", data="새 강아지가 왔다", user_id="alice", infer=False)
            assert by_words(service, "강아지")["새 강아지가 왔다"] > 0
            assert service.log.read_text().count("has words of another version") == 1
            service.stop()
            openai.requests.clear()
            done = reembed(service)
            assert (done.returncode, "making the words again" in done.stdout) == (0, True), (
                done.stderr
            )
            assert reembed(service).stdout.startswith("nothing to do")
            assert embedded(openai) == []
            kept = qdrant.client.get_collection("memories").config.metadata or {}
            assert (kept["words"], kept["embedder"][:7]) == (VERSION, "openai/")
            service.start()
            assert_found(service)
            assert store_says(service) == ""
