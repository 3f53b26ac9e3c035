"""Answers that are longer than what is held at once: whole, bounded in memory, or broken off."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.storage.vectors.paging import PAGE
from tests.filling import STORES, Place
from tests.service import Service, wait_for

ALICE = {"user_id": "alice"}
LONG = "x" * 40_000
LARGE = "x" * 99_000
MANY = 600  # with LONG more than the sockets between a client and the service take


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, list[str]]]:
    """A service with 1,000 large memories, and their ids, newest first."""
    with ExitStack() as stack:
        place = Place("embedded", tmp_path_factory.mktemp("large") / "data", stack)
        ids = place.fill(1000, LARGE, ALICE)
        yield place.start(), ids[::-1]


def ids_of(memories: list[dict[str, Any]]) -> list[str]:
    return [memory["id"] for memory in memories]


class Reader:
    """A client that asks for a listing and reads it when it is told to."""

    def __init__(self, service: Service, **asked: Any) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", service.port))
        self._socket.settimeout(60)
        body = json.dumps(asked).encode()
        self._socket.sendall(
            b"POST /memory/get_all HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.begin = self._socket.recv(1024)

    def rest(self) -> bytes:
        read = bytearray(self.begin)
        while more := self._socket.recv(2**20):
            read += more
        return bytes(read)

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("route", ["delete_all", "reset"])
@pytest.mark.parametrize("kind", STORES)
def test_a_listing_that_streams_across_a_deletion_of_what_it_shows_is_broken_off(
    tmp_path: Path, stack: ExitStack, kind: str, route: str
) -> None:
    place = Place(kind, tmp_path / "data", stack)
    place.fill(MANY, LONG, ALICE)
    service = place.start()
    reader = stack.enter_context(closing(Reader(service, **ALICE)))
    other = stack.enter_context(closing(Reader(service, user_id="bob")))
    assert reader.begin.startswith(b"HTTP/1.1 200")
    deleted = service.post(route, ALICE if route == "delete_all" else {}).json()["deleted"]
    assert deleted == MANY
    answer = reader.rest()
    assert b'"total"' not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert "a listing broke off after" in service.log.read_text()
    assert other.rest().endswith(b"0\r\n\r\n")
    assert service.ask("get_all", **ALICE) == {"results": [], "total": 0, "next_cursor": None}


def test_a_listing_of_others_is_not_broken_off(tmp_path: Path, stack: ExitStack) -> None:
    place = Place("embedded", tmp_path / "data", stack)
    place.fill(MANY, LONG, ALICE)
    place.fill(1, LONG, {"user_id": "bob"})
    service = place.start()
    reader = stack.enter_context(closing(Reader(service, **ALICE)))
    assert service.ask("delete_all", user_id="bob")["deleted"] == 1
    assert reader.rest().endswith(b"0\r\n\r\n")


def test_sixteen_listings_of_large_memories_that_nobody_reads_take_less_than_600_mb(
    large: tuple[Service, list[str]], stack: ExitStack
) -> None:
    service, _ = large
    readers = [stack.enter_context(closing(Reader(service))) for _ in range(16)]
    assert all(reader.begin.startswith(b"HTTP/1.1 200") for reader in readers)
    [worker] = service.workers()
    wait_for(lambda: service.http.get("/health").status_code == 200)
    assert most_resident_mb(worker) < 600
    assert readers[0].rest().endswith(b"0\r\n\r\n")
    assert most_resident_mb(worker) < 600


def most_resident_mb(pid: int) -> float:
    """At any time until now."""
    [line] = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) / 1000


@pytest.mark.parametrize("limit", [300, 1000])
def test_a_page_of_large_memories_has_as_many_as_were_asked_for(
    large: tuple[Service, list[str]], limit: int
) -> None:
    service, ids = large
    page = service.ask("get_all", limit=limit)
    assert ids_of(page["results"]) == ids[:limit]
    assert page["total"] == 1000
    if limit < 1000:
        following = service.ask("get_all", limit=limit, cursor=page["next_cursor"])
        assert ids_of(following["results"]) == ids[limit : 2 * limit]
    else:
        assert page["next_cursor"] is None


def test_a_search_for_many_large_memories_finds_all(large: tuple[Service, list[str]]) -> None:
    service, ids = large
    found = service.ask("search", query="x", limit=1000)
    assert found.keys() == {"results"}
    assert sorted(ids_of(found["results"])) == sorted(ids)


def test_all_of_them_are_listed_once(large: tuple[Service, list[str]]) -> None:
    service, ids = large
    listing = service.ask("get_all")
    assert ids_of(listing["results"]) == ids
    assert (listing["total"], listing["next_cursor"]) == (1000, None)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_listing_of_about_what_is_held_at_once_is_whole(
    tmp_path: Path, stack: ExitStack, more: int
) -> None:
    place = Place("embedded", tmp_path / "data", stack)
    ids = place.fill(2 * PAGE + more, "tea", ALICE)[::-1]
    service = place.start()
    assert ids_of(service.ask("get_all")["results"]) == ids
    pages = [*paged(lambda **cursor: service.ask("get_all", limit=PAGE, **cursor))]
    assert [id_ for page in pages for id_ in ids_of(page["results"])] == ids
    assert [len(page["results"]) for page in pages] == [PAGE, PAGE + min(more, 0), more][
        : 2 + (more > 0)
    ]
    assert {page["total"] for page in pages} == {2 * PAGE + more}


def paged(ask: Callable[..., dict[str, Any]]) -> Iterator[dict[str, Any]]:
    page = ask()
    yield page
    while page["next_cursor"]:
        page = ask(cursor=page["next_cursor"])
        yield page


def test_what_fails_before_anything_is_sent_is_an_answer_of_its_own(
    tmp_path: Path, stack: ExitStack
) -> None:
    place = Place("server", tmp_path / "data", stack)
    place.fill(3, "tea", ALICE)
    service = place.start()
    assert place.qdrant is not None
    place.qdrant.fault("/collections/memories/points", status=500)
    for asked in ({}, {"limit": 2}):
        response = service.post("get_all", asked)
        assert (response.status_code, response.json()["code"]) == (503, "vector_store_unavailable")


def test_a_listing_whose_store_fails_on_the_way_is_broken_off(
    tmp_path: Path, stack: ExitStack
) -> None:
    place = Place("server", tmp_path / "data", stack)
    place.fill(MANY, LONG, ALICE)
    service = place.start()
    reader = stack.enter_context(closing(Reader(service)))
    assert place.qdrant is not None
    place.qdrant.fault("/collections/memories/points", status=500)
    answer = reader.rest()
    assert not answer.endswith(b"0\r\n\r\n")
    with pytest.raises(httpx.HTTPStatusError):
        service.post("get_all").raise_for_status()
