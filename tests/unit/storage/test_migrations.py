"""Databases of every earlier schema, made by the SQL of the versions that wrote them."""

import json
import sqlite3
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.errors import StartupError
from app.storage.history.database import Database
from app.storage.history.messages import Messages
from app.storage.history.rows import History
from app.storage.history.schema import SCHEMA_VERSION, TABLES
from app.storage.history.sqlite import SQLite
from app.storage.history.together import NewIntent
from app.storage.payloads import Payload, history_row, new_id, new_payload
from tests.processes import at_once
from tests.service import ROOT
from tests.unit.memory.test_operations import ALICE
from tests.unit.storage.test_journal import EMBEDDER, Desk, MoodyStore

SCHEMAS = Path(__file__).parent / "schemas"
EARLIER = range(1, SCHEMA_VERSION)
PROCESSES, ROUNDS = 4, 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def sql(path: Path, statement: str, *values: Any) -> list[Any]:
    """What SQLite itself says, past our code."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


def make(path: Path, version: int) -> None:
    """A file as that version left it, with a row and a message of Alice's."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.executescript((SCHEMAS / f"version_{version}.sql").read_text())
        raw.execute(
            "INSERT INTO history (id, memory_id, new_memory, event, is_deleted, user_id) "
            "VALUES ('h', 'm', 'tea', 'ADD', 0, 'alice')"
        )
        raw.execute(
            "INSERT INTO messages (id, session_scope, role, content, created_at, user_id) "
            "VALUES ('s', 'user_id=alice', 'user', 'I like tea', '2026-01-01', 'alice')"
        )
        if version > 1:
            raw.execute(
                "INSERT INTO answers (caller, key, fingerprint, process, answer, asked_at, user_id)"
                " VALUES ('admin', 'k', 'print', 'dead', '{}', ?, 'alice')",
                [2e9],
            )
        raw.commit()


def intent_of_2(path: Path, *, done: bool = False, **given: Any) -> None:
    """An intent as version 2 wrote it: without an id, a deletion with all its rows."""
    body = {"rows": [], "points": {}, "deleted": [], "embedder": None, "scope": None}
    body |= {"purge": False, "repeat": None, "answer": None, "said": [], **given}
    add = "INSERT INTO intents (process, body, done) VALUES ('a dead process', ?, ?)"
    sql(path, add, json.dumps(body), done)


def packed(vector: list[float]) -> str:
    return b64encode(np.asarray(vector, np.float32).tobytes()).decode()


