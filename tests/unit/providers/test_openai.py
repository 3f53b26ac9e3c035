"""OpenAI through its library: what is asked, what an answer means, by which way it comes."""

import shutil
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.errors import (
    ProviderAuthFailed,
    ProviderBadAnswer,
    ProviderMisconfigured,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from app.providers.chat import ChatAnswer, ChatRequest
from app.providers.fitting import FittingCalls
from app.providers.openai.chat import OpenAIChat
from app.providers.openai.client import Client
from app.providers.openai.embeddings import OpenAIEmbeddings
from app.providers.target import Target
from tests.servers.base import Fault
from tests.servers.base import embed as by_the_server
from tests.servers.openai import OpenAIServer
from tests.servers.passage import Passage, certificate

KEY = "sk-of-the-tests"
MODEL = "text-embedding-3-small"
TEXTS = ["tea", "喝茶", "a 🫖"]
SECONDS = 3.0


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def client(server: OpenAIServer) -> Iterator[Client]:
    with closing(Client(f"{server.url}/v1", KEY)) as opened:
        yield opened


NAMES = Target("EMBEDDER", MODEL, "The service", "OPENAI_BASE_URL", "OPENAI_API_KEY", "it is so")
LLM = NAMES._replace(role="LLM", model="gpt-5-mini")


def embeddings(client: Client, seconds: float = SECONDS) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(client, NAMES, seconds, FittingCalls(MODEL))


def embed(client: Client, seconds: float = SECONDS) -> list[list[float]]:
    return embeddings(client, seconds)(TEXTS)


def test_it_asks_for_embeddings_as_base64_and_reads_them(
    server: OpenAIServer, client: Client
) -> None:
    assert embed(client) == [by_the_server(text, 1536) for text in TEXTS]
    asked = server.requests[-1]
    assert (asked.method, asked.path) == ("POST", "/v1/embeddings")
    assert asked.body == {"input": TEXTS, "model": MODEL, "encoding_format": "base64"}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"


def test_half_a_surrogate_pair_is_sent_as_it_is(server: OpenAIServer, client: Client) -> None:
    assert len(embeddings(client)(["half \ud83e"])) == 1
    assert server.requests[-1].body["input"] == ["half \ud83e"]


def fault(**what: Any) -> Any:
    return lambda server: server.fault("/", **what)


FAILURES: dict[str, tuple[Any, type[ServiceError]]] = {
    "a wrong key": (fault(status=401), ProviderAuthFailed),
    "a key that may not": (fault(status=403), ProviderAuthFailed),
    "an unknown address": (fault(status=404), ProviderMisconfigured),
    "a bad request": (fault(status=400), ProviderRefused),
    "an unusable request": (fault(status=422), ProviderRefused),
    "a refusal without words": (fault(status=400, body=[]), ProviderRefused),
    "too many": (lambda server: server.rate_limit(7), ProviderRateLimited),
    "no quota": (lambda server: server.quota_exceeded(), ProviderQuotaExceeded),
    "a failure": (fault(status=500), ProviderUnavailable),
    "overload": (fault(status=503), ProviderUnavailable),
    "a broken line": (fault(drop=True), ProviderUnavailable),
    "silence": (fault(hang=True), ProviderTimeout),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_fails_is_told_in_our_words(server: OpenAIServer, client: Client, name: str) -> None:
    break_it, to_us = FAILURES[name]
    fault: Fault = break_it(server)
    with pytest.raises(ServiceError) as raised:
        embed(client, 0.5)
    assert type(raised.value) is to_us
    assert KEY not in raised.value.detail
    fault.clear()
    assert len(embed(client)) == len(TEXTS)


@pytest.mark.parametrize(("status", "calls"), [(503, 2), (401, 1), (404, 1)])
def test_the_library_tries_nothing_again_by_itself(
    server: OpenAIServer, client: Client, status: int, calls: int
) -> None:
    server.fault("/", status=status)
    with pytest.raises(ServiceError):
        embed(client)
    assert len(server.requests) == calls


def test_a_rate_limit_says_how_long(server: OpenAIServer, client: Client) -> None:
    server.rate_limit(7)
    with pytest.raises(ProviderRateLimited) as raised:
        embed(client)
    assert raised.value.retry_after == 7


def test_a_server_that_is_gone_is_unavailable(server: OpenAIServer, client: Client) -> None:
    server.stop()
    with pytest.raises(ProviderUnavailable):
        embed(client)


@pytest.mark.parametrize("raw", ["", "[]", "{}", "null", '{"data": [{"index": 0}]}', "<html>"])
def test_an_answer_that_is_none_is_a_bad_answer(
    server: OpenAIServer, client: Client, raw: str
) -> None:
    server.fault("/", raw=raw)
    with pytest.raises(ProviderBadAnswer):
        embed(client)


def test_floats_are_read_where_a_service_does_not_know_base64(
    server: OpenAIServer, client: Client
) -> None:
    floats = [{"index": n, "embedding": [n, 0.5]} for n in (2, 0, 1)]
    server.fault("/", status=200, body={"data": floats})
    assert embed(client) == [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]]


def test_a_redirect_is_not_followed(server: OpenAIServer, client: Client) -> None:
    """The texts and the key go where the settings say, and nowhere else."""
    with OpenAIServer() as elsewhere:
        there = {"Location": f"{elsewhere.url}/v1/embeddings"}
        server.fault("/", status=307, body={}, headers=there)
        with pytest.raises(ProviderMisconfigured):
            embed(client)
        assert elsewhere.requests == []


# ---- within which time


def test_an_answer_that_comes_drop_by_drop_ends_with_its_time(
    server: OpenAIServer, client: Client
) -> None:
    """As blank lines do, by which some services say that a call still waits for its place."""

    def dripping(body: bytes) -> Iterator[bytes]:
        for _ in range(100):
            yield b" "
            server.pause(0.2)
        yield body

    server.pieces = dripping
    started = time.monotonic()
    with pytest.raises(ProviderTimeout):
        embed(client, 1)
    assert time.monotonic() - started < 10
    server.pieces = None
    assert len(embed(client)) == len(TEXTS)


def test_calls_at_once_open_one_library_between_them(server: OpenAIServer, client: Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: embed(client), range(16)))
    assert found == [[by_the_server(text, 1536) for text in TEXTS]] * 16


