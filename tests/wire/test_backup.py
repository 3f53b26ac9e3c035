"""Backups while the service runs, and their restores; on a Qdrant server: tests/soak/."""

import json
import os
import socket
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.storage.backup.door import HELD, NAME
from tests.cli import Command
from tests.filling import Place
from tests.model.judge import Judge
from tests.model.looking import histories, listing
from tests.model.moments import TimedClients, until
from tests.servers.qdrant import QdrantServer
from tests.service import ADMIN_KEY, Service, wait_for

WRITERS = 4
POINTS = "/collections/memories/points"
ENOUGH = 40  # writes before the backup, and after it
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
ONCE = {"Idempotency-Key": "once"}
BODY = {"data": "quicksilver", "user_id": "dora", "infer": False}


class Story:
    """What a service was told before, while and after it was backed up, and the service on what
    was restored from that, in a folder and a collection that had nothing before."""

    def __init__(self, service: Service, folder: Path, qdrant: QdrantServer | None) -> None:
        service.http.headers.update(ADMIN)
        self.service = service
        self.backup = folder / "memories.zip"
        self.first = service.post("add", BODY, headers=ONCE).json()
        self.gone = service.ask("add", data="amalgam", user_id="dora", infer=False)["result"]
        service.ask("delete", memory_id=self.gone)
        self.issued = service.http.post("/keys", json={"user_id": "dora"}).json()
        self.clients = TimedClients(service, ("ann", "bob", "cat"))
        with self.clients.working(range(WRITERS)):
            wait_for(lambda: len(self.clients.ops) > ENOUGH, 60)
            if qdrant:  # so slow that others write whenever something is read
                qdrant.fault(f"{POINTS}/scroll", method="POST", delay=0.5)
                qdrant.fault(POINTS, method="POST", delay=0.1)
            Command("backup", service).must(self.backup)
            if qdrant:
                qdrant.clear_faults()
            many = len(self.clients.ops) + ENOUGH
            wait_for(lambda: len(self.clients.ops) > many, 60)
        settings = {**service.environ, "QDRANT_COLLECTION": "restored"}
        del settings["PORT"], settings["DATA_DIR"]
        self.other = Service(folder / "restored", **settings)
        self.other.http.headers.update(ADMIN)
        Command("restore", self.other).must(self.backup)


@contextmanager
def told(folder: Path, store: str) -> Iterator[Story]:
    with ExitStack() as stack:
        place = Place(store, folder / "data", stack)
        story = Story(place.start(ADMIN_API_KEY=ADMIN_KEY), folder, place.qdrant)
        stack.enter_context(story.other)
        wait_for(lambda: story.other.http.get("/ready").json()["status"] == "ok")
        yield story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with told(tmp_path_factory.mktemp("backup"), "embedded") as one:
        yield one


def manifest(backup: Path) -> dict[str, Any]:
    with zipfile.ZipFile(backup) as archive:
        found: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return found


def test_a_backup_under_load_has_all_that_was_acknowledged_and_nothing_of_later(
    story: Story,
) -> None:
    ops = until(manifest(story.backup)["created_at"], story.clients.ops)
    assert len(ops) < len(story.clients.ops)
    judge, after = Judge(), listing(story.other)
    after = {id_: memory for id_, memory in after.items() if memory["user_id"] != "dora"}
    judge.settle(ops, after)
    rows = histories(story.other.data_dir / "history.db")
    for memory_id in after.keys() | judge.lives.keys():
        judge.hear(memory_id, rows.get(memory_id, []), after.get(memory_id))
    judge.conclude()
    assert judge.acknowledged["add"]


def test_a_restore_brings_the_histories_of_deleted_memories(story: Story) -> None:
    events = story.other.ask("history", memory_id=story.gone)["results"]
    assert [event["event"] for event in events] == ["ADD", "DELETE"]


