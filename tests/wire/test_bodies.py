"""Bodies that are not what they say: malformed, smuggled, cut off, in a million pieces."""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.service import ADMIN_KEY
from tests.soak.test_hostile import HANG_S, Target, service_with_a_witness


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with service_with_a_witness(tmp_path_factory.mktemp("hostile") / "data") as made:
        yield made


AT_GET_ALL = f"POST /memory/get_all HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\n".encode()
AT_RESET = AT_GET_ALL.replace(b"get_all", b"reset")
JSON = b"Content-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
BEHIND = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
MALFORMED = {
    "a size that is no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "a size as in a program": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size below zero": b"-1\r\n{}\r\n0\r\n\r\n",
    "a bare LF in an extension": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "a bare LF as end of line": b"2\n{}\n0\n\n",
    "nothing after a chunk": b"2\r\n{}0\r\n\r\n",
    "nothing after the last chunk": b"2\r\n{}\r\n0\r\n",
    "a trailer that is none": b"2\r\n{}\r\n0\r\nno colon\r\n\r\n",
    "a trailer without end": b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 200_000,
    "a line of 900 kB": b"2;" + b"a" * 900_000,
}


def exchange(target: Target, sent: bytes) -> bytes:
    """What comes back until the service closes the connection; fails where it does not."""
    answer = b""
    with socket.create_connection(("127.0.0.1", target.service.port), HANG_S) as connection:
        with suppress(ConnectionError):  # refused before all of it was read
            connection.sendall(sent)
        with suppress(ConnectionError):
            while data := connection.recv(65536):
                answer += data
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


# Where one reader sees a reset, which the key allows, another may see a body.
RESET = AT_RESET + b"\r\n"
SMUGGLED = {
    "a length that is given twice": b"Content-Length: 0\r\nContent-Length: 99\r\n\r\n",
    "a length with a sign": b"Content-Length: +0\r\n\r\n",
    "a length, and chunks": b"Content-Length: 99\r\n" + CHUNKED + b"0\r\n\r\n",
    "chunks of chunks": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks that are spelt otherwise": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a header of two lines": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a header that ends with a bare LF": b"X: a\n\n",
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_a_smuggled_request_is_none(target: Target, how: str) -> None:
    [status] = statuses(exchange(target, AT_GET_ALL + SMUGGLED[how] + RESET))
    assert status in (400, 501)
    assert target.witness() == target.before


@pytest.mark.parametrize("shape", MALFORMED)
def test_malformed_chunks_are_400_and_end_the_connection(target: Target, shape: str) -> None:
    logged = len(target.service.log.read_text(errors="replace"))
    answer = exchange(target, AT_GET_ALL + CHUNKED + MALFORMED[shape] + BEHIND)
    assert statuses(answer) == [400]
    assert b'"code":"invalid_request"' in answer
    assert b"chunks of the body are malformed" in answer
    log = target.service.log.read_text(errors="replace")[logged:]
    assert " 400 " in log
    assert "CRITICAL" not in log
    assert "Traceback" not in log


UNREAD = {
    "open": (b"GET /health", 200),
    "no key": (b"POST /memory/get_all", 401),
    "no route": (b"POST /nowhere", 404),
    "no such method": (b"GET /memory/get_all", 405),
}


@pytest.mark.parametrize("why", UNREAD)
@pytest.mark.parametrize("shape", MALFORMED)
def test_where_nobody_reads_them_there_is_one_answer_too(
    target: Target, shape: str, why: str
) -> None:
    line, status = UNREAD[why]
    key = b"" if why == "no key" else f"X-API-Key: {ADMIN_KEY}\r\n".encode()
    head = line + b" HTTP/1.1\r\nHost: x\r\n" + key + CHUNKED
    assert statuses(exchange(target, head + MALFORMED[shape] + BEHIND)) == [status]


def test_sound_chunks_keep_the_connection(target: Target) -> None:
    body = b'4;a="b"\r\n{"li\r\n8\r\nmit":1}\n\r\n0\r\nX-Sum: 1\r\n\r\n'
    last = BEHIND.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert statuses(exchange(target, 2 * (AT_GET_ALL + CHUNKED + body) + last)) == [200, 200, 200]


def test_a_body_in_a_million_chunks_is_refused(target: Target) -> None:
    answer = exchange(target, AT_GET_ALL + CHUNKED + b"1\r\n \r\n" * 1_000_000 + b"0\r\n\r\n")
    assert statuses(answer) == [400]
    assert b"too many small chunks" in answer


CUT_OFF = {
    "nothing of it": JSON + b"Content-Length: 2\r\n\r\n",
    "a part that is JSON": JSON + b"Content-Length: 20\r\n\r\n{}",
    "in a chunk": CHUNKED + b"9\r\n{}",
    "before the last chunk": CHUNKED + b"2\r\n{}\r\n",
}


@pytest.mark.parametrize("where", CUT_OFF)
def test_a_body_that_is_cut_off_is_none(target: Target, where: str) -> None:
    address = ("127.0.0.1", target.service.port)
    with socket.create_connection(address, HANG_S) as connection:
        connection.sendall(AT_RESET + CUT_OFF[where])
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert statuses(answer) == [400]
    assert b"The body is not whole" in answer
    assert target.witness() == target.before


def test_what_is_longer_than_its_length_is_another_request(target: Target) -> None:
    too_long = JSON + b'Content-Length: 2\r\n\r\n{}{"limit": 1}\r\n'
    assert statuses(exchange(target, AT_GET_ALL + too_long)) == [200, 400]


def test_who_asks_first_is_told_to_go_on(target: Target) -> None:
    body = JSON + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    asked = AT_GET_ALL + b"Expect: 100-continue\r\n" + body
    assert statuses(exchange(target, asked)) == [100, 200]
    assert statuses(exchange(target, AT_GET_ALL + b"Expect: miracles\r\n" + body)) == [417]
