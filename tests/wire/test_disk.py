"""Too little room, and a listing too large for memory."""

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.filling import Place
from tests.service import ONCE, Service, wait_for


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 MB, of which the embedded engine takes about 150 at once."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)]
    mounted = subprocess.run(mounting, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_on_a_full_disk_writes_are_503_and_reads_go_on(small_disk: Path) -> None:
    with Service(small_disk / "data", MIN_FREE_MB="100") as service:
        memory_id = service.ask("add", data="tea", user_id="a")["result"]
        free = os.statvfs(small_disk)
        ballast = small_disk / "ballast"
        size = free.f_bavail * free.f_frsize - 50 * 2**20
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

        for route, body in [
            ("add", {"data": "x", "user_id": "a"}),
            ("update", {"memory_id": memory_id, "data": "y"}),
            ("update", {"memory_id": memory_id, "metadata": {"a": 1}}),
            ("delete", {"memory_id": memory_id}),
            ("delete_all", {"user_id": "a"}),
            ("reset", {}),
        ]:
            response = service.post(route, body)
            assert (response.status_code, response.json()["code"]) == (503, "storage_full"), route
        assert service.ask("search", query="tea")["results"][0]["id"] == memory_id
        assert len(service.ask("history", memory_id=memory_id)["results"]) == 1
        ready = service.http.get("/ready")
        assert ready.json()["checks"]["vector_store"]["code"] == "storage_full"
        service.stop()

        service.start()  # and it stays up
        assert service.post("get_all").json()["code"] == "storage_full"
        assert service.http.get("/ready").status_code == 503
        ballast.unlink()
        wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
        assert service.ask("get_all")["total"] == 1
        service.ask("add", data="x", user_id="a")


@pytest.mark.soak
def test_a_listing_that_breaks_off_is_no_valid_answer(tmp_path: Path) -> None:
    with ExitStack() as stack:
        place = Place("server", tmp_path / "data", stack)
        place.fill(1280, "note", {"user_id": "a"})
        service, qdrant = place.start(), place.qdrant
        assert qdrant
        assert service.ask("get_all")["total"] == 1280

        scroll = "/collections/memories/points/scroll"
        asked = qdrant.count(scroll)
        with ONCE.stream("POST", f"{service.url}/memory/get_all", timeout=30) as response:
            assert response.status_code == 200
            chunks = response.iter_text()
            text = next(chunks)
            qdrant.fault(scroll, status=500)
            # The second page may have been read already; then all of it came, and is valid.
            broken = False
            try:
                text += "".join(chunks)
            except httpx.RemoteProtocolError:
                broken = True
        if not broken:
            assert qdrant.count(scroll) == asked + 2
            assert json.loads(text)["total"] == 1280
        else:
            with pytest.raises(json.JSONDecodeError):
                json.loads(text)
            assert "a listing broke off" in service.log.read_text()

        response = service.post("get_all")
        assert (response.status_code, response.json()["code"]) == (503, "vector_store_unavailable")


def test_a_history_that_cannot_grow_is_503_and_stores_nothing_by_half(
    fresh_service: Service,
) -> None:
    ids = [fresh_service.ask("add", data=f"tea {n}", user_id="a")["result"] for n in range(20)]
    wal = fresh_service.data_dir / "history.db-wal"
    [worker] = fresh_service.workers()
    no_limit = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    # Files may not grow beyond what the log of the service needs: SQLite's may not grow at all,
    # while the vectors' are there already, and mapped.
    assert fresh_service.log.stat().st_size < 16_000 < wal.stat().st_size
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (16_000, no_limit[1]))

    for route, body in [
        ("add", {"data": "x", "user_id": "a"}),
        ("update", {"memory_id": ids[0], "data": "y"}),
        ("delete", {"memory_id": ids[0]}),
        ("delete_all", {"user_id": "a"}),
        ("reset", {}),
    ]:
        response = fresh_service.post(route, body)
        assert (response.status_code, response.json()["code"]) == (503, "history_unavailable"), (
            route
        )
    assert fresh_service.ask("get", memory_id=ids[0])["memory"] == "tea 0"
    assert "history_unavailable: The history database" in fresh_service.log.read_text()

    resource.prlimit(worker, resource.RLIMIT_FSIZE, no_limit)
    ids.append(fresh_service.ask("add", data="room again", user_id="a")["result"])
    listed = fresh_service.ask("get_all", user_id="a")["results"]
    assert {memory["id"] for memory in listed} == {*ids}
    for memory_id in ids:
        assert len(fresh_service.ask("history", memory_id=memory_id)["results"]) == 1