def test_a_restore_brings_the_answers_of_idempotency_keys(story: Story) -> None:
    assert story.other.post("add", BODY, headers=ONCE).json() == story.first
    assert [*listing(story.other, user_id="dora")] == [story.first["result"]]


def test_a_restore_brings_what_search_needs(story: Story) -> None:
    for query in ("quicksilver", "mercury, the liquid metal"):
        [found] = story.other.ask("search", query=query, user_id="dora")["results"]
        assert found["id"] == story.first["result"]


def test_a_restore_brings_the_issued_keys(story: Story) -> None:
    bearer = {"Authorization": f"Bearer {story.issued['key']}"}
    assert story.other.post("get_all", {}, headers=bearer).json()["total"] == 1
    assert [one["id"] for one in story.other.http.get("/keys").json()["keys"]] == [
        story.issued["id"]
    ]


def test_a_backup_is_for_its_user_alone(story: Story) -> None:
    assert story.backup.stat().st_mode & 0o777 == 0o600


def test_nothing_of_a_backup_stays_in_the_folder(story: Story) -> None:
    left = {path.name for path in story.service.data_dir.iterdir()}
    assert not left & {"backup.work", "restore.part", "restore.next"}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On a folder whose path is too long for the name of a socket."""
    long = tmp_path_factory.mktemp("a" * 60) / ("b" * 60)
    with Service(long) as service:
        service.ask("add", data="tea", user_id="a")
        yield service


def test_a_file_that_is_there_is_kept_unless_it_is_asked_for(
    embedded: Service, tmp_path: Path
) -> None:
    backup = tmp_path / "memories.zip"
    backup.write_text("precious")
    assert "--replace" in Command("backup", embedded).refusal(backup)
    assert backup.read_text() == "precious"
    Command("backup", embedded).must(backup, "--replace")
    assert manifest(backup)["memories"] == len(listing(embedded))


def test_no_restore_into_a_running_service(embedded: Service, tmp_path: Path) -> None:
    backup = tmp_path / "memories.zip"
    backup.write_bytes(Command("backup", embedded).must("-"))
    assert "stop it first" in Command("restore", embedded).refusal(backup, "--replace")
    assert manifest(backup)["memories"] == len(listing(embedded))


class TestTheDoor:
    """Of the embedded store: what holds up the writers of a running service."""

    def test_a_client_that_goes_away_ends_its_pause(self, embedded: Service) -> None:
        with ThreadPoolExecutor(1) as pool:
            with held(embedded):
                adding = pool.submit(embedded.ask, "add", data="coffee", user_id="b")
                assert embedded.ask("get_all", user_id="a")["total"] == 1  # readers do not wait
                with pytest.raises(TimeoutError):
                    adding.result(timeout=1)
            assert adding.result()["result"]

    def test_nobody_else_may_come_in(self, embedded: Service) -> None:
        assert (embedded.data_dir / NAME).stat().st_mode & 0o777 == 0o600

    @pytest.mark.soak
    def test_it_is_found_after_a_kill_and_a_reload(self, embedded: Service, tmp_path: Path) -> None:
        embedded.stop(9)
        assert (embedded.data_dir / NAME).exists()
        Command("backup", embedded).must(tmp_path / "stopped.zip")
        embedded.start()
        [before] = embedded.workers()
        embedded.process.send_signal(1)
        wait_for(lambda: before not in embedded.workers() and embedded.answers(), 60)
        Command("backup", embedded).must(tmp_path / "reloaded.zip")
        totals = {manifest(one)["memories"] for one in tmp_path.glob("*.zip")}
        assert totals == {embedded.ask("get_all")["total"]}


@contextmanager
def held(service: Service) -> Iterator[None]:
    """As the backup does it."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    folder = os.open(service.data_dir, os.O_RDONLY)
    client.connect(f"/proc/self/fd/{folder}/{NAME}")
    os.close(folder)
    with client:
        assert client.recv(16) == HELD
        yield
