"""The history and the messages, on real SQLite files and real processes."""

import multiprocessing
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mem0.memory.storage import SQLiteManager
from sqlalchemy import Engine, Table, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from app.errors import HistoryUnavailable, StartupError
from app.security.scopes import Scope
from app.storage.history import rows
from app.storage.history.database import Database
from app.storage.history.intents import Intents
from app.storage.history.messages import MESSAGES_KEPT, Messages, parse_scope, session_key
from app.storage.history.rows import History
from app.storage.history.schema import SCHEMA_VERSION, TABLES
from app.storage.history.sqlite import SQLite
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


def row(memory_id: str = "m", **columns: Any) -> dict[str, Any]:
    return {"memory_id": memory_id, "event": "ADD", "new_memory": "tea", **columns}


def add(history: History, *written: dict[str, Any]) -> None:
    """In one transaction."""
    history.database.write(lambda connection: rows.add(connection, written))


def save(history: History, messages: list[dict[str, str]], session_scope: str) -> None:
    Messages(history.database).save([(messages, session_scope)])


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def contents(history: History, session_scope: str, limit: int = MESSAGES_KEPT) -> list[str]:
    return [
        found["content"]
        for found in Messages(history.database).get_last_messages(session_scope, limit)
    ]


def files_with(path: Path, text: str) -> list[str]:
    """The names of the database's files, the write-ahead log too, in which `text` stands."""
    files = sorted(path.parent.glob(f"{path.name}*"))
    assert path in files
    return [file.name for file in files if text.encode() in file.read_bytes()]


class TestAsMem0HasIt:
    def test_rows_are_the_same_as_mem0s_but_for_their_ids(self, history: History) -> None:
        theirs = SQLiteManager(":memory:")
        details = {"created_at": "2024-01-01", "actor_id": "bob", "role": "user"}
        deleted = {"old_memory": "tea", "new_memory": None, "updated_at": "2024-01-02"}
        written = [
            row(**details),
            row(event="DELETE", is_deleted=1, **deleted),
            row(event="ADD", role="assistant"),
        ]
        theirs.batch_add_history(written)
        add(history, *written)
        answers = [store.get_history("m") for store in (theirs, history)]
        theirs.close()
        assert {found.pop("written_by") for found in answers[1]} == {None}
        assert [[*found] for found in answers[0]] == [[*found] for found in answers[1]]
        for found in (*answers[0], *answers[1]):
            found.pop("id")
        # mem0 sorts by times that may be missing, we by what happened first.
        assert sorted(answers[0], key=str) == sorted(answers[1], key=str)

    def test_messages_are_the_same_as_mem0s_but_for_their_times(self, history: History) -> None:
        theirs = SQLiteManager(":memory:")
        messages = [{"role": "user", "content": "a", "name": "bob"}, {"role": "assistant"}]
        theirs.save_messages(messages, "user_id=u")
        save(history, messages, "user_id=u")
        reading = (theirs, Messages(history.database))
        answers = [store.get_last_messages("user_id=u") for store in reading]
        theirs.close()
        assert [[*found] for found in answers[0]] == [[*found] for found in answers[1]]
        for found in (*answers[0], *answers[1]):
            found.pop("created_at")
        assert answers[0] == answers[1]


class TestWritten:
    """What a key wrote."""

    @pytest.fixture
    def found(self, history: History) -> Callable[..., set[str]]:
        """Two keys' rows: on the first and third of a month, and one deletes on the fourth."""

        def event(memory_id: str, day: int, by: str | None, **columns: Any) -> dict[str, Any]:
            at = f"2026-01-0{day}T00:00:00.000000+00:00"
            return row(memory_id, updated_at=at, written_by=by, **columns)

        add(
            history,
            event("early", 1, "a", user_id="u"),
            event("late", 3, "a", user_id="v"),
            event("late", 3, "a", user_id="v", event="UPDATE"),
            event("theirs", 3, "b", user_id="u"),
            event("theirs", 4, "a", user_id="u", event="DELETE"),
            event("nobody's", 3, None, user_id="u"),
        )

        def written(by: str, since: int = 0, until: int = 0, **scope: str) -> set[str]:
            days = [(day and datetime(2026, 1, day, tzinfo=UTC)) or None for day in (since, until)]
            ids = history.written(by, scope, *days)
            assert len({*ids}) == len(ids)
            return {*ids}

        return written

    def test_is_what_it_added_or_changed(self, found: Callable[..., set[str]]) -> None:
        assert found("a") == {"early", "late"}
        assert found("b") == {"theirs"}
        assert found("c") == set()

    def test_is_bounded_by_since_inclusive_and_until_exclusive(
        self, found: Callable[..., set[str]]
    ) -> None:
        assert found("a", since=1, until=3) == {"early"}
        assert found("a", since=2) == {"late"}
        assert found("a", since=3, until=4) == {"late"}

    def test_is_of_a_scope(self, found: Callable[..., set[str]]) -> None:
        assert found("a", user_id="u") == {"early"}


