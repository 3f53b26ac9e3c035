"""Another embedder than the one that made the stored vectors: refused, and the ways out."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import reembed
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import Service, wait_for

TEXTS = [f"{what} number {n}" for n, what in enumerate(["tea", "hiking", "violin"] * 30)]


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture(params=["embedded", "server"])
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if request.param == "embedded":
        yield {"REEMBED": "manual"}
        return
    with QdrantServer() as server:
        yield {"QDRANT_URL": server.url}


def by_openai(openai: OpenAIServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{openai.url}/v1"}


def cut_off(service: Service) -> None:
    """Embed again, and be killed in the middle."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.reembed"],
        env=service.environ,
        cwd=service.data_dir.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("64 of") for line in lines)
    process.kill()
    process.wait()
    process.stdout.close()


def remember(service: Service) -> dict[str, str]:
    said = [{"role": "user", "content": text} for text in TEXTS]
    stored = service.ask("add", messages=said, user_id="alice", infer=False)["results"]
    return {memory["id"]: memory["memory"] for memory in stored}


def listed(service: Service) -> dict[str, str]:
    return {m["id"]: m["memory"] for m in service.ask("get_all", user_id="alice")["results"]}


def test_from_local_to_openai_and_back_loses_nothing(
    tmp_path: Path, openai: OpenAIServer, settings: dict[str, str]
) -> None:
    """Also where a run is cut off, which the next goes on with; then there is nothing to do."""
    data = tmp_path / "data"
    with Service(data, **settings) as local:
        memories = remember(local)

    with Service(data, **settings, **by_openai(openai)) as refusing:
        unready = wait_for(lambda: refusing.http.get("/ready").json()["checks"]["embedder"])
        assert unready["code"] == "embedder_mismatch"
        found = refusing.ask("search", query="violin number 2", user_id="alice")
        assert (found["degraded"], "embedder_mismatch" in found["reason"]) == (True, True)
        assert found["results"][0]["memory"] == "violin number 2"
        response = refusing.post("add", {"data": "tea", "user_id": "alice", "infer": False})
        assert (response.status_code, response.json()["code"]) == (503, "embedder_mismatch")
        for part in ("local/multilingual-e5-small (384", "openai/text-embedding-3-small (1536"):
            assert part in response.json()["detail"]
        assert "python -m app.reembed" in response.json()["detail"]
        assert refusing.http.get("/health").status_code == 200
        assert listed(refusing) == memories
        refusing.stop()
        cut_off(refusing)
        openai.requests.clear()
        done = reembed(refusing)
        assert done.returncode == 0, done.stderr
        assert f"{len(TEXTS)} of {len(TEXTS)}" in done.stdout
        assert sum(len(r.body["input"]) for r in openai.requests if r.body) < len(TEXTS)

    with Service(data, **settings, **by_openai(openai)) as service:
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        assert listed(service) == memories
        found = service.ask("search", query="violin number 2", user_id="alice", explain=True)
        assert found["results"][0]["memory"] == "violin number 2"
        assert found["results"][0]["similarity"] == pytest.approx(1, abs=1e-3)
        service.stop()

    back = Service(data, **settings)
    assert reembed(back).returncode == 0
    assert reembed(back).stdout.startswith("nothing to do")
    with back:
        assert listed(back) == memories
        assert back.ask("search", query="violin number 2")["results"][0]["score"] > 0.9
        assert back.http.get("/ready").json()["status"] == "ok"


def test_another_model_of_equal_size_is_refused(tmp_path: Path, openai: OpenAIServer) -> None:
    data = tmp_path / "data"
    with Service(data, **by_openai(openai)) as service:
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        service.stop()
    other = {**by_openai(openai), "EMBEDDER_MODEL": "text-embedding-3-large", "REEMBED": "manual"}
    with Service(data, **other) as service:
        response = service.post("add", {"data": "tea", "user_id": "alice", "infer": False})
        assert response.json()["code"] == "embedder_mismatch"
        assert "text-embedding-3-large (1536" in response.json()["detail"]


def test_with_the_model_down_it_says_so_and_loses_nothing(
    tmp_path: Path, openai: OpenAIServer
) -> None:
    data = tmp_path / "data"
    with Service(data) as local:
        memories = remember(local)
        local.stop()
        openai.stop()
        done = reembed(Service(data, **by_openai(openai)))
        assert done.returncode == 1
        assert "provider_unavailable" in done.stderr
        assert "Traceback" not in done.stderr
        local.start()
        assert listed(local) == memories


def at_work(service: Service) -> bool:
    """Whether memories are embedded again by themselves."""
    embedder = service.http.get("/ready").json()["checks"]["embedder"]
    return bool(embedder.get("code") == "being_embedded")


def asked(openai: OpenAIServer) -> list[str]:
    return [text for r in openai.requests if r.body for text in r.body["input"]]


def test_embedding_by_itself_goes_on_after_a_crash_where_it_was(
    tmp_path: Path, openai: OpenAIServer
) -> None:
    with Service(tmp_path / "data") as local:
        memories = remember(local)
    openai.fault("/v1/embeddings", delay=0.3)
    with Service(tmp_path / "data", **by_openai(openai)) as service:
        wait_for(lambda: at_work(service) and len(asked(openai)) > 32)
        service.stop(signal.SIGKILL)
        openai.clear_faults()
        openai.requests.clear()
        service.start()
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 60)
        assert len(asked(openai)) < len(TEXTS)
        assert listed(service) == memories
        found = service.ask("search", query="violin number 2", user_id="alice", explain=True)
        assert "degraded" not in found
        assert found["results"][0]["similarity"] == pytest.approx(1, abs=1e-3)
