"""What is known of keys, as several processes see it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest

from app.errors import HistoryUnavailable
from app.memory.keys import KeyService
from app.security.keys import Grant, Keys, WrongKey
from app.security.principal import ADMIN, Principal
from app.storage.history.database import Database
from app.storage.history.issued import KEPT_S, IssuedKeys
from app.storage.history.sqlite import SQLite
from app.storage.payloads import today

ADMIN_KEY = "an-admin-key-of-more-than-32-characters"
ALICE = {"user_id": "alice", "app_id": "shop"}


def grant(id_: str, ends_in: float = 3600) -> Grant:
    return Grant(Principal(id_, ALICE, read_only=True), time.time() + ends_in)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(SQLite(path))) as opened:
        yield opened


@pytest.fixture
def issued(database: Database) -> IssuedKeys:
    return IssuedKeys(database)


@pytest.fixture
def beside(path: Path, database: Database) -> Iterator[IssuedKeys]:
    """Those of another process."""
    with closing(Database(SQLite(path))) as opened:
        yield IssuedKeys(opened)


def broken(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE keys RENAME TO hidden")


def mended(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO keys")


def test_what_another_process_revokes_is_revoked_at_once(
    issued: IssuedKeys, beside: IssuedKeys
) -> None:
    assert issued.add(grant("a"))
    assert not issued.is_revoked("a")
    beside.revoke("a")
    assert issued.is_revoked("a")
    assert not issued.is_revoked("b")


def test_an_id_that_is_known_is_not_given_out_again(issued: IssuedKeys) -> None:
    issued.revoke("a")
    assert not issued.add(grant("a"))
    assert [key.read_only for key in issued.all()] == [None]


def test_a_use_is_written_once_a_day(issued: IssuedKeys, beside: IssuedKeys) -> None:
    issued.add(grant("a"))
    for used in (issued, beside):
        used.used(grant("a"))
        used.used(grant("offline"))
        used.write_uses()
    found = {key.id: key.last_used_on for key in issued.all()}
    assert found == {"a": today(), "offline": today()}


def test_a_use_that_cannot_be_written_now_is_written_later(issued: IssuedKeys, path: Path) -> None:
    issued.used(grant("a"))
    broken(path)
    with pytest.raises(HistoryUnavailable):
        issued.write_uses()
    mended(path)
    (key,) = issued.all()
    assert (key.id, key.scope, key.read_only, key.last_used_on) == ("a", ALICE, True, today())


def test_many_threads_note_uses_and_lose_none(issued: IssuedKeys) -> None:
    together = Barrier(8)

    def use(thread: int) -> None:
        together.wait()
        for number in range(50):
            issued.used(grant(f"{thread}-{number}"))
            if number % 10 == 0:
                issued.write_uses()

    threads = [Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(issued.all()) == 400


def test_a_key_is_kept_for_a_year_after_its_end_and_a_revoked_id_for_ever(
    issued: IssuedKeys,
) -> None:
    issued.add(grant("old", ends_in=-KEPT_S - 10))
    issued.add(grant("ended", ends_in=-KEPT_S + 3600))
    issued.revoke("offline")
    issued.add(grant("new"))
    assert [key.id for key in issued.all()] == ["new", "ended", "offline"]


class TestKeyService:
    @pytest.fixture
    def keys(self) -> Keys:
        return Keys(ADMIN_KEY)

    def test_the_admin_key_is_looked_up_nowhere(
        self, keys: Keys, issued: IssuedKeys, path: Path
    ) -> None:
        broken(path)
        assert KeyService(keys, issued).principal(ADMIN_KEY) is ADMIN

    def test_a_key_of_which_nothing_can_be_known_opens_nothing(
        self, keys: Keys, issued: IssuedKeys, path: Path
    ) -> None:
        key = keys.mint(*grant("a"))
        service = KeyService(keys, issued)
        assert service.principal(key).scope == ALICE
        broken(path)
        with pytest.raises(HistoryUnavailable):
            service.principal(key)

    def test_a_use_after_the_end_or_the_revocation_is_none(
        self, keys: Keys, issued: IssuedKeys
    ) -> None:
        service = KeyService(keys, issued)
        issued.revoke("a")
        for key in (keys.mint(*grant("a")), keys.mint(*grant("b", ends_in=-1)), "garbage"):
            with pytest.raises(WrongKey):
                service.principal(key)
        assert [(key.id, key.last_used_on) for key in issued.all()] == [("a", None)]
