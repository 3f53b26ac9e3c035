"""The queue of jobs, on every database that it may be kept in."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from app.errors import (
    IdempotencyKeyErased,
    IdempotencyKeyReused,
    JobHasBegun,
    TooManyJobs,
)
from app.security.scopes import Scope
from app.storage.history import accepting, job_rows
from app.storage.history.answers import Answers, Claim, Wanted, Withdrawn, belongs_to, erase
from app.storage.history.database import Database
from app.storage.history.job_queue import JobQueue
from app.storage.history.job_rows import WITHOUT_KEY, NewJob, StoredJob
from app.storage.history.jobs import Jobs
from app.storage.history.schema import ANSWERS, JOBS
from app.storage.payloads import new_id
from tests.databases import Place, PostgreSQLPlace
from tests.service import wait_for

ALICE, BOB = {"user_id": "alice"}, {"user_id": "bob"}
MANY = 1000
NOBODY: Scope = {}


class Desk:
    """The jobs of a database, and the queue of the process `me`."""

    def __init__(self, place: Place) -> None:
        self.database = Database(place.backend())
        self.jobs = Jobs(self.database)
        self.queue = JobQueue(self.database)
        self.answers = Answers(self.database)

    def add(self, scope: Scope, key: str | None = None, said: str = "tea") -> StoredJob:
        [job] = self.jobs.add([new(scope, key, said)], MANY)
        return job

    def claim(self, process: str = "me", most: int = MANY) -> list[str]:
        return [job.id for job in self.queue.claim(process, most)]

    def now(self, job: StoredJob) -> StoredJob:
        found = self.jobs.get(job.id, NOBODY)
        assert found
        return found

    def delete(self, scope: Scope, last: int, *, erases: bool = False) -> None:
        self.database.write(
            lambda connection: job_rows.cancel_within(connection, scope, last, erase=erases)
        )

    def begin(self, job: StoredJob) -> Claim | None:
        """As a run of it begins."""
        wanted = Wanted(job.caller, job.key, "tea", job.scope, job.id)
        return self.answers.claim_all([wanted], "me")[0]

    def sql(self, statement: Any) -> Any:
        return self.database.write(lambda connection: connection.execute(statement))


def new(scope: Scope, key: str | None = None, said: str = "tea") -> NewJob:
    id_ = new_id()
    caller = "admin" if key else WITHOUT_KEY
    return NewJob(id_, caller, key or id_, (said, f"{said} by 0.1"), "admin", "{}", said, scope)


@pytest.fixture
def desk(place: Place) -> Iterator[Desk]:
    made = Desk(place)
    yield made
    made.database.close()


class TestOrder:
    def test_the_first_of_each_scope_is_claimed_and_the_next_when_it_has_ended(
        self, desk: Desk
    ) -> None:
        first, second, other = desk.add(ALICE), desk.add(ALICE), desk.add(BOB)
        assert desk.claim() == [first.id, other.id]
        assert desk.claim() == []
        desk.queue.succeed(first, "me", "{}")
        assert desk.claim() == [second.id]

    def test_scopes_that_share_an_id_are_not_the_same(self, desk: Desk) -> None:
        ids = [desk.add(ALICE).id, desk.add({**ALICE, "run_id": "1"}).id]
        assert desk.claim() == ids

    def test_one_that_waits_for_its_next_attempt_keeps_those_after_it_waiting(
        self, desk: Desk
    ) -> None:
        first, second = desk.add(ALICE), desk.add(ALICE)
        desk.claim()
        desk.queue.put_off(first, "me", None, time.time() + 60)
        assert desk.claim() == []
        desk.sql(update(JOBS).values(due_at=0))
        assert desk.claim() == [first.id]
        assert desk.now(first).attempts == 2
        assert desk.now(second).attempts == 0

    def test_the_next_of_one_that_was_cancelled_is_claimed(self, desk: Desk) -> None:
        first, second = desk.add(ALICE), desk.add(ALICE)
        desk.jobs.cancel(first.id, NOBODY)
        assert desk.claim() == [second.id]

    def test_no_more_are_claimed_than_asked_for_the_oldest_first(self, desk: Desk) -> None:
        ids = [desk.add({"user_id": f"user {number}"}).id for number in range(3)]
        assert desk.claim(most=2) == ids[:2]

    def test_one_that_is_being_accepted_is_not_overtaken_by_the_next_of_its_scope(
        self, postgresql_place: PostgreSQLPlace
    ) -> None:
        postgresql_place.empty()
        slow, quick = Desk(postgresql_place), Desk(postgresql_place)
        first, second = new(ALICE), new(ALICE)
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

        with ThreadPoolExecutor(1) as pool:

            def accept_slowly(connection: Connection) -> list[str]:
                accepting.accept(connection, [first], MANY)
                other = pool.submit(quick.jobs.add, [second], MANY)
                wait_for(lambda: other.done() or postgresql_place.sql(waiting), 30)
                return quick.claim("other")

            assert slow.database.write(accept_slowly) == []
        assert slow.claim() == [first.id]
        assert quick.claim("other") == []
        slow.database.close()
        quick.database.close()

    def test_two_processes_never_claim_the_same(self, desk: Desk, place: Place) -> None:
        wanted = {desk.add({"user_id": f"user {number}"}).id for number in range(60)}
        others = [Desk(place) for _ in range(3)]
        together = threading.Barrier(3)

        def claim(other: Desk) -> list[str]:
            together.wait(30)
            claimed = []
            while some := other.claim(new_id(), most=2):
                claimed += some
            return claimed

        with ThreadPoolExecutor(3) as pool:
            claimed = [id_ for ids in pool.map(claim, others) for id_ in ids]
        for other in others:
            other.database.close()
        assert len(claimed) == 60
        assert {*claimed} == wanted


class TestKeys:
    def test_the_same_key_gives_the_same_job_whatever_became_of_it(self, desk: Desk) -> None:
        job = desk.add(ALICE, "k")
        assert desk.add(ALICE, "k").id == job.id
        desk.jobs.cancel(job.id, NOBODY)
        again = desk.add(ALICE, "k")
        assert (again.id, again.state) == (job.id, "cancelled")

    def test_another_body_is_refused_and_nothing_of_its_batch_is_kept(self, desk: Desk) -> None:
        desk.add(ALICE, "k")
        with pytest.raises(IdempotencyKeyReused):
            desk.jobs.add([new(BOB), new(ALICE, "k", "milk")], MANY)
        assert desk.jobs.state().pending == 1

    def test_a_key_twice_in_one_batch_is_one_job(self, desk: Desk) -> None:
        batch = [new(ALICE, "k"), new(ALICE, "k"), new(ALICE)]
        first, same, other = desk.jobs.add(batch, MANY)
        assert first.id == same.id != other.id
        with pytest.raises(IdempotencyKeyReused):
            desk.jobs.add([new(ALICE, "n"), new(ALICE, "n", "milk")], MANY)

    def test_of_processes_that_accept_the_same_key_one_is_faster(
        self, desk: Desk, place: Place
    ) -> None:
        others = [Desk(place) for _ in range(3)]
        together = threading.Barrier(3)

        def add(other: Desk) -> list[str]:
            ids = []
            for number in range(10):
                together.wait(30)
                ids.append(other.add(ALICE, f"k{number}").id)
            return ids

        with ThreadPoolExecutor(3) as pool:
            first, second, third = pool.map(add, others)
        for other in others:
            other.database.close()
        assert first == second == third
        assert desk.jobs.state().pending == 10

    def test_a_key_that_an_add_had_is_known(self, desk: Desk) -> None:
        desk.answers.claim("admin", "k", "tea", "me", ALICE)
        with pytest.raises(IdempotencyKeyReused):
            desk.add(ALICE, "k", "milk")
        desk.answers.answer("admin", "k", "{}", "me")
        assert desk.add(ALICE, "k").state == "pending"  # it will give that answer
        desk.answers.claim("admin", "n", "tea", "me", ALICE)
        desk.answers.answer("admin", "n", "{}", "me")
        desk.database.write(lambda connection: erase(connection, ALICE))
        with pytest.raises(IdempotencyKeyErased):
            desk.add(ALICE, "n")

    def test_an_add_with_its_key_waits_for_a_job_and_gives_its_answer(self, desk: Desk) -> None:
        job = desk.add(ALICE, "k")
        claim = desk.answers.claim("admin", "k", "tea", "me", ALICE)
        assert claim
        assert claim.answer is None
        desk.claim()
        desk.queue.succeed(job, "me", '{"stored": []}')
        claim = desk.answers.claim("admin", "k", "tea", "me", ALICE)
        assert claim
        assert (claim.fingerprint, claim.answer) == ("tea", '{"stored": []}')

    def test_an_add_with_the_key_of_a_job_that_failed_is_tried(self, desk: Desk) -> None:
        job = desk.add(ALICE, "k")
        desk.claim()
        desk.queue.fail(job, "me", "{}", 0)
        assert desk.answers.claim("admin", "k", "tea", "me", ALICE) is None


class TestBounds:
    def test_no_more_wait_than_may_and_all_of_a_batch_are_refused(self, desk: Desk) -> None:
        job, _ = desk.jobs.add([new(ALICE), new(BOB)], 3)
        with pytest.raises(TooManyJobs):
            desk.jobs.add([new(ALICE), new(BOB)], 3)
        assert desk.jobs.state().pending == 2
        desk.jobs.cancel(job.id, NOBODY)
        desk.jobs.add([new(ALICE), new(BOB)], 3)

    def test_those_that_ended_long_ago_are_removed(self, desk: Desk) -> None:
        old, young, open_ = desk.add(ALICE), desk.add(BOB), desk.add(ALICE)
        for job in (old, young):
            desk.jobs.cancel(job.id, NOBODY)
        desk.sql(update(JOBS).where(JOBS.c.id == old.id).values(ended_at=1.0))
        desk.jobs.remove_ended(2.0)
        assert desk.jobs.get(old.id, NOBODY) is None
        assert desk.now(young)
        assert desk.now(open_)

    def test_what_was_asked_is_erased_when_it_has_ended(self, desk: Desk) -> None:
        done, failed, cancelled = (desk.add({"user_id": name}) for name in "abc")
        assert done.body == "tea"
        desk.claim(most=2)
        desk.queue.succeed(done, "me", "{}")
        desk.queue.fail(failed, "me", "{}", 0)
        desk.jobs.cancel(cancelled.id, NOBODY)
        assert [desk.now(job).body for job in (done, failed, cancelled)] == [None] * 3


class TestCancelling:
    def test_what_runs_or_has_ended_is_not_cancelled(self, desk: Desk) -> None:
        job = desk.add(ALICE)
        desk.claim()
        with pytest.raises(JobHasBegun):
            desk.jobs.cancel(job.id, NOBODY)
        desk.queue.succeed(job, "me", "{}")
        with pytest.raises(JobHasBegun):
            desk.jobs.cancel(job.id, NOBODY)

    def test_nor_what_may_have_stored_something(self, desk: Desk) -> None:
        job = desk.add(ALICE)
        desk.claim()
        desk.begin(job)
        desk.queue.put_off(job, "me", None, 0)
        with pytest.raises(JobHasBegun):
            desk.jobs.cancel(job.id, NOBODY)

    def test_one_of_another_scope_is_not_there(self, desk: Desk) -> None:
        assert desk.jobs.cancel(desk.add(ALICE).id, BOB) is None


class TestDeletions:
    def test_what_was_accepted_before_is_cancelled_and_nothing_else(self, desk: Desk) -> None:
        before, of_run, other = desk.add(ALICE), desk.add({**ALICE, "run_id": "1"}), desk.add(BOB)
        last = desk.jobs.last()
        after = desk.add(ALICE)
        desk.delete(ALICE, last)
        states = [desk.now(job).state for job in (before, of_run, other, after)]
        assert states == ["cancelled", "cancelled", "pending", "pending"]
        assert desk.now(before).body is None

    def test_a_reset_cancels_all(self, desk: Desk) -> None:
        jobs = [desk.add(ALICE), desk.add(BOB)]
        desk.delete(NOBODY, desk.jobs.last(), erases=True)
        assert {desk.now(job).state for job in jobs} == {"cancelled"}

    def test_one_that_runs_can_neither_claim_its_key_nor_write_any_more(self, desk: Desk) -> None:
        early, late = desk.add(ALICE, "early"), desk.add({**ALICE, "run_id": "1"}, "late")
        desk.claim()
        assert desk.begin(early) is None
        desk.delete(ALICE, desk.jobs.last())
        key = ("admin", "early")
        with pytest.raises(Withdrawn):
            desk.database.write(lambda connection: belongs_to(connection, "me", key, 1))
        with pytest.raises(Withdrawn):
            desk.answers.answer(*key, "{}", "me")
        with pytest.raises(Withdrawn):
            desk.begin(late)
        assert not desk.queue.succeed(early, "me", "{}")

    def test_a_purge_erases_what_was_stored_and_the_key_is_known_as_erased(
        self, desk: Desk
    ) -> None:
        job = desk.add(ALICE, "k")
        desk.claim()
        desk.queue.succeed(job, "me", '{"stored": ["tea"]}')
        desk.delete(ALICE, desk.jobs.last())
        assert desk.now(job).outcome
        desk.delete(ALICE, desk.jobs.last(), erases=True)
        assert (desk.now(job).outcome, desk.now(job).erased) == (None, True)
        claim = desk.answers.claim("admin", "k", "tea", "me", ALICE)
        assert claim
        assert claim.erased


class TestInterruptions:
    def test_what_a_dead_process_ran_is_run_again_after_a_pause(self, desk: Desk) -> None:
        job = desk.add(ALICE)
        desk.claim("dead")
        desk.queue.interrupted("dead", lambda _: 0.0, "{}")
        assert desk.now(job).interruptions == 1
        assert desk.claim("me") == [job.id]
        assert not desk.queue.succeed(job, "dead", "{}")

    def test_what_ends_the_process_each_time_is_given_up(self, desk: Desk) -> None:
        job = desk.add(ALICE)
        desk.claim("dead")
        desk.queue.interrupted("dead", lambda _: None, '{"code": "x"}')
        assert (desk.now(job).state, desk.now(job).outcome) == ("failed", '{"code": "x"}')

    def test_one_is_not_given_up_before_it_is_known_whether_it_stored_something(
        self, desk: Desk
    ) -> None:
        job = desk.add(ALICE)
        desk.claim()
        desk.begin(job)
        desk.queue.fail(job, "me", "{}", 0)
        assert desk.now(job).state == "pending"

    def test_its_answer_is_kept_however_long_the_service_was_down(self, desk: Desk) -> None:
        job = desk.add(ALICE)
        desk.claim()
        desk.begin(job)
        desk.answers.answer(job.caller, job.key, "the answer", "me")
        desk.sql(update(ANSWERS).values(asked_at=0))
        desk.answers.claim("admin", "another", "milk", "me", BOB)
        claim = desk.begin(job)
        assert claim
        assert claim.answer == "the answer"
        desk.queue.succeed(job, "me", "the answer")
        with desk.database.reading() as connection:
            keys = connection.scalars(select(ANSWERS.c.key)).all()
        assert keys == ["another"]
