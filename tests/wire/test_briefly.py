"""A little of each long test of tests/soak/: enough to see that it would find what it looks for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service
from tests.soak import test_concurrency as concurrency
from tests.soak import test_failed_writes as failed_writes
from tests.soak.crashes import keep_killing
from tests.soak.failures import KILLED, keep_failing
from tests.soak.test_failed_writes import FailingWrites
from tests.soak.test_hostile import service_with_a_witness, shoot


def test_killed_at_some_instants(tmp_path: Path) -> None:
    keep_killing(tmp_path, "server", 2).conclude()


def test_some_random_failures(tmp_path: Path) -> None:
    keep_failing(tmp_path, "embedded", KILLED).conclude()


def test_writers_of_one_memory(service: Service, user: str) -> None:
    concurrency.test_four_writers_of_four_keys_lose_none(service, user)
    concurrency.test_an_update_never_brings_back_what_is_deleted(service, f"{user}-again")


def test_a_delete_all_is_seen_whole_or_not_at_all(service: Service, user: str) -> None:
    concurrency.test_a_delete_all_is_seen_whole_or_not_at_all(service, user)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingWrites]:
    with FailingWrites.running(tmp_path_factory.mktemp("failing"), "embedded") as deployment:
        yield deployment


@pytest.fixture
def deployment(started: FailingWrites) -> FailingWrites:
    return started.again()


def test_an_update_of_what_a_failed_add_left_stays(deployment: FailingWrites, user: str) -> None:
    failed_writes.test_an_update_of_what_a_failed_add_left_stays(deployment, user, "settled")


def test_an_update_after_a_failed_one_stays(deployment: FailingWrites, user: str) -> None:
    failed_writes.test_an_update_after_a_failed_one_stays_and_the_history_has_both(
        deployment, user, "settled"
    )


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # as in test_hostile.py
def test_some_hostile_requests(tmp_path: Path) -> None:
    with service_with_a_witness(tmp_path / "data") as target:
        shoot(target, 100, always_the_same=True)
