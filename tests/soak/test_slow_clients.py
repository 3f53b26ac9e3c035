"""Crowds as large as they come, on a service with its usual number of threads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import wait_for
from tests.wire.test_slow_clients import (
    A_FILE,
    HALF_A_BODY,
    HALF_A_HEAD,
    SOON_S,
    Crowd,
    Limited,
    Watch,
    enough_files,
    listing,
    slowest_health,
)


@pytest.fixture
def files() -> Iterator[None]:
    with enough_files():
        yield


BUSY = [(300, HALF_A_HEAD), (300, HALF_A_BODY), (300, A_FILE * 6)]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("limit", "crowds"),
    [
        ("ulimit -Sn 1024", [(1100, b""), (2000, b""), *BUSY]),
        ("ulimit -n 1024", [(1100, b""), (1100, A_FILE * 6)]),
    ],
)
def test_at_the_real_numbers(tmp_path: Path, limit: str, crowds: list[tuple[int, bytes]]) -> None:
    settings = {"REQUEST_READ_TIMEOUT": "4", "SEND_TIMEOUT": "4"}
    with Limited(tmp_path / "data", limit, **settings) as service:
        watch = Watch(service)
        for number, data in crowds:
            with Crowd(service, number, data):
                assert slowest_health(service, 1) < SOON_S
                wait_for(lambda: listing(service).status_code == 200, 4 + SOON_S)
        watch.check(threads=True)
        assert "Traceback" not in service.log.read_text()
