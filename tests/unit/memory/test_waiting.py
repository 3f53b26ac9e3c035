"""Callers who wait for the end of a job."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.memory.jobs.job import Job
from app.memory.jobs.waiting import Waiting
from tests.service import wait_for

RUNNING = Job(
    id="1",
    state="running",
    scope={},
    attempts=1,
    accepted_at=0,
    began_at=0,
    ended_at=None,
    due_at=None,
    added=None,
    failure=None,
    erased=False,
)
LONG_S = 600.0


class Known:
    """What is known of a job, and how often that was asked."""

    def __init__(self) -> None:
        self.job = RUNNING
        self.asked = 0

    def __call__(self) -> Job:
        self.asked += 1
        return self.job


@pytest.fixture
def known() -> Known:
    return Known()


def test_who_waits_is_told_of_the_end(known: Known) -> None:
    waiting = Waiting(1)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(waiting.until_ended, known, LONG_S)
        wait_for(lambda: known.asked > 1)
        known.job = replace(RUNNING, state="succeeded")
        waiting.tell("1")
        assert told.result(30).state == "succeeded"


def test_an_end_that_nobody_tells_of_is_seen_all_the_same(known: Known) -> None:
    """Another process may have ended it."""
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(Waiting(1).until_ended, known, LONG_S)
        wait_for(lambda: known.asked > 1)
        known.job = replace(RUNNING, state="failed")
        assert told.result(30).state == "failed"


def test_where_too_many_wait_the_next_is_answered_at_once(known: Known) -> None:
    waiting = Waiting(1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(waiting.until_ended, known, LONG_S)
        wait_for(lambda: known.asked > 1)
        assert waiting.until_ended(known, LONG_S).state == "running"
        waiting.close()
        assert first.result(30).state == "running"


def test_with_few_threads_nobody_waits(known: Known) -> None:
    assert Waiting(0).until_ended(known, LONG_S).state == "running"
