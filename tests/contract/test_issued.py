"""What is known of keys, as several processes see it."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Barrier, Thread

import pytest

from app.errors import HistoryUnavailable
from app.memory.keys import KeyService
from app.security.keys import Grant, Keys, WrongKey
from app.security.principal import ADMIN, Principal
from app.storage.history.database import Database
from app.storage.history.issued import KEPT_S, IssuedKeys
from app.storage.payloads import today
from tests.databases import Place

ADMIN_KEY = "an-admin-key-of-more-than-32-characters"
ALICE = {"user_id": "alice", "app_id": "shop"}


def grant(id_: str, ends_in: float = 3600) -> Grant:
    return Grant(Principal(id_, ALICE, read_only=True), time.time() + ends_in)


@pytest.fixture
def issued(database: Database) -> IssuedKeys:
    return IssuedKeys(database)


@pytest.fixture
def beside(place: Place, database: Database) -> Iterator[IssuedKeys]:
    """Those of another process."""
    with closing(Database(place.backend())) as opened:
        yield IssuedKeys(opened)


@pytest.fixture
def broken(place: Place) -> Iterator[Callable[[bool], None]]:
    """Breaks what is known of keys, or mends it."""
    names = ["keys", "hidden"]

    def change(broken: bool) -> None:
        if broken is (names[0] == "keys"):
            place.sql(f"ALTER TABLE {names[0]} RENAME TO {names[1]}")
            names.reverse()

    yield change
    change(False)


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


def test_a_use_that_cannot_be_written_now_is_written_later(
    issued: IssuedKeys, broken: Callable[[bool], None]
) -> None:
    issued.used(grant("a"))
    broken(True)
    with pytest.raises(HistoryUnavailable):
        issued.write_uses()
    broken(False)
    (key,) = issued.all()
    assert (key.id, key.scope, key.read_only, key.last_used_on) == ("a", ALICE, True, today())


def test_what_is_used_and_revoked_at_the_same_moment_is_revoked(
    issued: IssuedKeys, beside: IssuedKeys
) -> None:
    ids = [f"{number:08}" for number in range(50)]
    for id_ in ids:
        issued.used(grant(id_))

    def revoke() -> None:
        for id_ in reversed(ids):
            beside.revoke(id_)

    revoking = Thread(target=revoke)
    revoking.start()
    issued.write_uses()
    revoking.join()
    assert all(issued.is_revoked(id_) for id_ in ids)


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
        self, keys: Keys, issued: IssuedKeys, broken: Callable[[bool], None]
    ) -> None:
        broken(True)
        assert KeyService(keys, issued).principal(ADMIN_KEY) is ADMIN

    def test_a_key_of_which_nothing_can_be_known_opens_nothing(
        self, keys: Keys, issued: IssuedKeys, broken: Callable[[bool], None]
    ) -> None:
        key = keys.mint(*grant("a"))
        service = KeyService(keys, issued)
        assert service.principal(key).scope == ALICE
        broken(True)
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
