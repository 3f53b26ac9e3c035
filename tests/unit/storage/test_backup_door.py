"""The pause of the writers: who is held up, how long, and what a backup makes of it."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from app.config import Settings
from app.errors import ServiceBusy
from app.storage.backup import embedded
from app.storage.backup.copying import work_folder
from app.storage.backup.door import NAME, Door, NobodyThere, connect, pause
from app.storage.history.database import Database
from app.storage.history.sqlite import SQLite

Still = Callable[[], AbstractContextManager[None]]


class Writers:
    """Who is to be held up, and whether they are."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.free = threading.Event()

    @contextmanager
    def still(self) -> Iterator[None]:
        self.held.set()
        try:
            yield
        finally:
            self.free.set()


@contextmanager
def door(folder: Path, still: Still, seconds: float = 30) -> Iterator[None]:
    with closing(Door(folder, still, seconds)):
        yield


def test_they_go_on_when_the_copy_is_there(tmp_path: Path) -> None:
    writers = Writers()
    with door(tmp_path, writers.still):
        with connect(tmp_path) as service, pause(service):
            assert writers.held.is_set()
            assert not writers.free.is_set()
        assert writers.free.wait(30)


def test_they_go_on_after_a_while_and_the_copy_is_no_good(tmp_path: Path) -> None:
    writers = Writers()
    with door(tmp_path, writers.still, seconds=0.05), connect(tmp_path) as service:
        held = pause(service)
        held.__enter__()
        assert writers.free.wait(30)
        with pytest.raises(ServiceBusy):
            held.__exit__(None, None, None)


def test_the_end_of_the_service_ends_the_pause_and_the_copy_is_no_good(tmp_path: Path) -> None:
    opened = Door(tmp_path, Writers().still, 30)
    with connect(tmp_path) as service:
        held = pause(service)
        held.__enter__()
        opened.close()
        with pytest.raises(ServiceBusy):
            held.__exit__(None, None, None)


def test_why_there_is_no_pause_is_told(tmp_path: Path) -> None:
    @contextmanager
    def busy() -> Iterator[None]:
        raise ServiceBusy("A deletion is at work.")
        yield

    with (
        door(tmp_path, busy),
        connect(tmp_path) as service,
        pytest.raises(ServiceBusy, match="A deletion is at work"),
        pause(service),
    ):
        raise AssertionError("there was a pause")


def test_where_nobody_listens_nobody_is_found(tmp_path: Path) -> None:
    with pytest.raises(NobodyThere):
        connect(tmp_path)
    with door(tmp_path, Writers().still):
        pass
    assert (tmp_path / NAME).exists()
    with pytest.raises(NobodyThere):
        connect(tmp_path)


def test_both_stores_are_copied_as_they_are_within_the_pause(tmp_path: Path) -> None:
    """What stands in them within it alone is in the copies."""
    settings = Settings.from_env({"DATA_DIR": str(tmp_path / "data"), "MIN_FREE_MB": "1"})
    settings.make_data_dir()
    vectors, history = settings.data_dir / "qdrant", settings.data_dir / "history.db"
    vectors.mkdir()
    Database(SQLite(history)).close()

    def change(statement: str) -> None:
        with closing(sqlite3.connect(history)) as connection:
            connection.execute(statement)
            connection.commit()

    @contextmanager
    def still() -> Iterator[None]:
        (vectors / "within").touch()
        change("INSERT INTO keys (id) VALUES ('within')")
        yield
        (vectors / "within").unlink()
        change("DELETE FROM keys")

    with (
        door(settings.data_dir, still),
        work_folder(tmp_path / "work") as work,
        embedded.taken(settings, work, str) as both,
        closing(sqlite3.connect(both.history)) as copy,
    ):
        assert (work / "qdrant" / "within").exists()
        assert copy.execute("SELECT id FROM keys").fetchall() == [("within",)]
