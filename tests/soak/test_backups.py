"""Backups and restores that are killed, while the service is killed too: no file looks whole that
is not, no write is lost or doubled, and nothing of them stays."""

import json
import os
import random
import signal
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli import Command
from tests.filling import STORES, Place
from tests.model.judge import Judge
from tests.model.looking import histories, kill, listing, pending_intents
from tests.model.moments import TimedClients, until
from tests.service import Service, wait_for
from tests.soak.rounds import ROUNDS
from tests.wire.test_backup import (  # noqa: F401  (they are tried again on the story below)
    Story,
    test_a_backup_is_for_its_user_alone,
    test_a_backup_under_load_has_all_that_was_acknowledged_and_nothing_of_later,
    test_a_restore_brings_the_answers_of_idempotency_keys,
    test_a_restore_brings_the_histories_of_deleted_memories,
    test_a_restore_brings_the_issued_keys,
    test_a_restore_brings_what_search_needs,
    test_nothing_of_a_backup_stays_in_the_folder,
    told,
)

BACKUPS = max(3, ROUNDS // 40)
CLIENTS = 2
USERS = ("ann", "bob", "cat", "dan")
LONGEST_S = 2.0  # until something is killed: a backup takes less


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with told(tmp_path_factory.mktemp("backup"), "server") as one:
        yield one


class Rounds:
    """A service that clients write to, and what became of the backups of it."""

    def __init__(self, service: Service, folder: Path, rng: random.Random) -> None:
        self.service = service
        self.folder = folder
        self.rng = rng
        self.clients = TimedClients(service, USERS)
        self.whole = 0

    def backup(self, number: int) -> None:
        """One that is killed, or whose service is killed, or neither."""
        path = self.folder / f"{number}.zip"
        victim = ("nobody", "service", "command")[number % 3]
        with Command("backup", self.service).launch(path) as command:
            if victim != "nobody":
                threading.Event().wait(self.rng.uniform(0, LONGEST_S))
            if victim == "command":
                command.kill()
            elif victim == "service":
                kill(self.service)
                self.service.reconnect()
                self.service.start()
            _, said = command.communicate(timeout=120)
        assert b"Traceback" not in said, said.decode()
        if victim == "nobody":
            assert command.returncode == 0, said.decode()
        if path.exists():
            self.whole += 1
            self.judge(path)
        wait_for(lambda: not (self.service.data_dir / "backup.work").exists(), 30)

    def judge(self, backup: Path) -> None:
        """What is restored from it, by what was acknowledged until its moment."""
        with zipfile.ZipFile(backup) as archive:
            moment = json.loads(archive.read("manifest.json"))["created_at"]
        name = f"restored-{backup.stem}"
        settings = {**self.service.environ, "QDRANT_COLLECTION": name}
        del settings["PORT"], settings["DATA_DIR"]
        other = Service(self.folder / name, **settings)
        restored_at_last(Command("restore", other), backup, self.rng)
        with other:
            settled(other)
            conclude(other, self.clients, moment)


def restored_at_last(command: Command, backup: Path, rng: random.Random) -> None:
    """Killed twice, and called again each time; the last time it is let be."""
    for _ in range(2):
        with command.launch(backup, "--replace") as process:
            threading.Event().wait(rng.uniform(0.3, LONGEST_S))
            process.send_signal(signal.SIGKILL)
            process.communicate()
    command.must(backup, "--replace")


def settled(service: Service) -> None:
    wait_for(lambda: service.http.get("/ready").json()["status"] == "ok", 30)
    wait_for(lambda: pending_intents(service.data_dir / "history.db") == 0, 30)


def conclude(service: Service, clients: TimedClients, moment: str) -> None:
    judge, after = Judge(failures=True), listing(service)
    judge.settle(until(moment, clients.ops), after)
    rows = histories(service.data_dir / "history.db")
    for memory_id in after.keys() | judge.lives.keys():
        judge.hear(memory_id, rows.get(memory_id, []), after.get(memory_id))
    judge.conclude()


@pytest.mark.parametrize("store", STORES)
def test_killed_in_the_middle_of_backups_and_restores_nothing_is_lost_or_doubled(
    tmp_path: Path, store: str
) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\n{store}: TEST_SEED={seed}")
    rng = random.Random(seed)
    with ExitStack() as stack:
        service = Place(store, tmp_path / "data", stack).start()
        rounds = Rounds(service, tmp_path, rng)
        with rounds.clients.working([rng.getrandbits(32) for _ in range(CLIENTS)]):
            for number in range(BACKUPS):
                rounds.backup(number)
        settled(service)
        conclude(service, rounds.clients, "9999-01-01T00:00:00+00:00")
    print(f"{store}: {BACKUPS} backups, {rounds.whole} whole, {len(rounds.clients.ops)} requests")