class TestRows:
    def test_are_given_oldest_first_whatever_their_times_say(self, history: History) -> None:
        for number, year in enumerate(["2030", "2010", "2020"]):
            add(history, row(new_memory=f"{number}", event="UPDATE", created_at=f"{year}-01-01"))
        assert [found["new_memory"] for found in history.get_history("m")] == ["0", "1", "2"]

    def test_of_one_batch_keep_its_order(self, history: History) -> None:
        add(history, *(row(new_memory=str(number)) for number in range(200)))
        texts = [found["new_memory"] for found in history.get_history("m")]
        assert texts == [str(number) for number in range(200)]

    def test_have_mem0s_columns_and_who_wrote_them(self, history: History) -> None:
        add(history, row(user_id="u", actor_id="bob", role="user", written_by="95c71b81", odd=1))
        (found,) = history.get_history("m")
        assert len(found.pop("id")) == 36
        assert found == {
            "memory_id": "m",
            "old_memory": None,
            "new_memory": "tea",
            "event": "ADD",
            "created_at": None,
            "updated_at": None,
            "is_deleted": False,
            "actor_id": "bob",
            "role": "user",
            "written_by": "95c71b81",
        }

    def test_have_ids_of_their_own(self, history: History) -> None:
        add(history, row(id="given"), row(id="given"))
        ids = {found["id"] for found in history.get_history("m")}
        assert len(ids) == 2
        assert "given" not in ids

    def test_say_whether_the_memory_is_deleted_as_a_boolean(self, history: History) -> None:
        add(history, row(is_deleted=1), row(is_deleted=None), row())
        deleted = [found["is_deleted"] for found in history.get_history("m")]
        assert deleted == [True, False, False]
        assert {type(value) for value in deleted} == {bool}

    def test_keep_the_scope_of_their_memory(self, history: History, path: Path) -> None:
        add(history, row(user_id="u", agent_id="a", app_id="b", run_id="r"), row(user_id="v"))
        stored = sql(path, "SELECT user_id, agent_id, app_id, run_id FROM history ORDER BY seq")
        assert stored == [("u", "a", "b", "r"), ("v", None, None, None)]

    def test_of_another_memory_are_not_given(self, history: History) -> None:
        add(history, row("m"), row("other"))
        assert [found["memory_id"] for found in history.get_history("m")] == ["m"]
        assert history.get_history("unknown") == []

    def test_of_a_batch_with_a_wrong_one_are_all_refused(self, history: History) -> None:
        with pytest.raises(HistoryUnavailable):
            add(history, row(), row(event=None))
        assert history.get_history("m") == []

    def test_none_at_all_are_no_write(self, history: History, path: Path) -> None:
        add(history)
        assert sql(path, "SELECT count(*) FROM history") == [(0,)]

    def test_are_there_after_closing_and_opening_again(self, history: History, path: Path) -> None:
        add(history, row(new_memory="龙井茶 🏔"))
        history.close()
        again = History(Database(SQLite(path)))
        assert [found["new_memory"] for found in again.get_history("m")] == ["龙井茶 🏔"]
        again.close()


class TestMessages:
    def test_are_given_oldest_first_across_saves(self, history: History) -> None:
        save(history, said("a", "b"), "user_id=u")
        save(history, said("c"), "user_id=u")
        assert contents(history, "user_id=u") == ["a", "b", "c"]
        assert contents(history, "user_id=u", limit=2) == ["b", "c"]

    def test_are_kept_to_the_last_ten_of_each_conversation(
        self, history: History, path: Path
    ) -> None:
        for number in range(7):
            save(history, said(f"u{number}a", f"u{number}b"), "user_id=u")
            save(history, said(f"v{number}"), "user_id=v")
        last = [f"u{number}{half}" for number in range(2, 7) for half in "ab"]
        assert contents(history, "user_id=u", limit=100) == last
        assert contents(history, "user_id=v", limit=100) == [f"v{number}" for number in range(7)]
        assert sql(path, "SELECT count(*) FROM messages") == [(17,)]

    def test_of_one_long_save_are_kept_to_the_last_ten(self, history: History) -> None:
        save(history, said(*map(str, range(25))), "user_id=u")
        assert contents(history, "user_id=u", limit=100) == [*map(str, range(15, 25))]

    def test_none_at_all_change_nothing(self, history: History) -> None:
        save(history, said("a"), "user_id=u")
        save(history, [], "user_id=u")
        assert contents(history, "user_id=u") == ["a"]

    def test_keep_the_scope_of_their_conversation(self, history: History, path: Path) -> None:
        save(history, said("a"), "agent_id=a%26b%3Dc&user_id=u")
        assert sql(path, "SELECT user_id, agent_id, run_id FROM messages") == [("u", "a&b=c", None)]

    @pytest.mark.parametrize(
        "scope",
        [
            {"user_id": "u"},
            {"user_id": "u", "agent_id": "a", "app_id": "b", "run_id": "r"},
            {"user_id": "a&run_id=b%26c", "agent_id": "50%"},
            {"user_id": "小明/é+x"},
        ],
        ids=str,
    )
    def test_their_scope_is_read_back_from_its_key(self, scope: dict[str, str]) -> None:
        assert parse_scope(session_key(scope)) == scope

    def test_forgetting_a_scope_drops_every_conversation_it_spans(self, history: History) -> None:
        scopes = ["user_id=u", "agent_id=a&user_id=u", "agent_id=a", "user_id=v", "run_id=r"]
        for scope in scopes:
            save(history, said("x"), scope)
        delete_scope(history, {"user_id": "u"})
        assert [scope for scope in scopes if contents(history, scope)] == scopes[2:]

    def test_forgetting_two_keys_drops_only_what_has_both(self, history: History) -> None:
        scopes = ["user_id=u", "agent_id=a&user_id=u", "agent_id=a&run_id=r&user_id=u"]
        for scope in scopes:
            save(history, said("x"), scope)
        delete_scope(history, {"user_id": "u", "agent_id": "a"})
        assert [scope for scope in scopes if contents(history, scope)] == ["user_id=u"]


