"""Group commit: writes that come together share a transaction, and nothing else."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError, OperationalError

from app.storage.history.group_commit import GroupCommit, TransactionTimeout
from app.storage.history.sqlite import SQLite
from tests.service import wait_for


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SQLite]:
    opened = SQLite(tmp_path / "rows.db", busy_timeout_s=0.1)
    with opened.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE rows (n INTEGER PRIMARY KEY)")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def engine(backend: SQLite) -> Engine:
    return backend.engine


@pytest.fixture
def transactions(backend: SQLite) -> GroupCommit:
    return GroupCommit(backend.engine, backend.begin)


def add(number: int) -> Callable[[Connection], int]:
    def write(connection: Connection) -> int:
        connection.exec_driver_sql("INSERT INTO rows VALUES (?)", (number,))
        return number

    return write


def rows(engine: Engine) -> set[int]:
    with engine.connect() as connection:
        return {*connection.exec_driver_sql("SELECT n FROM rows").scalars()}


class Crowd:
    """Writers that all wait behind one that is held up, so that the next transaction is theirs."""

    def __init__(self, engine: Engine, transactions: GroupCommit) -> None:
        self._transactions = transactions
        self.commits = 0
        event.listen(engine, "commit", lambda _: self._count())

    def _count(self) -> None:
        self.commits += 1

    def write(self, *works: Callable[[Connection], Any]) -> list[Future[Any]]:
        begun, go = threading.Event(), threading.Event()

        def held_up(connection: Connection) -> int:
            begun.set()
            go.wait()
            return add(0)(connection)

        with ThreadPoolExecutor(len(works) + 1) as pool:
            first = pool.submit(self._transactions.run, held_up)
            begun.wait()
            others = [pool.submit(self._transactions.run, work) for work in works]
            wait_for(lambda: len(self._transactions._waiting) == len(works))
            assert not any(other.done() for other in others)
            go.set()
        return [first, *others]


@pytest.fixture
def crowd(engine: Engine, transactions: GroupCommit) -> Crowd:
    return Crowd(engine, transactions)


def test_what_comes_together_is_committed_together(engine: Engine, crowd: Crowd) -> None:
    found = crowd.write(*(add(n) for n in range(1, 21)))
    assert [one.result() for one in found] == [*range(21)]
    assert rows(engine) == {*range(21)}
    assert crowd.commits == 2


def test_one_that_fails_fails_alone_and_leaves_nothing(engine: Engine, crowd: Crowd) -> None:
    def wrong(connection: Connection) -> None:
        add(7)(connection)
        add(0)(connection)  # it is there already

    first, good, bad, other = crowd.write(add(1), wrong, add(2))
    assert (first.result(), good.result(), other.result()) == (0, 1, 2)
    assert isinstance(bad.exception(), IntegrityError)
    assert rows(engine) == {0, 1, 2}


def test_no_more_than_64_share_one(engine: Engine, crowd: Crowd) -> None:
    found = crowd.write(*(add(n) for n in range(1, 131)))
    assert [one.result() for one in found] == [*range(131)]
    assert crowd.commits == 4


def test_a_database_that_is_held_fails_all_and_works_again(
    engine: Engine, transactions: GroupCommit
) -> None:
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError):
            transactions.run(add(1))
        other.exec_driver_sql("ROLLBACK")
    assert transactions.run(add(1)) == 1
    assert rows(engine) == {1}


def test_many_threads_lose_nothing(engine: Engine, transactions: GroupCommit) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert [*pool.map(lambda n: transactions.run(add(n)), range(2000))] == [*range(2000)]
    assert rows(engine) == {*range(2000)}


class Stuck:
    """A writer in the middle of its transaction, until it is let go."""

    def __init__(self, transactions: GroupCommit) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._written = self._pool.submit(transactions.run, self._write)
        assert self._begun.wait(10)

    def _write(self, connection: Connection) -> int:
        self._begun.set()
        assert self._go.wait(10)
        return add(0)(connection)

    def let_go(self) -> None:
        self._go.set()
        assert self._written.result(10) == 0
        self._pool.shutdown()


def test_who_waits_too_long_is_told_and_does_not_write(backend: SQLite, engine: Engine) -> None:
    transactions = GroupCommit(engine, backend.begin, seconds=0.1)
    stuck = Stuck(transactions)
    for number in (1, 2):
        with pytest.raises(TransactionTimeout):
            transactions.run(add(number))
    stuck.let_go()
    assert transactions.run(add(3)) == 3
    assert rows(engine) == {0, 3}


def test_after_a_failure_in_the_middle_of_a_transaction_the_next_one_works(
    engine: Engine, transactions: GroupCommit
) -> None:
    def wrong(connection: Connection) -> None:
        add(1)(connection)
        connection.exec_driver_sql("no SQL")

    with pytest.raises(OperationalError):
        transactions.run(wrong)
    assert transactions.run(add(2)) == 2
    assert rows(engine) == {2}
