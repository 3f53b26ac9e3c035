"""After a change of the embedder the embedded store is embedded again by itself.

Killed in the middle of it: tests/soak/test_embedder_change.py.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.storage.backup.door import NAME
from tests.servers.openai import OpenAIServer
from tests.service import Service, wait_for

TEXTS = [f"{what} number {n}" for n, what in enumerate(["tea", "hiking", "violin"] * 40)]
MINILM = {"EMBEDDER_MODEL": "all-MiniLM-L6-v2"}


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def by_openai(openai: OpenAIServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{openai.url}/v1"}


class Left(NamedTuple):
    """What a service left behind that embedded by MiniLM."""

    data: Path
    memories: dict[str, str]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Left:
    data = tmp_path_factory.mktemp("minilm") / "data"
    said = [{"role": "user", "content": text} for text in TEXTS]
    with Service(data, **MINILM) as service:
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        stored = service.ask("add", messages=said, user_id="alice", infer=False)["results"]
    return Left(data, {memory["id"]: memory["memory"] for memory in stored})


@pytest.fixture
def left(original: Left, tmp_path: Path) -> Left:
    """For one test alone."""
    a_socket = shutil.ignore_patterns(NAME)
    data = shutil.copytree(original.data, tmp_path / "data", ignore=a_socket)
    return Left(data, original.memories)


def listed(service: Service) -> dict[str, str]:
    return {m["id"]: m["memory"] for m in service.ask("get_all", user_id="alice")["results"]}


def best(service: Service, query: str) -> dict[str, Any]:
    found = service.ask("search", query=query, user_id="alice", explain=True, limit=3)
    assert "degraded" not in found
    memory: dict[str, Any] = found["results"][0]
    return memory


def at_work(service: Service) -> Any:
    """What /ready says while memories are embedded again."""
    ready = service.http.get("/ready").json()
    return ready if ready["checks"]["embedder"].get("code") == "being_embedded" else None


def is_done(service: Service) -> bool:
    return bool(service.http.get("/ready").json()["status"] == "ok")


def test_from_minilm_to_e5_nothing_has_to_be_done(left: Left) -> None:
    with Service(left.data) as service:
        wait_for(lambda: is_done(service), 60)
        assert listed(service) == left.memories
        assert best(service, "a stringed instrument")["memory"].startswith("violin")
        log = service.log.read_text()
        assert "will be embedded again by local/multilingual-e5-small" in log
        assert "every memory is embedded by local/multilingual-e5-small" in log


def test_meanwhile_words_answer_and_writes_work(left: Left, openai: OpenAIServer) -> None:
    changed, deleted, described, *_ = left.memories
    openai.fault("/v1/embeddings", delay=0.3)
    with Service(left.data, **by_openai(openai)) as service:
        ready = wait_for(lambda: at_work(service))
        assert ready["status"] == "degraded"
        assert " of 120 memories are embedded by " in ready["checks"]["embedder"]["detail"]
        found = service.ask("search", query="violin number 2", user_id="alice", limit=3)
        assert (found["degraded"], "being_embedded" in found["reason"]) == (True, True)
        assert found["results"][0]["memory"] == "violin number 2"
        service.ask("update", memory_id=changed, data="a canoe on the lake")
        service.ask("update", memory_id=described, metadata={"a": 1})
        service.ask("delete", memory_id=deleted)
        added = service.ask("add", data="the dentist at nine", user_id="alice", infer=False)
        openai.clear_faults()
        wait_for(lambda: is_done(service), 60)
        kept = {id_: text for id_, text in left.memories.items() if id_ != deleted}
        now = kept | {changed: "a canoe on the lake", added["result"]: "the dentist at nine"}
        assert listed(service) == now
        assert service.ask("get", memory_id=described)["metadata"] == {"a": 1}
        for text in ("a canoe on the lake", "the dentist at nine", "violin number 50"):
            assert best(service, text)["similarity"] == pytest.approx(1, abs=1e-3)


def test_a_text_that_the_model_refuses_is_found_by_words(left: Left, openai: OpenAIServer) -> None:
    openai.refused = {"violin number 2"}
    with Service(left.data, **by_openai(openai)) as service:
        wait_for(lambda: is_done(service), 60)
        assert best(service, "violin number 5")["similarity"] == pytest.approx(1, abs=1e-3)
        found = best(service, "violin 2")
        assert (found["memory"], found["similarity"]) == ("violin number 2", 0)


def test_manual_leaves_it_to_the_operator(left: Left) -> None:
    with Service(left.data, REEMBED="manual") as service:
        found = service.ask("search", query="violin number 2", user_id="alice")
        assert (found["degraded"], "python -m app.reembed" in found["reason"]) == (True, True)
        assert found["results"][0]["memory"] == "violin number 2"
        ready = service.http.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
