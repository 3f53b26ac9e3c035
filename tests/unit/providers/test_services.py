"""README.md's table of services: each row's lines are set, and a chat and an embedding go through.

The hosts are stand-ins; the paths, queries, models and keys are the row's own.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.config import Endpoint, Settings
from app.config.addresses import origin
from app.config.notices import notices
from app.config.source import Source
from app.providers import registry
from app.providers.base import EmbeddingModel
from app.providers.chat import ChatModel, ChatRequest
from app.providers.ollama.chat import OllamaChat
from app.providers.ollama.embeddings import OllamaEmbeddings
from app.providers.openai.client import connect
from tests.servers.base import Request
from tests.servers.ollama import OllamaServer
from tests.servers.rules import RuleServer
from tests.service import ROOT

REPLY = '{"memory": [{"text": "Likes tea"}]}'
SERVICES = (
    *("OpenAI", "Azure OpenAI", "DeepSeek", "DashScope", "SiliconFlow", "Gemini", "OpenRouter"),
    *("LiteLLM", "LM Studio", "vLLM", "llama.cpp", "TEI", "Ollama"),
)
CHAT = [
    {"role": "system", "content": "Answer as JSON."},
    {"role": "user", "content": "I like tea."},
]

Row = dict[str, str]


def table(readme: str) -> dict[str, Row]:
    """The settings of each row, by the name of the service."""
    rows = re.findall(r"^\| ([^|`]+) \| ((?:`\w+=[^`|]+`(?:<br>)?)+) \|$", readme, re.MULTILINE)
    return {
        name: dict(line.split("=", 1) for line in re.findall(r"`([^`]+)`", lines))
        for name, lines in rows
    }


TABLE = table((ROOT / "README.md").read_text())


def test_the_table_has_every_service_and_no_more_than_four_lines_for_each() -> None:
    assert {name for name in SERVICES if any(row.startswith(name) for row in TABLE)} == {*SERVICES}
    assert all(len(row) <= 4 for row in TABLE.values())


def test_the_chinese_table_has_the_same_lines() -> None:
    chinese = table((ROOT / "README.zh-CN.md").read_text())
    assert [*chinese.values()] == [*TABLE.values()]


@pytest.mark.parametrize("name", TABLE)
def test_every_line_of_a_row_has_its_effect(name: str) -> None:
    row: dict[str, str | None] = {**TABLE[name]}
    assert list(notices(Settings.from_env(row), Source(row))) == []


class Standing:
    """The services of a row, each host of its own, on 127.0.0.1."""

    def __init__(self, row: Row, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[Any, RuleServer | OllamaServer] = {}
        if "OPENAI_API_KEY" in row and "OPENAI_BASE_URL" not in row:
            row = {**row, "OPENAI_BASE_URL": "https://api.openai.com/v1"}
        self.settings = Settings.from_env(
            {name: self._here(name, value, row) for name, value in row.items()}
        )

    def _here(self, name: str, value: str, row: Row) -> str:
        if not name.endswith("_BASE_URL"):
            return value
        if origin(value) not in self._servers:
            server: RuleServer | OllamaServer = RuleServer()
            if name == "OLLAMA_BASE_URL":
                server = OllamaServer()
                server.models = {row["LLM_MODEL"], row["EMBEDDER_MODEL"]}
            server.reply = REPLY
            self._servers[origin(value)] = self._stack.enter_context(server)
        there = urlsplit(value)
        here = urlsplit(self._servers[origin(value)].url)
        return there._replace(scheme=here.scheme, netloc=here.netloc).geturl()

    def asked(self) -> list[Request]:
        return [request for server in self._servers.values() for request in server.requests]


@pytest.fixture
def standing(request: pytest.FixtureRequest) -> Iterator[Standing]:
    with ExitStack() as stack:
        yield Standing(TABLE[request.param], stack)


@pytest.mark.parametrize("standing", TABLE, indirect=True)
def test_a_chat_and_an_embedding_go_through(
    standing: Standing, request: pytest.FixtureRequest
) -> None:
    row = TABLE[request.node.callspec.params["standing"]]
    settings = standing.settings
    with ExitStack() as stack:
        assert stack.enter_context(embedder(settings))(["tea"])
        if settings.llm_provider != registry.NO_LLM:
            said = stack.enter_context(llm(settings))(ChatRequest(CHAT, 100), 5)
            assert "Likes tea" in said.text
    for asked in standing.asked():
        check(asked, row)
    asked_for = {row.get("LLM_MODEL"), row.get("EMBEDDER_MODEL")} - {None}
    models = {asked.body["model"] for asked in standing.asked()}
    assert models >= asked_for or "LLM_API_KEY" in row or "api-version" in str(row)


@contextmanager
def embedder(settings: Settings) -> Iterator[EmbeddingModel]:
    provider = registry.find(settings.embedder_provider)
    model = provider.open_embedder(settings, settings.embedder_model or provider.default_embedder)
    yield model
    close(model, settings.embedder_endpoint)


@contextmanager
def llm(settings: Settings) -> Iterator[ChatModel]:
    provider = registry.find(settings.llm_provider)
    model = provider.open_llm(settings, settings.llm_model or provider.default_llm)
    yield model
    close(model, settings.llm_endpoint)


def close(model: object, endpoint: Endpoint) -> None:
    """Those of OpenAI's API share a client for each address."""
    closed = model if isinstance(model, OllamaEmbeddings | OllamaChat) else connect(endpoint)
    closed.close()


def check(asked: Request, row: Row) -> None:
    """It went to the row's path with the row's query and key."""
    is_chat = "chat" in asked.path
    own = row.get("LLM_BASE_URL" if is_chat else "EMBEDDER_BASE_URL")
    address = urlsplit(own or row.get("OPENAI_BASE_URL") or row.get("OLLAMA_BASE_URL") or "/v1")
    end = "/chat/completions" if is_chat else "/embeddings"
    if "OLLAMA_BASE_URL" in row:
        end = "/api/chat" if is_chat else "/api/embed"
    assert asked.path == address.path + end
    assert asked.query == dict(parse_qsl(address.query))
    key = row.get("LLM_API_KEY" if own else "OPENAI_API_KEY", row.get("OPENAI_API_KEY"))
    if "/openai/deployments/" in asked.path:
        assert asked.headers["api-key"] == key
    elif "OLLAMA_BASE_URL" not in row:
        assert asked.headers["authorization"] == f"Bearer {key or 'none'}"
