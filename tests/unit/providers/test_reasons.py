"""Why a service cannot be reached, whether it has the model, and an end for each call."""

import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

import app.providers.openai.library  # noqa: F401  # else within the first time limit
from app.config import Settings
from app.errors import (
    ModelNotReady,
    ProviderAuthFailed,
    ProviderBadAnswer,
    ProviderMisconfigured,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
    VectorStoreTimeout,
)
from app.providers import registry
from app.providers.validation import CheckedEmbedder
from app.storage.vectors.server import ServerStore, connect
from tests.servers.base import Answer, Request, StubServer
from tests.servers.ollama import OllamaServer
from tests.servers.openai import OpenAIServer
from tests.servers.passage import Passage, certificate

OPENED: list[Any] = []


@pytest.fixture(autouse=True)
def opened() -> Iterator[None]:
    """What a test has opened is closed after it."""
    OPENED.clear()
    yield
    for one in OPENED:
        one.close()


def embedder(**settings: str) -> CheckedEmbedder:
    chosen = Settings.from_env({"EMBEDDER_TIMEOUT": "2", "LLM_PROVIDER": "none", **settings})
    ours = registry.open_embedder(chosen)
    OPENED.append(ours._ask_itself)
    return ours


def on_openai(url: str) -> CheckedEmbedder:
    return embedder(EMBEDDER_BASE_URL=url, EMBEDDER_PROVIDER="openai")


def on_ollama(url: str) -> CheckedEmbedder:
    return embedder(OLLAMA_BASE_URL=url.removesuffix("/v1"))


BOTH = pytest.mark.parametrize(
    ("on", "setting"), [(on_openai, "EMBEDDER_BASE_URL"), (on_ollama, "OLLAMA_BASE_URL")]
)
On = Callable[[str], CheckedEmbedder]


@BOTH
def test_a_name_that_is_not_found_is_told(on: On, setting: str) -> None:
    with pytest.raises(ProviderUnavailable, match=f"the name of its host: see {setting}"):
        on("http://no-such-host.invalid/v1").embed("x")


@BOTH
def test_an_address_where_nobody_listens_is_told(on: On, setting: str) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"
        with pytest.raises(ProviderUnavailable, match=rf"nobody listens .* see {setting}"):
            on(url).embed("x")


@BOTH
def test_a_server_without_tls_is_told(on: On, setting: str) -> None:
    with OpenAIServer() as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(ProviderUnavailable, match=rf"begins with http:// .* see {setting}"):
            on(f"{url}/v1").embed("x")


@BOTH
def test_a_certificate_that_is_not_trusted_is_told(on: On, setting: str, tmp_path: Any) -> None:
    with OpenAIServer() as server, Passage(server.port, tls=certificate(tmp_path)[1]) as secure:
        with pytest.raises(ProviderUnavailable, match="SSL_CERT_FILE") as raised:
            on(f"https://127.0.0.1:{secure.port}/v1").embed("x")
        assert setting in raised.value.detail


@BOTH
def test_a_server_that_wants_tls_is_told(on: On, setting: str, tmp_path: Any) -> None:
    with (
        OpenAIServer() as server,
        Passage(server.port, tls=certificate(tmp_path)[1]) as secure,
        pytest.raises(ProviderUnavailable, match=rf"want https://.* see {setting}"),
    ):
        on(f"http://127.0.0.1:{secure.port}/v1").embed("x")


@BOTH
def test_a_server_of_an_old_version_of_tls_is_told(on: On, setting: str, tmp_path: Any) -> None:
    old = certificate(tmp_path)[1]
    with warnings.catch_warnings():  # that it is old is what is tried
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with (
        OpenAIServer() as server,
        Passage(server.port, tls=old) as secure,
        pytest.raises(ProviderUnavailable, match=rf"old version of TLS.* see {setting}"),
    ):
        on(f"https://127.0.0.1:{secure.port}/v1").embed("x")


@BOTH
def test_a_host_that_does_not_take_the_connection_is_told(on: On, setting: str) -> None:
    with socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # so that there is no place for another
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        with pytest.raises(ProviderUnavailable, match=rf"is not reached.* see {setting}"):
            on(url).embed("x")


@BOTH
def test_a_page_in_the_place_of_an_answer_is_told(on: On, setting: str) -> None:
    with OpenAIServer() as server:
        server.fault("/", raw="<!DOCTYPE html><html>")
        with pytest.raises(ProviderBadAnswer, match=rf"A page for browsers .* see {setting}"):
            on(f"{server.url}/v1").embed("x")


