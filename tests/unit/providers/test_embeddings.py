"""Embeddings of services that take other forms, sizes and numbers than OpenAI does."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.config import Settings
from app.errors import (
    EmbedderInputTooLong,
    ProviderBadAnswer,
    ProviderMisconfigured,
    ProviderRefused,
)
from app.providers import registry
from app.providers.validation import CheckedEmbedder
from tests.servers import gateways
from tests.servers.base import embed as by_the_server
from tests.servers.ollama import OllamaServer
from tests.servers.rules import DIMENSIONS, RuleServer

Rule = dict[str, Any]


@pytest.fixture
def server() -> Iterator[RuleServer]:
    with RuleServer() as running:
        yield running


@pytest.fixture(autouse=True)
def opened() -> Iterator[list[CheckedEmbedder]]:
    """What a test has opened, to be closed after it."""
    OPENED.clear()
    yield OPENED
    for one in OPENED:
        one._ask_itself.close()  # type: ignore[attr-defined]


OPENED: list[CheckedEmbedder] = []


def embedder(server: RuleServer, **settings: str) -> CheckedEmbedder:
    """A new one, which has found out nothing yet."""
    address = {"EMBEDDER_BASE_URL": f"{server.url}/v1", "EMBEDDER_PROVIDER": "openai"}
    OPENED.append(registry.open_embedder(Settings.from_env({**address, **settings})))
    return OPENED[-1]


def refused(error: gateways.GatewayError, **conditions: Any) -> Rule:
    answer = {"status": error.status, "body": error.body}
    return {"path": "/embeddings", "if": conditions, "answer": answer}


def sent(server: RuleServer) -> list[tuple[int, bool]]:
    """Of each call how many texts, and whether base64 was asked for."""
    bodies = [request.body for request in server.asked("/embeddings")]
    return [(len(body["input"]), "encoding_format" in body) for body in bodies]


def vectors(*texts: str) -> list[list[float]]:
    return [by_the_server(text, DIMENSIONS) for text in texts]


WORDS = [
    gateways.openai("litellm.UnsupportedParamsError: gemini does not support encoding_format"),
    {"error": "bad request"},
    "Internal Server Error",
]


@pytest.mark.parametrize("body", WORDS, ids=str)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_base64_is_not_asked_for_again_where_it_was_refused_once(
    server: RuleServer, status: int, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    error = gateways.GatewayError("", status, body, "")
    server.follow([refused(error, has=["encoding_format"])])
    ours = embedder(server)
    with caplog.at_level(logging.WARNING):
        assert ours.embed_batch(["a", "b"]) == vectors("a", "b")
        ours.embed("c")
    assert sent(server) == [(2, True), (2, False), (1, False)]
    assert "encoding_format=base64" in caplog.text


def test_base64_that_was_taken_once_is_not_doubted(server: RuleServer) -> None:
    ours = embedder(server)
    ours.embed("a")
    server.follow([refused(gateways.BATCH[0], texts_over=10)])
    texts = [f"text {n}" for n in range(12)]
    assert ours.embed_batch(texts) == vectors(*texts)
    assert sent(server) == [(12, True), (6, True), (6, True)]


@pytest.mark.parametrize("error", gateways.BATCH, ids=lambda error: error.service)
def test_the_size_of_a_call_is_found_out_also_before_base64_was_taken(
    server: RuleServer, error: gateways.GatewayError
) -> None:
    server.follow([refused(error, texts_over=10)])
    texts = [f"text {n}" for n in range(40)]
    ours = embedder(server)
    assert ours.embed_batch(texts) == vectors(*texts)
    server.follow([refused(error, texts_over=10)])
    more = [f"more {n}" for n in range(20)]
    assert ours.embed_batch(more) == vectors(*more)
    assert sent(server) == [(10, True), (10, True)]


def test_a_proxy_that_takes_no_large_bodies_gets_smaller_ones(server: RuleServer) -> None:
    page = gateways.GatewayError("nginx", 413, "<html>Request Entity Too Large</html>", "")
    server.follow([refused(page, texts_over=10)])
    texts = [f"text {n}" for n in range(12)]
    assert embedder(server).embed_batch(texts) == vectors(*texts)


@pytest.mark.parametrize(
    "body",
    [
        {"error_code": 336003, "error_msg": "the max length of input is 384 tokens"},
        {"base_resp": {"status_code": 1004, "status_msg": "login fail"}, "vectors": None},
        {"detail": "no"},
        {"message": "no", "code": 50001, "data": None},
    ],
    ids=str,
)
def test_an_error_inside_a_200_is_an_error(server: RuleServer, body: Any) -> None:
    server.follow([{"path": "/embeddings", "answer": {"body": body}}])
    with pytest.raises(ProviderRefused):
        embedder(server).embed("tea")


@pytest.mark.parametrize("body", ["", "OK", "[1"])
def test_an_answer_that_is_no_json_may_be_of_another_address(server: RuleServer, body: str) -> None:
    server.follow([{"path": "/embeddings", "answer": {"body": body}}])
    with pytest.raises(ProviderBadAnswer, match="is no JSON: see EMBEDDER_BASE_URL"):
        embedder(server).embed("tea")


@pytest.mark.parametrize("error", gateways.TOO_LONG, ids=lambda error: error.service)
def test_a_text_that_is_too_long_is_embedded_by_its_beginning(
    server: RuleServer, error: gateways.GatewayError
) -> None:
    server.follow([refused(error, chars_over=2000)])
    ours = embedder(server)
    ours.embed_batch(["tea", "x" * 6000])
    server.follow([refused(error, chars_over=2000)])
    assert ours.embed("y" * 6000) == by_the_server("y" * 1500, DIMENSIONS)
    assert sent(server) == [(1, True)]


def test_a_text_that_is_refused_at_any_length_has_a_code_of_its_own(server: RuleServer) -> None:
    server.follow([refused(gateways.TOO_LONG[0])])
    with pytest.raises(EmbedderInputTooLong, match="EMBEDDER_MAX_TOKENS"):
        embedder(server).embed("tea " * 100)


@pytest.mark.parametrize(
    "index", [[1, 0, 2], [None, 1, 2], [0, 0, 0], ["1", "0", "10"], [None] * 3], ids=str
)
def test_vectors_are_those_of_their_texts(server: RuleServer, index: list[int | None]) -> None:
    by_place = ["b", "a", "c"] if str(index[0]) == "1" else ["a", "b", "c"]
    data = [
        {"embedding": vector} | ({} if place is None else {"index": place})
        for place, vector in zip(index, vectors(*by_place), strict=True)
    ]
    server.follow([{"path": "/embeddings", "answer": {"body": {"data": data}}}])
    assert embedder(server).embed_batch(["a", "b", "c"]) == vectors("a", "b", "c")


def test_dimensions_are_asked_for_where_they_are_set(server: RuleServer) -> None:
    ours = embedder(server, EMBEDDER_DIMENSIONS="32")
    assert len(ours.embed("a")) == ours.info.dimensions == 32
    assert server.requests[-1].body["dimensions"] == 32


@pytest.mark.parametrize("wanted", ["64", "32"])
def test_dimensions_that_are_not_taken_have_to_be_the_models_own(
    server: RuleServer, wanted: str
) -> None:
    error = gateways.GatewayError("", 400, gateways.openai("dimensions is not supported"), "")
    server.follow([refused(error, has=["dimensions"])])
    ours = embedder(server, EMBEDDER_DIMENSIONS=wanted)
    if wanted == "64":
        assert len(ours.embed("a")) == 64
        return
    with pytest.raises(ProviderMisconfigured, match="set EMBEDDER_DIMENSIONS to 64"):
        ours.embed("a")


def test_what_is_searched_for_has_another_prefix_than_what_is_stored(server: RuleServer) -> None:
    prefixes = {"EMBEDDER_QUERY_PREFIX": "query: ", "EMBEDDER_PASSAGE_PREFIX": "passage: "}
    ours = embedder(server, **prefixes)
    ours.embed("tea", "search")
    ours.embed("tea", "add")
    ours.embed("tea", "update")
    asked = [text for request in server.requests for text in request.body["input"]]
    assert asked == ["query: tea", "passage: tea"]  # the third is known
    assert ours.info != embedder(server).info  # else `reembed` would find nothing to do


def test_what_is_known_is_not_found_out(server: RuleServer) -> None:
    ours = embedder(server, EMBEDDER_BATCH="10", EMBEDDER_MAX_TOKENS="512")
    ours.embed_batch(["x" * 6000] + [f"text {n}" for n in range(24)])
    assert [number for number, _ in sent(server)] == [10, 10, 5]
    assert len(server.requests[0].body["input"][0]) == 3 * 512


def test_ollama_is_asked_for_the_beginning_of_what_it_does_not_take() -> None:
    with OllamaServer() as server:
        server.fault("/api/embed", status=400, body=gateways.TOO_LONG[-1].body, times=1)
        settings = {"OLLAMA_BASE_URL": server.url, "EMBEDDER_DIMENSIONS": "32"}
        ours = registry.open_embedder(Settings.from_env(settings))
        OPENED.append(ours)
        assert len(ours.embed("x" * 4000)) == 32
        assert [len(request.body["input"][0]) for request in server.requests] == [4000, 2000]