def delete_scope(history: History, scope: Scope, *, purge: bool = False) -> None:
    """What a delete_all of no memories leaves to the history."""
    intents = Intents(history.database)
    number = intents.begin("p", "an id", 2, "{}")
    intents.finish_deletion(number, scope, keep=False, purge=purge)
    history.database.keeps_erased()


class TestErasing:
    # One text of a few bytes, one over several pages of the file.
    SECRETS = ("secret-short", "secret-long " * 2000)

    def test_purge_keeps_the_events_and_not_the_texts(self, history: History) -> None:
        add(
            history,
            row(user_id="u", agent_id="a"),
            row(user_id="u", agent_id="a", event="UPDATE", old_memory="tea"),
            row(user_id="u", agent_id="a", event="DELETE", is_deleted=True),
        )
        delete_scope(history, {"user_id": "u"}, purge=True)
        rows = history.get_history("m")
        assert [found["event"] for found in rows] == ["ADD", "UPDATE", "DELETE"]
        assert {found["old_memory"] for found in rows} == {None}
        assert {found["new_memory"] for found in rows} == {None}

    def test_purge_leaves_other_scopes_their_texts(self, history: History) -> None:
        add(
            history,
            row("gone", user_id="u", agent_id="a"),
            row("other agent", user_id="u", agent_id="b"),
            row("other user", user_id="v", agent_id="a"),
            row("no agent", user_id="u"),
        )
        delete_scope(history, {"user_id": "u", "agent_id": "a"}, purge=True)
        texts = {
            memory_id: history.get_history(memory_id)[0]["new_memory"]
            for memory_id in ("gone", "other agent", "other user", "no agent")
        }
        assert texts == {"gone": None, "other agent": "tea", "other user": "tea", "no agent": "tea"}

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

    def test_reset_leaves_a_history_that_works(self, history: History) -> None:
        delete_scope(history, {})
        add(history, row())
        save(history, said("a"), "user_id=u")
        assert len(history.get_history("m")) == 1
        assert contents(history, "user_id=u") == ["a"]


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
        index = "ix_messages_session_scope_created_at"
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
        # Its server imports the packages once, and each process is forked from that.
        forkserver = multiprocessing.get_context("forkserver")
        forkserver.set_forkserver_preload([__name__])
        together = forkserver.Barrier(PROCESSES)
        processes = [
            forkserver.Process(target=open_and_write, args=(tmp_path, together))
            for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * PROCESSES
        for number in range(ROUNDS):
            path = tmp_path / f"{number}.db"
            assert sql(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]
            assert sql(path, "SELECT count(*) FROM history") == [(PROCESSES,)]


def open_and_write(folder: Path, together: Any) -> None:
    """One of several processes: in each round all open the same new file."""
    try:
        for number in range(ROUNDS):
            together.wait(30)
            history = History(Database(SQLite(folder / f"{number}.db")))
            add(history, row())
            history.close()
    except BaseException:
        together.abort()  # the others need not wait for this one
        raise


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

    def test_eight_threads_lose_no_write(self, history: History) -> None:
        def write(thread: int) -> None:
            for number in range(50):
                add(history, row(f"m{thread}", new_memory=str(number)))

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(write, thread) for thread in range(8)]:
                done.result()
        for thread in range(8):
            texts = [found["new_memory"] for found in history.get_history(f"m{thread}")]
            assert texts == [*map(str, range(50))]


class TestAnotherDatabase:
    """It needs a class beside sqlite.py, and no change of the others."""

    HISTORY = ROOT / "app/storage/history"
    OTHERS = sorted({*HISTORY.rglob("*.py")} - {HISTORY / "sqlite.py"})

    @pytest.mark.parametrize("module", OTHERS, ids=lambda path: path.name)
    def test_no_other_module_speaks_of_sqlite(self, module: Path) -> None:
        # SQLAlchemy's own keyword, which other databases pass over.
        text = module.read_text().replace("sqlite_autoincrement=True", "")
        assert re.findall(r"(?i:sqlite|pragma|lastrowid|\browid)|BEGIN", text) == []

    @pytest.mark.parametrize("table", TABLES.sorted_tables, ids=str)
    def test_its_tables_can_be_said_in_postgresql(self, table: Table) -> None:
        said = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "DEFAULT 0" not in said  # which a boolean there would refuse
