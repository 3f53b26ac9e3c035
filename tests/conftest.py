"""Fixtures that every part of the tests shares."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

import pytest

from app.config import prepare_environment

# Before any test module imports app.memory, and mem0 with it; create_app does the same.
prepare_environment(Path(mkdtemp(prefix="memory-tests-")))

from app.storage.history.database import Database  # noqa: E402  (after the line above)
from tests.databases import Place, PostgreSQLPlace, place_of  # noqa: E402
from tests.servers.postgresql import PostgreSQLServer  # noqa: E402
from tests.service import Service  # noqa: E402


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that all tests share; each keeps to a user of its own."""
    with Service(tmp_path_factory.mktemp("shared") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def reset_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("reset") / "data") as running:
        yield running


@pytest.fixture
def empty_service(reset_service: Service) -> Service:
    """A running service that the test has alone, without memories. Idempotency keys stay."""
    reset_service.ask("reset")
    return reset_service


@pytest.fixture
def fresh_service(tmp_path: Path) -> Iterator[Service]:
    """A running service of the test's own, for who needs its process or its files."""
    with Service(tmp_path / "data") as running:
        yield running


@pytest.fixture
def user() -> str:
    """A user nobody has used before."""
    return f"user-{uuid.uuid4()}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """A server that tests share; whoever stops it has one of its own."""
    with PostgreSQLServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_place(postgresql: PostgreSQLServer) -> PostgreSQLPlace:
    return PostgreSQLPlace(postgresql)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database of each kind."""
    return place_of(request.param, request, tmp_path)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    with closing(Database(place.backend())) as opened:
        yield opened
