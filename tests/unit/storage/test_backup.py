"""Backups and restores of a folder that no service runs on."""

import io
import json
import sqlite3
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from app.config import Settings
from app.embeddings import EmbedderInfo
from app.errors import NotYet, StartupError, StorageFull
from app.storage.backup.archive import Archive, Damaged, Manifest, TooNew
from app.storage.backup.copying import MEGABYTE, AnotherIsAtWork, copy_folder, lock, room_of
from app.storage.backup.making import make_backup, new_file
from app.storage.backup.restoring import (
    NEXT,
    PART,
    Refused,
    check_no_restore,
    end_restore,
    restore,
)
from app.storage.history.database import Database
from app.storage.history.rows import History
from app.storage.history.sqlite import SQLite
from app.storage.journal.journal import Journal
from app.storage.journal.liveness import FileLocks
from app.storage.journal.writes import Write
from app.storage.payloads import history_row, new_id, new_payload
from app.storage.vectors.edge import EdgeStore

EMBEDDER = EmbedderInfo("test/model", 4)
EAST = [1.0, 0.0, 0.0, 0.0]


def settings(folder: Path, **more: str) -> Settings:
    made = Settings.from_env({"DATA_DIR": str(folder), "MIN_FREE_MB": "1", **more})
    made.make_data_dir()
    return made


def silent(_line: str) -> None:
    """Nobody reads it."""


def fill(folder: Path, *texts: str, without_vector: str = "", deleted: str = "") -> None:
    """A folder as a service leaves it, with these memories."""
    store, database = EdgeStore(folder / "qdrant"), Database(SQLite(folder / "history.db"))
    store.prepare(EMBEDDER)
    journal = Journal(database, FileLocks(folder / "processes"), flushes=True)
    for text in filter(None, [*texts, without_vector, deleted]):
        id_, payload = new_id(), new_payload(text, {"user_id": "a"}, {})
        vector = None if text == without_vector else EAST
        row = history_row("ADD", id_, None, payload)
        if vector is None:
            store.put({id_: (None, payload)})
        journal.write(store, Write([row], {id_: (vector, payload)} if vector else {}))
        if text == deleted:
            gone = history_row("DELETE", id_, payload, None) | {"old_memory": None}
            journal.write(store, Write([gone], deleted=[id_]))
            with closing(sqlite3.connect(folder / "history.db")) as connection:
                connection.execute(
                    "UPDATE history SET new_memory = NULL WHERE new_memory = ?", [text]
                )
                connection.commit()
    journal.flushed(store.flush)
    journal.close()
    store.close()
    database.close()


def put_back(settings: Settings, backup: Path, *, replace: bool) -> Manifest:
    with backup.open("rb") as file:
        return restore(settings, file, silent, replace=replace)


def memories(folder: Path) -> Mapping[str, tuple[str, bool]]:
    """By id: the text, and whether it has a vector."""
    with closing(EdgeStore(folder / "qdrant")) as store:
        return {
            one.record.id: (one.record.payload["data"], one.vector is not None)
            for one in store.wholes()
        }


def events(folder: Path) -> int:
    with closing(Database(SQLite(folder / "history.db"))) as database:
        return History(database).living()