@BOTH
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "0.4"},
        {"retry-after-ms": "400"},
        {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"},
    ],
    ids=str,
)
def test_a_rate_limit_is_waited_for_where_it_fits(
    on: On, setting: str, headers: dict[str, str]
) -> None:
    with OpenAIServer() if on is on_openai else OllamaServer() as server:
        server.fault("/", status=429, headers=headers, times=1)
        assert on(f"{server.url}/v1").embed("x")
        assert len(server.requests) == 2


@BOTH
def test_a_rate_limit_that_does_not_fit_is_told_with_its_time(on: On, setting: str) -> None:
    with OpenAIServer() if on is on_openai else OllamaServer() as server:
        server.fault("/", status=429, headers={"Retry-After": "30.5"})
        with pytest.raises(ProviderRateLimited) as raised:
            on(f"{server.url}/v1").embed("x")
        assert raised.value.retry_after == 31
        assert len(server.requests) == 1


class Dripping(StubServer):
    """Sends a blank every 0.2 s; after `blanks` of them nothing more comes."""

    blanks = 100

    def answer(self, _request: Request) -> Answer:
        return Answer(200, self.drops(), {"Content-Type": "application/json"})

    def drops(self) -> Iterator[bytes]:
        for _ in range(self.blanks):
            yield b" "
            self.pause(0.2)
        self.pause(60)


@pytest.mark.parametrize("blanks", [100, 8])
@pytest.mark.parametrize("on", [on_openai, on_ollama])
def test_an_answer_that_comes_drop_by_drop_ends_with_its_time(on: On, blanks: int) -> None:
    with Dripping() as server:
        server.blanks = blanks
        ours = on(f"{server.url}/v1")
        started = time.monotonic()
        with pytest.raises(ProviderTimeout, match="EMBEDDER_TIMEOUT"):
            ours.embed("x")
        assert 1.5 < time.monotonic() - started < 3.3


def test_so_does_an_answer_of_qdrant() -> None:
    with Dripping() as server:
        settings = Settings.from_env({"QDRANT_URL": server.url, "QDRANT_TIMEOUT": "2"})
        with closing(connect(settings)) as connection:
            started = time.monotonic()
            with pytest.raises(VectorStoreTimeout):
                ServerStore(connection, "memories").check()
            assert time.monotonic() - started < 3.3


# ---- whether an LLM is there


def llm_check(server: OpenAIServer | OllamaServer) -> Any:
    settings = {"LLM_BASE_URL": f"{server.url}/v1", "LLM_PROVIDER": "openai", "LLM_MODEL": "m"}
    if isinstance(server, OllamaServer):
        settings = {"OLLAMA_BASE_URL": server.url, "LLM_MODEL": "m"}
    check = registry.open_llm_check(Settings.from_env(settings))
    assert check is not None
    its = vars(check.__self__)  # type: ignore[attr-defined]
    OPENED.append(its.get("_client") or its["_clients"])
    return check


def test_a_list_that_has_the_model_says_nothing_more() -> None:
    with OpenAIServer() as server:
        server.models = {"m"}
        assert llm_check(server)() is None
        assert [(request.method, request.path) for request in server.requests] == [
            ("GET", "/v1/models")
        ]


def test_a_list_without_the_model_is_a_hint_since_some_do_not_list_all() -> None:
    with OpenAIServer() as server:
        assert "see LLM_MODEL" in llm_check(server)()


@pytest.mark.parametrize("fault", [{"status": 404}, {"status": 403}, {"raw": '{"object": "list"}'}])
def test_a_service_without_a_list_is_not_asked(fault: dict[str, Any]) -> None:
    with OpenAIServer() as server:
        server.fault("/v1/models", **fault)
        assert llm_check(server)().startswith("Not asked")


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        ({"status": 401}, ProviderAuthFailed),
        ({"status": 503}, ProviderUnavailable),
        ({"drop": True}, ProviderUnavailable),
        ({"raw": "<html>"}, ProviderBadAnswer),
        ({"status": 307}, ProviderMisconfigured),
    ],
    ids=str,
)
def test_what_is_wrong_with_an_llm_is_told(fault: dict[str, Any], failure: Any) -> None:
    with OpenAIServer() as server:
        server.fault("/v1/models", **fault)
        with pytest.raises(failure):
            llm_check(server)()


def test_a_model_that_ollama_does_not_have_is_told() -> None:
    with OllamaServer() as server:
        with pytest.raises(ModelNotReady, match="ollama pull m"):
            llm_check(server)()
        server.models = {"m:latest"}
        assert llm_check(server)() is None


def test_without_an_llm_there_is_nothing_to_look_at() -> None:
    assert registry.open_llm_check(Settings.from_env({})) is None
