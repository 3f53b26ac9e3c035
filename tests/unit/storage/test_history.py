"""The history on real SQLite files and in real processes; what it does: tests/contract."""

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from app.errors import HistoryUnavailable, StartupError
from app.storage.history.database import Database
from app.storage.history.messages import Messages
from app.storage.history.rows import History
from app.storage.history.schema import SCHEMA_VERSION, TABLES
from app.storage.history.sqlite import SQLite
from tests.histories import add, contents, delete_scope, row, said, save
from tests.processes import at_once
from tests.service import ROOT

PROCESSES = 6
ROUNDS = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    opened = History(Database(SQLite(path)))
    yield opened
    opened.close()


def sql(path: Path, statement: str, *values: Any) -> list[Any]:
    """What SQLite itself says, past our code."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


def files_with(path: Path, text: str) -> list[str]:
    """The names of the database's files, the write-ahead log too, in which `text` stands."""
    files = sorted(path.parent.glob(f"{path.name}*"))
    assert path in files
    return [file.name for file in files if text.encode() in file.read_bytes()]


class TestErasing:
    # One text of a few bytes, one over several pages of the file.
    SECRETS = ("secret-short", "secret-long " * 2000)

    def test_purged_texts_are_in_no_file(self, history: History, path: Path) -> None:
        for number in range(60):
            add(
                history,
                row(f"m{number}", new_memory=self.SECRETS[number % 2], user_id="u"),
                row(f"m{number}", new_memory=f"mine {number}", user_id="v"),
            )
        assert files_with(path, "secret-short")
        assert files_with(path, "secret-long")
        delete_scope(history, {"user_id": "u"}, purge=True)
        assert files_with(path, "secret-") == []
        assert files_with(path, "mine 59") == ["history.db"]

    def test_purge_after_forgetting_leaves_no_message_in_a_file(
        self, history: History, path: Path
    ) -> None:
        for _ in range(30):
            save(history, said(*self.SECRETS), "user_id=u")
        assert files_with(path, "secret-long")
        delete_scope(history, {"user_id": "u"})
        delete_scope(history, {"user_id": "u"}, purge=True)
        assert files_with(path, "secret-") == []

    def test_reset_leaves_no_row_and_no_text_in_a_file(self, history: History, path: Path) -> None:
        add(history, *(row(new_memory=text) for text in self.SECRETS))
        save(history, said(*self.SECRETS), "user_id=u")
        delete_scope(history, {})
        assert history.get_history("m") == []
        assert contents(history, "user_id=u") == []
        assert files_with(path, "secret-") == []


class TestPlans:
    """How SQLite answers the very statements that the history sends."""

    @pytest.fixture
    def sent(self, request: pytest.FixtureRequest) -> Iterator[list[str]]:
        """As SQLite gets them, with their values."""
        statements: list[str] = []

        def note(connection: sqlite3.Connection, _record: Any) -> None:
            connection.set_trace_callback(statements.append)

        event.listen(Engine, "connect", note)
        request.getfixturevalue("history")  # only now: its connections are noted from their start
        yield statements
        event.remove(Engine, "connect", note)

    def plan(self, path: Path, statement: str) -> str:
        return "\n".join(step[-1] for step in sql(path, f"EXPLAIN QUERY PLAN {statement}"))

    def test_a_memorys_rows_are_found_by_their_index_and_not_sorted(
        self, sent: list[str], history: History, path: Path
    ) -> None:
        history.get_history("m")
        (found,) = (one for one in sent if "FROM history" in one)
        plan = self.plan(path, found)
        assert plan == "SEARCH history USING INDEX ix_history_memory_id (memory_id=?)"

    def test_last_messages_are_found_by_their_index(
        self, sent: list[str], history: History, path: Path
    ) -> None:
        Messages(history.database).get_last_messages("user_id=u")
        (found,) = (one for one in sent if "FROM messages" in one)
        index = "ix_messages_session_scope"
        assert f"SEARCH messages USING INDEX {index} (session_scope=?)" in self.plan(path, found)

    @pytest.mark.parametrize("change", ["SELECT history.seq", "DELETE FROM messages"])
    def test_a_scope_is_found_by_an_index(
        self, sent: list[str], history: History, path: Path, change: str
    ) -> None:
        delete_scope(history, {"user_id": "u"}, purge=True)
        (found,) = (one for one in sent if " ".join(one.split()).startswith(change))
        assert " INDEX ix_" in self.plan(path, found)

    def test_old_messages_are_found_without_reading_other_conversations(
        self, sent: list[str], history: History, path: Path
    ) -> None:
        save(history, said("a"), "user_id=u")
        (change,) = (one for one in sent if one.startswith("DELETE"))
        assert "SCAN messages" not in self.plan(path, change)