def texts(folder: Path) -> set[str]:
    return {text for text, _ in memories(folder).values()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Nobody changes it."""
    made = settings(tmp_path_factory.mktemp("backup") / "data")
    fill(made.data_dir, "tea", "coffee")
    return made


@pytest.fixture(scope="module")
def made(data: Settings) -> bytes:
    file = io.BytesIO()
    make_backup(data, file, silent)
    return file.getvalue()


@pytest.fixture
def backup(made: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "memories.zip"
    path.write_bytes(made)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Settings:
    return settings(tmp_path / "other")


def changed(backup: Path, name: str, old: str, new: str) -> Path:
    """A copy with another manifest or other points."""
    path = backup.with_name("changed.zip")
    with zipfile.ZipFile(backup) as archive, zipfile.ZipFile(path, "w") as copy:
        for member in archive.namelist():
            content = archive.read(member)
            copy.writestr(
                member, content.replace(old.encode(), new.encode()) if member == name else content
            )
    assert path.read_bytes() != backup.read_bytes()
    return path


class TestRestore:
    def test_gives_the_same_memories_and_history(
        self, backup: Path, data: Settings, other: Settings
    ) -> None:
        about = put_back(other, backup, replace=False)
        assert memories(other.data_dir) == memories(data.data_dir)
        assert events(other.data_dir) == 2
        assert (about.memories, about.events) == (2, 2)
        with closing(EdgeStore(other.data_dir / "qdrant")) as store:
            assert store.embedder() == EMBEDDER

    def test_gives_memories_that_are_still_to_be_embedded(
        self, tmp_path: Path, other: Settings
    ) -> None:
        made = settings(tmp_path / "half")
        fill(made.data_dir, "tea", without_vector="coffee")
        path = tmp_path / "half.zip"
        with path.open("wb") as file:
            make_backup(made, file, silent)
        put_back(other, path, replace=False)
        assert {*memories(other.data_dir).values()} == {("tea", True), ("coffee", False)}

    def test_of_a_service_that_never_had_a_memory(self, tmp_path: Path, other: Settings) -> None:
        made = settings(tmp_path / "new")
        Database(SQLite(made.data_dir / "history.db")).close()
        (made.data_dir / "qdrant").mkdir()
        path = tmp_path / "new.zip"
        with path.open("wb") as file:
            make_backup(made, file, silent)
        put_back(other, path, replace=False)
        assert memories(other.data_dir) == {}

    @pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
    def test_refuses_what_was_cut_off(self, backup: Path, other: Settings, kept: float) -> None:
        content = backup.read_bytes()
        backup.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(Damaged):
            put_back(other, backup, replace=False)
        self.check_nothing_came(other)

    def test_refuses_a_changed_byte_in_any_of_its_parts(
        self, backup: Path, other: Settings
    ) -> None:
        content = backup.read_bytes()
        with zipfile.ZipFile(backup) as archive:
            places = [info.header_offset + 100 for info in archive.infolist()]
        for place in places:
            backup.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(Damaged):
                put_back(other, backup, replace=False)
        self.check_nothing_came(other)

    def test_refuses_points_that_are_not_those_of_the_manifest(
        self, backup: Path, other: Settings
    ) -> None:
        with pytest.raises(Damaged, match=r"points\.jsonl"):
            put_back(other, changed(backup, "points.jsonl", "coffee", "cocoa"), replace=False)
        self.check_nothing_came(other)

    @pytest.mark.parametrize(
        ("old", "new"),
        [('"format": 1', '"format": 2'), ('"schema_version": ', '"schema_version": 9')],
    )
    def test_refuses_what_a_newer_version_made(
        self, backup: Path, other: Settings, old: str, new: str
    ) -> None:
        with pytest.raises(TooNew):
            put_back(other, changed(backup, "manifest.json", old, new), replace=False)
        self.check_nothing_came(other)

    def test_takes_the_place_of_memories_only_when_it_is_told_to(
        self, backup: Path, other: Settings
    ) -> None:
        fill(other.data_dir, "wine")
        with pytest.raises(Refused, match="--replace"):
            put_back(other, backup, replace=False)
        assert texts(other.data_dir) == {"wine"}
        put_back(other, backup, replace=True)
        assert texts(other.data_dir) == {"tea", "coffee"}
        assert events(other.data_dir) == 2

    def test_a_history_in_postgresql_is_told_another_way(
        self, backup: Path, tmp_path: Path
    ) -> None:
        away = {"DATABASE_URL": "postgresql://u@127.0.0.1/x", "QDRANT_URL": "http://127.0.0.1:9"}
        elsewhere = settings(tmp_path / "elsewhere", **away)
        with pytest.raises(Refused, match=r"app\.cli\.move"):
            put_back(elsewhere, backup, replace=True)
        with pytest.raises(StartupError, match="by their own means"):
            make_backup(elsewhere, io.BytesIO(), silent)

    def test_refuses_a_folder_that_a_process_uses(self, backup: Path, other: Settings) -> None:
        alive = FileLocks(other.data_dir / "processes")
        with pytest.raises(Refused, match="stop it"):
            put_back(other, backup, replace=True)
        alive.close()

    def check_nothing_came(self, other: Settings) -> None:
        assert not (other.data_dir / "history.db").exists()
        assert not (other.data_dir / "qdrant" / "edge_config.json").exists()


class TestCutOff:
    """A restore that a crash ended is ended by whoever opens the folder next."""

    def whole(self, backup: Path, folder: Path, aside: Settings) -> Path:
        """What a restore has when it stands, and is not in its place yet."""
        put_back(aside, backup, replace=False)
        (folder / NEXT).mkdir()
        for name in ("qdrant", "history.db"):
            (aside.data_dir / name).rename(folder / NEXT / name)
        return folder / NEXT

    def test_before_anything_is_in_its_place(
        self, backup: Path, other: Settings, tmp_path: Path
    ) -> None:
        fill(other.data_dir, "wine")
        self.whole(backup, other.data_dir, settings(tmp_path / "aside"))
        end_restore(other)
        assert texts(other.data_dir) == {"tea", "coffee"}
        assert events(other.data_dir) == 2
        assert not (other.data_dir / NEXT).exists()

    def test_between_the_vectors_and_the_history(
        self, backup: Path, other: Settings, tmp_path: Path
    ) -> None:
        """The log of the old history is beside the new one's place."""
        fill(other.data_dir, "wine")
        whole = self.whole(backup, other.data_dir, settings(tmp_path / "aside"))
        old = sqlite3.connect(other.data_dir / "history.db")
        old.execute("DELETE FROM history")
        old.commit()
        assert (other.data_dir / "history.db-wal").stat().st_size
        log = (other.data_dir / "history.db-wal").read_bytes()
        old.close()
        (other.data_dir / "history.db-wal").write_bytes(log)
        (other.data_dir / "qdrant").rename(tmp_path / "gone")
        (whole / "qdrant").rename(other.data_dir / "qdrant")
        end_restore(other)
        assert texts(other.data_dir) == {"tea", "coffee"}
        assert events(other.data_dir) == 2

    def test_while_it_was_put_together_nothing_of_it_stays(self, other: Settings) -> None:
        fill(other.data_dir, "wine")
        (other.data_dir / PART / "qdrant").mkdir(parents=True)
        end_restore(other)
        assert not (other.data_dir / PART).exists()
        assert texts(other.data_dir) == {"wine"}

    def test_a_service_waits_for_a_restore_that_is_at_work(self, other: Settings) -> None:
        with lock(other.data_dir / PART), pytest.raises(NotYet):
            check_no_restore(other)
        check_no_restore(other)


class TestBackup:
    def test_has_nothing_of_what_was_deleted(self, tmp_path: Path) -> None:
        made = settings(tmp_path / "data")
        fill(made.data_dir, "tea", deleted="quicksilver")
        path = tmp_path / "memories.zip"
        with path.open("wb") as file:
            make_backup(made, file, silent)
        with zipfile.ZipFile(path) as archive:
            contents = [archive.read(name) for name in archive.namelist()]
        assert any(b"tea" in content for content in contents)
        assert not any(b"quicksilver" in content for content in contents)

    def test_leaves_nothing_where_there_is_no_room(self, data: Settings, tmp_path: Path) -> None:
        full = settings(data.data_dir, MIN_FREE_MB=str(10**9))
        path = tmp_path / "full.zip"
        with pytest.raises(StorageFull, match="MIN_FREE_MB"), new_file(path, full) as file:
            make_backup(full, file, silent)
        assert not [*tmp_path.iterdir()]
        assert not (data.data_dir / "backup.work").exists()

    def test_stops_before_the_disk_of_its_file_is_full(
        self, data: Settings, tmp_path: Path
    ) -> None:
        full = settings(data.data_dir, MIN_FREE_MB=str(10**9))
        path = tmp_path / "full.zip"
        with pytest.raises(StorageFull), new_file(path, full) as file:
            file.write(b"x")
        assert not path.exists()
        assert not path.with_name("full.zip.part").exists()

    def test_replaces_a_file_only_when_it_is_whole(self, data: Settings, tmp_path: Path) -> None:
        path = tmp_path / "memories.zip"
        path.write_text("the one before")

        def interrupted() -> None:
            with new_file(path, data) as file:
                file.write(b"x")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert path.read_text() == "the one before"

    def test_is_one_at_a_time(self, data: Settings) -> None:
        with lock(data.data_dir / "backup.work"), pytest.raises(AnotherIsAtWork):
            make_backup(data, io.BytesIO(), silent)

    def test_copies_holes_as_holes(self, tmp_path: Path) -> None:
        source, copy = tmp_path / "source", tmp_path / "copy"
        (source / "below").mkdir(parents=True)
        with (source / "below" / "file").open("wb") as file:
            for place in (0, 5 * MEGABYTE, 50 * MEGABYTE):
                file.seek(place)
                file.write(b"written " * 200_000)
        copy_folder(source, copy)
        assert (copy / "below" / "file").read_bytes() == (source / "below" / "file").read_bytes()
        assert 0 < room_of(copy) < 10 * MEGABYTE

    def test_says_what_it_is(self, backup: Path) -> None:
        with zipfile.ZipFile(backup) as archive:
            about = json.loads(archive.read("manifest.json"))
        assert about["embedder"] == "test/model"
        assert (about["memories"], about["events"], about["store"]) == (2, 2, "embedded")
        with backup.open("rb") as file, closing(Archive(file)) as archive:
            assert len([*archive.points()]) == 2
