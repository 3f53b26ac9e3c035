"""Our client beside the real openai library, on one stand-in: what one does, the other does.

The service posts to OpenAI over urllib3, see the module; the library says what is right.
"""

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai as library
import pytest

from app.errors import (
    ProviderAuthFailed,
    ProviderBadAnswer,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from app.memory.providers import openai as ours
from tests.servers.base import Fault
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
def client(server: OpenAIServer) -> ours.Client:
    return ours.Client(f"{server.url}/v1", KEY)


@pytest.fixture
def theirs(server: OpenAIServer) -> Iterator[library.OpenAI]:
    with library.OpenAI(
        api_key=KEY, base_url=f"{server.url}/v1", max_retries=0, timeout=SECONDS
    ) as opened:
        yield opened


def embed(client: ours.Client, seconds: float = SECONDS) -> list[list[float]]:
    return ours.OpenAIEmbeddings(client, MODEL, seconds)(TEXTS)


def test_it_asks_for_embeddings_as_the_library_does_and_reads_the_same(
    server: OpenAIServer, client: ours.Client, theirs: library.OpenAI
) -> None:
    found = theirs.embeddings.create(input=TEXTS, model=MODEL)
    assert embed(client) == [one.embedding for one in found.data]
    by_library, by_us = server.requests[-2:]
    assert by_us.body == by_library.body
    assert (by_us.method, by_us.path) == (by_library.method, by_library.path)
    for name in ("authorization", "content-type"):
        assert by_us.headers[name] == by_library.headers[name]


def test_it_asks_an_llm_as_the_library_does_and_reads_the_same(
    server: OpenAIServer, client: ours.Client, theirs: library.OpenAI
) -> None:
    server.reply = '{"memory": []}'
    messages: Any = [{"role": "user", "content": "喝茶, as json"}]
    json_object: Any = {"type": "json_object"}
    answered = theirs.chat.completions.create(
        model="gpt-5-mini", messages=messages, response_format=json_object
    )
    said = ours.OpenAIChat(client, "gpt-5-mini")(messages, json_object, SECONDS)
    assert said == answered.choices[0].message.content
    by_library, by_us = server.requests[-2:]
    assert (by_us.path, by_us.body) == (by_library.path, by_library.body)


def fault(**what: Any) -> Any:
    return lambda server: server.fault("/", **what)


# What goes wrong, what the library makes of it, and what we do.
FAILURES: dict[str, tuple[Any, type[Exception], type[ServiceError]]] = {
    "a wrong key": (fault(status=401), library.AuthenticationError, ProviderAuthFailed),
    "a key that may not": (fault(status=403), library.PermissionDeniedError, ProviderAuthFailed),
    "an unknown model": (fault(status=404), library.NotFoundError, ProviderRefused),
    "a bad request": (fault(status=400), library.BadRequestError, ProviderRefused),
    "an unusable request": (fault(status=422), library.UnprocessableEntityError, ProviderRefused),
    "too many": (lambda s: s.rate_limit(7), library.RateLimitError, ProviderRateLimited),
    "no quota": (lambda s: s.quota_exceeded(), library.RateLimitError, ProviderQuotaExceeded),
    "a failure": (fault(status=500), library.InternalServerError, ProviderUnavailable),
    "overload": (fault(status=503), library.InternalServerError, ProviderUnavailable),
    "a broken line": (
        fault(drop=True),
        library.APIConnectionError,
        ProviderUnavailable,
    ),
    "silence": (fault(hang=True), library.APITimeoutError, ProviderTimeout),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_fails_the_library_fails_us_in_our_words(
    server: OpenAIServer, client: ours.Client, theirs: library.OpenAI, name: str
) -> None:
    break_it, to_library, to_us = FAILURES[name]
    fault: Fault = break_it(server)
    with pytest.raises(to_library):
        theirs.with_options(timeout=0.5).embeddings.create(input=TEXTS, model=MODEL)
    with pytest.raises(ServiceError) as raised:
        embed(client, 0.5)
    assert type(raised.value) is to_us
    assert KEY not in raised.value.detail
    fault.clear()
    assert len(embed(client)) == len(TEXTS)


def test_a_rate_limit_says_how_long(server: OpenAIServer, client: ours.Client) -> None:
    server.rate_limit(7)
    with pytest.raises(ProviderRateLimited) as raised:
        embed(client)
    assert raised.value.retry_after == 7


def test_a_server_that_is_gone_is_unavailable(server: OpenAIServer, client: ours.Client) -> None:
    server.stop()
    with pytest.raises(ProviderUnavailable):
        embed(client)


@pytest.mark.parametrize("raw", ["", "[]", "{}", "null", '{"data": [{"index": 0}]}', "<html>"])
def test_an_answer_that_is_none_is_a_bad_answer(
    server: OpenAIServer, client: ours.Client, raw: str
) -> None:
    server.fault("/", raw=raw)
    with pytest.raises(ProviderBadAnswer):
        embed(client)


def test_floats_are_read_where_a_service_does_not_know_base64(
    server: OpenAIServer, client: ours.Client
) -> None:
    floats = [{"index": n, "embedding": [n, 0.5]} for n in (2, 0, 1)]
    server.fault("/", status=200, body={"data": floats})
    assert embed(client) == [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]]


def test_a_redirect_is_not_followed(server: OpenAIServer, client: ours.Client) -> None:
    """The texts and the key go where the settings say, and nowhere else."""
    with OpenAIServer() as elsewhere:
        there = {"Location": f"{elsewhere.url}/v1/embeddings"}
        server.fault("/", status=307, body={}, headers=there)
        with pytest.raises(ProviderRefused):
            embed(client)
        assert elsewhere.requests == []


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
        client = ours.Client("http://models.example:81/v1", KEY)
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
            embed(ours.Client(url, KEY))
        assert server.requests == []
        no_proxies.setenv("SSL_CERT_FILE", str(trusted))
        client = ours.Client(url, KEY)
        assert len(embed(client)) == len(embed(client)) == len(TEXTS)
        connect = b"CONNECT 127.0.0.1:%d" % secure.port
        assert {line.rpartition(b" ")[0] for line in proxy.asked} == (
            {connect} if through_a_proxy else set()
        )