class TestOpening:
    def test_a_file_is_in_wal_mode_and_knows_its_version(
        self, history: History, path: Path
    ) -> None:
        assert sql(path, "PRAGMA journal_mode") == [("wal",)]
        assert sql(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]

    def test_opening_again_adds_no_second_version(self, history: History, path: Path) -> None:
        Database(SQLite(path)).close()
        assert sql(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]

    def test_a_newer_schema_is_refused(self, history: History, path: Path) -> None:
        sql(path, "UPDATE schema_version SET version = ?", SCHEMA_VERSION + 1)
        with pytest.raises(StartupError, match=rf"version {SCHEMA_VERSION + 1}.*newer version"):
            Database(SQLite(path))

    def test_a_file_that_is_no_database_is_refused_by_name(self, path: Path) -> None:
        path.write_bytes(b"not a database, only text " * 100)
        with pytest.raises(StartupError, match=str(path)):
            Database(SQLite(path))

    def test_a_folder_in_its_place_is_refused_by_name(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StartupError, match=str(path)):
            Database(SQLite(path))

    def test_a_folder_that_is_not_there_is_refused_by_name(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing" / "history.db"
        with pytest.raises(StartupError, match=str(missing)):
            Database(SQLite(missing))

    @pytest.mark.parametrize("name", ["with space.db", "100%.db", "a?b=c.db", "a#b.db", "历史.db"])
    def test_any_name_that_a_file_can_have_is_opened(self, tmp_path: Path, name: str) -> None:
        Database(SQLite(tmp_path / name)).close()
        assert (tmp_path / name).is_file()

    def test_a_fresh_file_is_waited_for_while_another_writes_to_it(self, path: Path) -> None:
        # SQLite's busy timeout does not cover this change of the journal mode.
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor() as pool:
                opening = pool.submit(lambda: Database(SQLite(path)))
                try:
                    with pytest.raises(TimeoutError):
                        opening.result(timeout=0.3)
                finally:
                    other.execute("COMMIT")
                opening.result(timeout=20).close()

    def test_six_processes_open_a_fresh_file_at_once_and_all_write(self, tmp_path: Path) -> None:
        paths = [tmp_path / f"{number}.db" for number in range(ROUNDS)]
        at_once(open_and_write, paths, PROCESSES)
        for path in paths:
            assert sql(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]
            assert sql(path, "SELECT count(*) FROM history") == [(PROCESSES,)]


def open_and_write(path: Path) -> None:
    history = History(Database(SQLite(path)))
    add(history, row())
    history.close()


class TestTrouble:
    def test_a_write_waits_for_another_connections_lock(self, history: History, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor() as pool:
                written = pool.submit(add, history, row())
                try:
                    with pytest.raises(TimeoutError):
                        written.result(timeout=1.2)
                    assert history.get_history("m") == []  # reading does not wait
                finally:
                    other.execute("COMMIT")
                written.result(timeout=20)
        assert len(history.get_history("m")) == 1

    def test_a_read_only_database_is_unavailable_for_writing(
        self, history: History, path: Path
    ) -> None:
        add(history, row())
        # Byte 18 of the file is the version to write it with: above 2, SQLite only reads.
        sql(path, "PRAGMA user_version = 1")
        sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(18)
            file.write(b"\x03")
        with pytest.raises(HistoryUnavailable):
            add(history, row())
        assert len(history.get_history("m")) == 1

    def test_a_corrupt_database_is_unavailable(self, history: History, path: Path) -> None:
        add(history, row())
        history.close()
        ((page,),) = sql(path, "SELECT rootpage FROM sqlite_master WHERE name = 'history'")
        ((size,),) = sql(path, "PRAGMA page_size")
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
        damaged = History(Database(SQLite(path)))
        with pytest.raises(HistoryUnavailable):
            add(damaged, row())
        damaged.close()

    def test_the_message_of_a_failure_holds_no_text_of_a_user(
        self, history: History, path: Path
    ) -> None:
        sql(path, "DROP TABLE history")
        with pytest.raises(HistoryUnavailable) as failure:
            add(history, row(new_memory="my secret"))
        assert "secret" not in f"{failure.value} {failure.value.__cause__}"


class TestAnotherDatabase:
    """It needs a class beside sqlite.py, and no change of the others; moving.py is of the two."""

    HISTORY = ROOT / "app/storage/history"
    OTHERS = sorted({*HISTORY.rglob("*.py")} - {HISTORY / "sqlite.py", HISTORY / "moving.py"})

    @pytest.mark.parametrize("module", OTHERS, ids=lambda path: path.name)
    def test_no_other_module_speaks_of_sqlite(self, module: Path) -> None:
        # SQLAlchemy's own keyword, which other databases pass over.
        text = module.read_text().replace("sqlite_autoincrement=True", "")
        assert re.findall(r"(?i:sqlite|pragma|lastrowid|\browid)|BEGIN", text) == []

    @pytest.mark.parametrize("table", TABLES.sorted_tables, ids=str)
    def test_its_tables_can_be_said_in_postgresql(self, table: Table) -> None:
        said = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "DEFAULT 0" not in said  # which a boolean there would refuse