def test_an_address_that_is_none_is_told_as_such() -> None:
    client = Client("http://[::1/v1", KEY)
    with pytest.raises(ProviderUnavailable, match="OPENAI_BASE_URL"):
        embed(client)


# ---- by which way


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no proxy but those of the test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for spelt in (name, name.upper()):
            monkeypatch.delenv(spelt, raising=False)
    return monkeypatch


def test_it_goes_through_the_proxy_that_the_environment_names(
    server: OpenAIServer, no_proxies: pytest.MonkeyPatch
) -> None:
    with Passage(server.port, proxy=True) as proxy:
        no_proxies.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with closing(Client("http://models.example:81/v1", KEY)) as client:
            assert len(embed(client)) == len(embed(client)) == len(TEXTS)
        assert proxy.asked == [b"POST http://models.example:81/v1/embeddings HTTP/1.1"] * 2
    assert server.requests[-1].headers["host"] == "models.example:81"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl here that could make a certificate")
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("through_a_proxy", [False, True])
def test_it_speaks_tls_with_who_shows_a_certificate_that_is_trusted(
    server: OpenAIServer,
    no_proxies: pytest.MonkeyPatch,
    tls: tuple[Path, ssl.SSLContext],
    caplog: pytest.LogCaptureFixture,
    through_a_proxy: bool,
) -> None:
    trusted, shown = tls
    with (
        Passage(server.port, tls=shown) as secure,
        Passage(secure.port, proxy=True) as proxy,
    ):
        if through_a_proxy:
            no_proxies.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        url = f"https://127.0.0.1:{secure.port}/v1"
        with pytest.raises(ProviderUnavailable):
            embed(Client(url, KEY))
        assert "(APIConnectionError, SSLCertVerificationError)" in caplog.text
        assert server.requests == []
        no_proxies.setenv("SSL_CERT_FILE", str(trusted))
        with closing(Client(url, KEY)) as client:
            assert len(embed(client)) == len(embed(client)) == len(TEXTS)
        connect = b"CONNECT 127.0.0.1:%d" % secure.port
        assert {line.rpartition(b" ")[0] for line in proxy.asked} == (
            {connect} if through_a_proxy else set()
        )


def test_an_answer_over_tls_may_take_longer_than_a_connection(
    server: OpenAIServer, no_proxies: pytest.MonkeyPatch, tls: tuple[Path, ssl.SSLContext]
) -> None:
    """6 s of silence, before the answer and in the middle of it; a connection has 5 s."""
    trusted, shown = tls

    def in_halves(body: bytes) -> Iterator[bytes]:
        yield body[: len(body) // 2]
        server.pause(6)
        yield body[len(body) // 2 :]

    spoken = {"choices": [{"message": {"content": "said"}}]}
    server.fault("/v1/chat/completions", delay=6, status=200, body=spoken)
    server.pieces = in_halves
    no_proxies.setenv("SSL_CERT_FILE", str(trusted))
    with (
        Passage(server.port, tls=shown) as secure,
        closing(Client(f"https://127.0.0.1:{secure.port}/v1", KEY)) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        chat = OpenAIChat(client, LLM)
        asked = ChatRequest([{"role": "user", "content": "tea"}], max_tokens=10)
        said = pool.submit(chat, asked, 30.0)
        found = pool.submit(embed, client, 30.0)
        assert said.result(40) == ChatAnswer("said")
        assert found.result(40) == [by_the_server(text, 1536) for text in TEXTS]
        assert len(server.requests) == 2  # each at the first try


def test_a_name_and_password_in_the_address_do_not_take_the_place_of_the_key(
    server: OpenAIServer,
) -> None:
    address = f"http://someone:secret@127.0.0.1:{server.port}/v1"
    with closing(Client(address, KEY)) as client:
        assert len(embed(client)) == len(TEXTS)
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