def shape(path: Path) -> dict[str, Any]:
    """The columns of each table, whatever their order, and the indices."""
    names = [name for (name,) in sql(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: {row[1:] for row in sql(path, f"PRAGMA table_info({name})")} for name in names}
    indices = sql(path, "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    return {**columns, "indices": {*indices}}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump()]


@pytest.mark.parametrize("version", EARLIER)
class TestOfEachVersion:
    def test_the_tables_become_those_of_a_new_database(
        self, path: Path, tmp_path: Path, version: int
    ) -> None:
        make(path, version)
        Database(SQLite(path)).close()
        Database(SQLite(tmp_path / "new.db")).close()
        assert shape(path) == shape(tmp_path / "new.db")
        assert sql(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]

    def test_alembic_finds_nothing_left_to_migrate(self, path: Path, version: int) -> None:
        make(path, version)
        Database(SQLite(path)).close()
        backend = SQLite(path)
        with backend.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), TABLES) == []
        backend.engine.dispose()

    def test_rows_and_messages_are_there(self, path: Path, version: int) -> None:
        make(path, version)
        database = Database(SQLite(path))
        (row,) = History(database).get_history("m", ALICE)
        (message,) = Messages(database).get_last_messages("user_id=alice")
        database.close()
        assert (row["new_memory"], row["is_deleted"]) == ("tea", False)
        assert message["content"] == "I like tea"

    def test_a_migration_that_fails_leaves_the_file_as_it_was(
        self, path: Path, version: int
    ) -> None:
        make(path, version)
        if version == 2:
            intent_of_2(path)
        # The last statement of a migration is the one that fails.
        fail = "BEGIN SELECT RAISE(ABORT, 'not today'); END"
        sql(path, f"CREATE TRIGGER stop BEFORE UPDATE ON schema_version {fail}")
        before = dump(path)
        with pytest.raises(StartupError, match=rf"{path}.*not today"):
            Database(SQLite(path))
        assert dump(path) == before
        sql(path, "DROP TRIGGER stop")
        Database(SQLite(path)).close()
        assert sql(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]

    def test_of_processes_that_open_a_file_at_once_one_migrates_it(
        self, tmp_path: Path, version: int
    ) -> None:
        paths = [tmp_path / f"{number}.db" for number in range(ROUNDS)]
        for path in paths:
            make(path, version)
            if version == 2:
                intent_of_2(path, scope=ALICE, deleted=["m"], rows=[])
        at_once(open_and_close, paths, PROCESSES)
        for path in paths:
            assert sql(path, "SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]
            parts = sql(path, "SELECT intent, part, ids FROM intent_parts")
            assert parts == ([(1, 0, '["m"]')] if version == 2 else [])


def open_and_close(path: Path) -> None:
    Database(SQLite(path)).close()


class TestOpenIntentsOfVersion2:
    """A crash before the update is recovered after it."""

    def settled(self, tmp_path: Path, points: dict[str, Payload]) -> Desk:
        """After a start on that file, and on a store with these points."""
        store = MoodyStore(tmp_path / "qdrant")
        store.prepare(EMBEDDER)
        store.put({id_: ([1.0, 0.0], payload) for id_, payload in points.items()})
        store.close()
        desk = Desk(tmp_path)
        desk.journal.recover(desk.store)
        return desk

    def close(self, desk: Desk) -> None:
        desk.journal.close()
        desk.store.close()
        desk.database.close()

    @pytest.mark.parametrize("took_effect", [True, False])
    def test_an_add_is_finished_or_never_was(
        self, tmp_path: Path, path: Path, took_effect: bool
    ) -> None:
        make(path, 2)
        id_, payload = new_id(), new_payload("milk", ALICE, {})
        sql(path, "UPDATE answers SET intent = 1, answer = NULL")
        intent_of_2(
            path,
            rows=[history_row("ADD", id_, None, payload)],
            points={id_: [packed([1.0, 0.0]), payload]},
            embedder=[EMBEDDER.name, EMBEDDER.dimensions],
            repeat=["admin", "k"],
            answer='{"stored": []}',
            said=[[[{"role": "user", "content": "And milk"}], "user_id=alice"]],
        )
        desk = self.settled(tmp_path, {id_: payload} if took_effect else {})
        assert desk.events(id_) == (["ADD"] if took_effect else [])
        said = Messages(desk.database).get_last_messages("user_id=alice")
        assert ("And milk" in str(said)) == took_effect
        kept = [('{"stored": []}',)] if took_effect else []
        assert sql(path, "SELECT answer FROM answers") == kept
        assert desk.left() == 0
        self.close(desk)

    def test_a_deletion_by_scope_is_finished(self, tmp_path: Path, path: Path) -> None:
        make(path, 2)
        id_, payload = new_id(), new_payload("milk", ALICE, {})
        rows = [history_row("DELETE", id_, payload, None)]
        intent_of_2(path, rows=rows, deleted=[id_], scope=ALICE, purge=True)
        desk = self.settled(tmp_path, {id_: payload})
        assert desk.store.get(id_) is None
        assert desk.events(id_) == ["DELETE"]
        assert desk.history.get_history("m")[0]["new_memory"] is None  # purged
        assert Messages(desk.database).get_last_messages("user_id=alice") == []
        assert desk.left() == 0
        self.close(desk)

    def test_one_that_was_done_is_done_once_more_and_adds_no_row(
        self, tmp_path: Path, path: Path
    ) -> None:
        make(path, 2)
        id_, payload = new_id(), new_payload("milk", ALICE, {})
        rows = [history_row("DELETE", id_, payload, None)]
        intent_of_2(path, done=True, rows=rows, deleted=[id_], scope=ALICE)
        desk = self.settled(tmp_path, {id_: payload})
        assert desk.store.get(id_) is None
        assert desk.events(id_) == []
        assert desk.left() == 0
        self.close(desk)

    def test_one_that_cannot_be_read_is_kept_and_named(self, tmp_path: Path, path: Path) -> None:
        make(path, 2)
        add = "INSERT INTO intents (process, body, done) VALUES ('a dead process', ?, 0)"
        for body in ("not JSON", "[]", '{"scope": {}}'):
            sql(path, add, body)
        desk = self.settled(tmp_path, {})
        assert desk.journal.unreadable == [1, 2, 3]
        bodies = sql(path, "SELECT body FROM intents ORDER BY seq")
        assert bodies == [("not JSON",), ("[]",), ('{"scope": {}}',)]
        self.close(desk)

    def test_numbers_go_on_after_theirs(self, tmp_path: Path, path: Path) -> None:
        make(path, 2)
        for _ in range(3):
            intent_of_2(path)
        sql(path, "DELETE FROM intents")
        desk = Desk(tmp_path)
        assert desk.intents.begin("p", NewIntent("an id", 2, "{}")) == 4
        self.close(desk)


@pytest.mark.parametrize(
    ("version", "imported"), [(None, False), (SCHEMA_VERSION, False), (3, True)]
)
def test_alembic_is_imported_only_where_a_migration_is_due(
    path: Path, version: int | None, imported: bool
) -> None:
    if version == SCHEMA_VERSION:
        Database(SQLite(path)).close()
    elif version:
        make(path, version)
    opening = (
        "import sys; from pathlib import Path\n"
        "from app.storage.history.database import Database\n"
        "from app.storage.history.sqlite import SQLite\n"
        "Database(SQLite(Path(sys.argv[1]))).close()\n"
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", opening, str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert said.stdout.strip() == str(imported)
