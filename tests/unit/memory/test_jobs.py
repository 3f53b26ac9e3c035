"""Jobs of a service in this process: what a run of one may meet."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from app.errors import JobsDelayed
from app.memory.jobs import Job, JobService
from app.memory.requests import AddRequest
from app.memory.validation import validated
from app.security.principal import ADMIN, Principal
from app.storage.history.schema import ANSWERS, JOBS
from tests.service import wait_for
from tests.unit.memory.test_operations import Parts

ALICE = {"user_id": "alice"}
BOUND = Principal("95c71b81", ALICE)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path, "Likes tea")
    yield made
    made.service.close()


@pytest.fixture
def jobs(parts: Parts) -> JobService:
    return parts.service.service.jobs


def asked(principal: Principal = ADMIN, **fields: Any) -> AddRequest:
    return validated(AddRequest, {"data": "I like tea", **fields}, principal)


def ended(jobs: JobService, job: Job) -> Job:
    return wait_for(lambda: (now := jobs.get(ADMIN, job.id)).has_ended and now, 30)


def test_many_are_accepted_together_and_each_is_done(parts: Parts, jobs: JobService) -> None:
    users = [{"user_id": f"user {number}".replace(" ", "-")} for number in range(20)]
    accepted = jobs.submit_many(ADMIN, [(asked(**user), None) for user in users])
    assert [job.scope for job in accepted] == users
    assert {ended(jobs, job).state for job in accepted} == {"succeeded"}
    assert parts.service.get_all({}, limit=100)["total"] == 20


def test_none_is_no_mistake(jobs: JobService) -> None:
    assert jobs.submit_many(ADMIN, []) == []


def test_it_is_written_by_the_key_that_asked(parts: Parts, jobs: JobService) -> None:
    job = ended(jobs, jobs.submit(BOUND, asked(BOUND)))
    assert job.added
    [row] = parts.service.history(job.added.stored[0]["id"])
    assert row["written_by"] == "95c71b81"


def test_a_defect_fails_the_job_and_no_other(
    parts: Parts, jobs: JobService, caplog: pytest.LogCaptureFixture
) -> None:
    find, parts.finder.find = parts.finder.find, broken
    job = ended(jobs, jobs.submit(ADMIN, asked(**ALICE)))
    parts.finder.find = find
    assert job.failure
    assert (job.state, job.failure.code) == ("failed", "internal_error")
    assert "a secret" not in job.failure.detail
    assert "a job met a defect" in caplog.text
    assert ended(jobs, jobs.submit(ADMIN, asked(**ALICE))).state == "succeeded"


def broken(*_: Any) -> Any:
    raise ZeroDivisionError("a secret")


def test_one_whose_end_was_not_written_down_is_run_again_and_stores_nothing_twice(
    parts: Parts, jobs: JobService
) -> None:
    body = {"data": "I like tea", "infer": False, **ALICE}
    job = ended(jobs, jobs.submit(ADMIN, asked(**body), "k"))
    assert job.added

    def as_before_its_end(connection: Connection) -> None:
        claimed = {"caller": "admin", "key": "k", "process": parts.journal.process, **ALICE}
        answer = {"fingerprint": asked(**body).fingerprint(), "answer": job.added.to_json()}
        connection.execute(insert(ANSWERS).values(**claimed, **answer, asked_at=time.time()))
        open_ = {"state": "running", "process": parts.journal.process, "lane": "user_id=alice"}
        row = {**open_, "ended_at": None, "outcome": None, "body": json.dumps(body)}
        connection.execute(update(JOBS).values(**row))

    parts.database.write(as_before_its_end)
    again = wait_for(lambda: (now := jobs.get(ADMIN, job.id)).attempts > 1 and now, 30)
    assert ended(jobs, again).added == job.added
    assert parts.service.get_all({}, limit=10)["total"] == 1


def test_what_waits_while_nothing_ends_is_told(parts: Parts, jobs: JobService) -> None:
    assert jobs.check() is None
    go_on = threading.Event()

    def slow(*_: Any) -> Any:
        go_on.wait(60)
        return []

    parts.finder.find = slow
    job = jobs.submit(ADMIN, asked(**ALICE))
    wait_for(lambda: jobs.get(ADMIN, job.id).state == "running", 30)
    note = jobs.check()
    assert note
    assert note.startswith("0 wait, 1 run, the oldest for ")
    parts.database.write(lambda connection: connection.execute(update(JOBS).values(accepted_at=0)))
    with pytest.raises(JobsDelayed):
        jobs.check()
    go_on.set()
    assert ended(jobs, job).state == "succeeded"
