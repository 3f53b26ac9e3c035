"""What happened to each memory, and the last messages of each conversation, in SQL.

Takes the place of mem0's SQLiteManager and keeps its method names, which mem0 calls. Beyond
mem0's columns every row carries the memory's own user_id, agent_id and run_id: once a memory
is deleted, nothing else knows whose it was.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from urllib.parse import unquote

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError

from app.errors import HistoryUnavailable, StartupError
from app.memory.payloads import new_id, now
from app.memory.tables import (
    ADD_INTENT,
    ADD_MESSAGE,
    ADD_ROW,
    ANSWERS,
    DROP_INTENT,
    FINISH_INTENT,
    GIVEN,
    HISTORY,
    INTENTS,
    KEEP_LAST,
    MESSAGES,
    READ_LAST,
    READ_ROWS,
    SCHEMA_VERSION,
    SHOWN,
    TABLES,
    VERSION,
)
from app.memory.transactions import Transactions, driver
from app.scopes import SCOPE_KEYS, Scope

BUSY_TIMEOUT_S = 30
ANSWERS_KEPT_S = 24 * 3600
LOG_PAGES = 8000  # 32 MB: then a commit, which somebody waits for, must empty the log itself
MESSAGES_KEPT = 10  # of each conversation, as mem0 keeps them

Said = Sequence[tuple[Sequence[Mapping[str, Any]], str]]
"""Messages, and the conversation that they belong to."""

P = ParamSpec("P")
R = TypeVar("R")


def _translated(
    method: Callable[Concatenate["History", P], R],
) -> Callable[Concatenate["History", P], R]:
    """Tell a database that is down, locked, read-only or full as HistoryUnavailable."""

    @wraps(method)
    def call(self: "History", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except (DBAPIError, sqlite3.Error) as error:
            raise HistoryUnavailable("The history database does not answer.") from error

    return call


class Claim(NamedTuple):
    """A request with an idempotency key, as it was kept."""

    fingerprint: str
    answer: str | None


class History:
    """One SQLite file; safe for many threads and several processes."""

    def __init__(self, path: Path) -> None:
        """Open `path`, or create it; StartupError where that cannot be."""
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            # A thread never waits for another's connection, only for SQLite's own lock; all are
            # kept, since to open one costs as much as a write.
            pool_size=0,
            pool_use_lifo=True,
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
            hide_parameters=True,  # they are users' texts, and errors are logged
        )
        event.listen(self._engine, "connect", _set_up_connection)
        self._transactions = Transactions(self._engine)
        try:
            self._create()
        except DBAPIError as error:
            self.close()
            detail = f"The history database {path} cannot be opened: {error.orig}"
            raise StartupError(detail) from error
        except StartupError:
            self.close()
            raise

    def close(self) -> None:
        self._transactions.close()
        self._engine.dispose()

    # ---- what mem0 calls

    def add_history(
        self,
        memory_id: str,
        old_memory: str | None,
        new_memory: str | None,
        event: str,
        **details: Any,
    ) -> None:
        row = {"memory_id": memory_id, "old_memory": old_memory, "new_memory": new_memory}
        self.batch_add_history([{**row, "event": event, **details}])

    @_translated
    def batch_add_history(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in one transaction. Keys are the column names; `id` is made here."""

        def write(connection: Connection) -> None:
            _add_rows(connection, records)

        self._transactions.run(write)

    @_translated
    def get_history(self, memory_id: str, within: Scope | None = None) -> list[dict[str, Any]]:
        """The rows of one memory, oldest first; none where it is not `within` that scope."""
        if not within:
            rows = self._read(READ_ROWS, {"memory_id": memory_id})
            return [row | {"is_deleted": bool(row["is_deleted"])} for row in rows]
        mine = (HISTORY.c.memory_id == memory_id, _within(HISTORY, within))
        with self._engine.connect() as connection:
            found = connection.execute(select(*SHOWN).where(*mine).order_by(HISTORY.c.seq))
            return [dict(row) for row in found.mappings()]

    @_translated
    def save_messages(self, messages: Sequence[Mapping[str, Any]], session_scope: str) -> None:
        """Keep the last messages of a conversation, to give the LLM context next time."""

        def write(connection: Connection) -> None:
            _keep_said(connection, messages, session_scope)

        self._transactions.run(write)

    @_translated
    def get_last_messages(
        self, session_scope: str, limit: int = MESSAGES_KEPT
    ) -> list[dict[str, Any]]:
        """The last messages of a conversation, oldest first."""
        return self._read(READ_LAST, {"session": session_scope, "kept": limit})[::-1]

    @_translated
    def reset(self) -> None:
        """Forget everything; the texts leave the file too."""
        with self._transactions.alone() as connection:
            connection.execute(delete(HISTORY))
            connection.execute(delete(MESSAGES))
        self._empty_log()

    # ---- what the service needs besides

    @_translated
    def begin(self, process: str, body: str, repeat: tuple[str, str] | None = None) -> int:
        """Keep an intent, perhaps of the request with the idempotency key `repeat`; its number."""

        def write(connection: Connection) -> int:
            added = driver(connection).execute(ADD_INTENT, {"process": process, "body": body})
            number = int(added.lastrowid or 0)
            if repeat:
                connection.execute(update(ANSWERS).where(_answer(*repeat)).values(intent=number))
            return number

        return self._transactions.run(write)

    @_translated
    def finish(
        self,
        number: int,
        rows: Sequence[Mapping[str, Any]],
        *,
        keep: bool,
        forget: Scope | None = None,
        purge: bool = False,
        answer: str | None = None,
        said: Said = (),
    ) -> None:
        """Put `rows` in the place of an intent, which is kept as done where `keep` says so.

        `said` is kept as by `save_messages`.

        `forget` drops the conversations of every scope that it spans; {} is a reset and leaves
        nothing at all. `purge` also erases the texts of its memories, deleted ones too, from
        the history, the intents and the file; their events stay.
        """

        def write(connection: Connection) -> None:
            _add_rows(connection, rows)
            for messages, session_scope in said:
                _keep_said(connection, messages, session_scope)
            driver(connection).execute(FINISH_INTENT if keep else DROP_INTENT, (number,))
            if answer is not None:
                mine_too = ANSWERS.c.intent == number
                connection.execute(update(ANSWERS).where(mine_too).values(answer=answer))
            if forget is not None:
                _forget(connection, forget, purge=purge)

        self._transactions.run(write)
        if purge or forget == {}:
            self._empty_log()

    @_translated
    def cancel(self, number: int) -> None:
        """The write of an intent did not take place."""

        def write(connection: Connection) -> None:
            connection.execute(delete(INTENTS).where(INTENTS.c.seq == number))
            connection.execute(delete(ANSWERS).where(ANSWERS.c.intent == number))

        self._transactions.run(write)

    @_translated
    def forget(self, numbers: Sequence[int]) -> None:
        """Drop intents that were done for good."""

        def write(connection: Connection) -> None:
            driver(connection).executemany(DROP_INTENT, [(number,) for number in numbers])

        self._transactions.run(write)

    @_translated
    def processes(self) -> list[str]:
        """Who has intents."""
        with self._engine.connect() as connection:
            asking = select(ANSWERS.c.process).where(ANSWERS.c.answer.is_(None))
            return [*connection.scalars(select(INTENTS.c.process).union(asking))]

    @_translated
    def intents(self, process: str) -> list[tuple[int, bool, str]]:
        """Number, whether it was done, and body of the intents of a process, in order."""
        columns = (INTENTS.c.seq, INTENTS.c.done, INTENTS.c.body)
        query = select(*columns).where(INTENTS.c.process == process).order_by(INTENTS.c.seq)
        with self._engine.connect() as connection:
            return [(number, done, body) for number, done, body in connection.execute(query)]

    @_translated
    def done(self, process: str) -> list[int]:
        """The numbers of a process's intents that were done."""
        query = select(INTENTS.c.seq).where(INTENTS.c.process == process, INTENTS.c.done)
        with self._engine.connect() as connection:
            return [*connection.scalars(query)]

    @_translated
    def claim(
        self, caller: str, key: str, fingerprint: str, process: str, scope: Scope
    ) -> "Claim | None":
        """None: the key is now this request's. Else what is known of the request before."""
        now_s = time.time()

        def write(connection: Connection) -> Claim | None:
            connection.execute(delete(ANSWERS).where(ANSWERS.c.asked_at < now_s - ANSWERS_KEPT_S))
            columns = (ANSWERS.c.fingerprint, ANSWERS.c.answer)
            found = connection.execute(select(*columns).where(_answer(caller, key))).first()
            if found:
                return Claim(*found)
            row = {"caller": caller, "key": key, "fingerprint": fingerprint, "asked_at": now_s}
            connection.execute(insert(ANSWERS), {**row, "process": process, **scope})
            return None

        return self._transactions.run(write)

    @_translated
    def answer(self, caller: str, key: str, answer: str) -> None:
        """Keep the answer of a request that wrote nothing."""

        def write(connection: Connection) -> None:
            connection.execute(update(ANSWERS).where(_answer(caller, key)).values(answer=answer))

        self._transactions.run(write)

    @_translated
    def release(self, caller: str, key: str) -> None:
        """Let the request be tried again, unless an intent of it is still open."""

        def write(connection: Connection) -> None:
            connection.execute(delete(ANSWERS).where(_answer(caller, key), _is_free()))

        self._transactions.run(write)

    @_translated
    def release_all(self, process: str) -> None:
        """The same for every request of a process that is gone."""

        def write(connection: Connection) -> None:
            connection.execute(delete(ANSWERS).where(ANSWERS.c.process == process, _is_free()))

        self._transactions.run(write)

    @_translated
    def checkpoint(self) -> None:
        """Bring what is in the write-ahead log into the file, and wait for nobody."""
        self._read("PRAGMA wal_checkpoint(PASSIVE)")

    @_translated
    def check(self) -> None:
        """Raises HistoryUnavailable when it does not answer."""
        with self._engine.connect() as connection:
            connection.execute(select(VERSION.c.version))

    # ---- inside

    def _read(self, statement: str, asked: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with closing(self._engine.raw_connection()) as pooled:
            found = pooled.cursor()
            found.execute(statement, asked or {})
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _create(self) -> None:
        with self._transactions.alone() as connection:
            TABLES.create_all(connection)
            version = connection.scalar(select(func.max(VERSION.c.version)))
            if version is None:
                connection.execute(insert(VERSION), {"version": SCHEMA_VERSION})
            elif version < SCHEMA_VERSION:  # version 2 added a table, which is there by now
                connection.execute(update(VERSION).values(version=SCHEMA_VERSION))
            elif version > SCHEMA_VERSION:
                raise StartupError(
                    f"The history database has schema version {version}; this service knows "
                    f"{SCHEMA_VERSION}. It was written by a newer version: run that one."
                )

    def _empty_log(self) -> None:
        """Bring the write-ahead log into the file, so that erased texts are gone from both."""
        with self._engine.connect() as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        if busy:
            raise HistoryUnavailable(
                "The texts are erased, but a reader of the history database still holds its log, "
                "which has them. Ask again."
            )


def _answer(caller: str, key: str) -> ColumnElement[bool]:
    return (ANSWERS.c.caller == caller) & (ANSWERS.c.key == key)


def _is_free() -> ColumnElement[bool]:
    """Neither answered nor going to be, by an intent that is still open."""
    taken = ANSWERS.c.intent.is_not(None) & ANSWERS.c.intent.in_(select(INTENTS.c.seq))
    return ANSWERS.c.answer.is_(None) & ~taken


def _add_rows(connection: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Keys are the column names; `id` is made here."""
    if not records:
        return
    rows = [
        {name: record.get(name) for name in GIVEN}
        | {"id": new_id(), "is_deleted": bool(record.get("is_deleted"))}
        for record in records
    ]
    driver(connection).executemany(ADD_ROW, rows)


def _forget(connection: Connection, scope: Scope, *, purge: bool) -> None:
    connection.execute(delete(MESSAGES).where(_within(MESSAGES, scope)))
    answered = ANSWERS.c.answer.is_not(None)
    connection.execute(delete(ANSWERS).where(_within(ANSWERS, scope), answered))
    if purge and scope:
        erase = update(HISTORY).values(old_memory=None, new_memory=None)
        connection.execute(erase.where(_within(HISTORY, scope)))
    if not scope:
        connection.execute(delete(HISTORY))
        connection.execute(delete(INTENTS).where(INTENTS.c.done))


def _keep_said(
    connection: Connection, messages: Sequence[Mapping[str, Any]], session_scope: str
) -> None:
    shared = {"session_scope": session_scope, "created_at": now(), **parse_scope(session_scope)}
    rows = [
        {key: message.get(key) for key in ("role", "content", "name")}
        | {"id": new_id(), **dict.fromkeys(SCOPE_KEYS), **shared}
        for message in messages[-MESSAGES_KEPT:]
    ]
    if rows:
        driver(connection).executemany(ADD_MESSAGE, rows)
        driver(connection).execute(KEEP_LAST, {"session": session_scope, "kept": MESSAGES_KEPT})


def _set_up_connection(connection: Any, _record: Any) -> None:
    # None: the driver begins no transaction of its own, so that BEGIN IMMEDIATE can be said.
    connection.isolation_level = None
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    # SQLite's own timeout does not cover a change of the journal mode: while another connection
    # writes it answers "locked" at once.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _within(table: Table, scope: Scope) -> ColumnElement[bool]:
    conditions = [table.c[key] == value for key, value in scope.items()]
    result: ColumnElement[bool] = true()
    for condition in conditions:
        result = result & condition
    return result


def parse_scope(session_scope: str) -> Scope:
    """The scope in mem0's session key, such as `agent_id=a%26b&user_id=alice`."""
    pairs = (part.partition("=") for part in session_scope.split("&"))
    return {key: unquote(value) for key, _, value in pairs if key in SCOPE_KEYS}
