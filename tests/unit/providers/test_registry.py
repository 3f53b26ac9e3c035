"""A provider is the file of its name, which declares what the settings may ask of it."""

import subprocess
import sys
from contextlib import closing
from typing import get_args

import pytest

from app.config import EmbedderProvider, LLMProvider, Settings
from app.errors import StartupError
from app.providers import registry
from app.providers.base import Provider
from app.providers.openai.client import connect
from tests.servers.openai import OpenAIServer
from tests.service import ROOT

EMBEDDERS = get_args(EmbedderProvider)
LLMS = [name for name in get_args(LLMProvider) if name != registry.NO_LLM]

# Nothing answers there: to open must not need that.
SETTINGS = {"OPENAI_BASE_URL": "http://127.0.0.1:9", "OLLAMA_BASE_URL": "http://127.0.0.1:9"}
BY_OPENAI = {"EMBEDDER_PROVIDER": "openai"}


@pytest.mark.parametrize("name", EMBEDDERS)
def test_each_embedder_of_the_settings_is_declared_in_the_file_of_its_name(name: str) -> None:
    settings = Settings.from_env({**SETTINGS, "EMBEDDER_PROVIDER": name})
    assert registry.find(name).name == name
    assert registry.open_embedder(settings).name == f"{name}/{registry.find(name).default_embedder}"


@pytest.mark.parametrize("name", LLMS)
def test_each_llm_of_the_settings_is_declared_in_the_file_of_its_name(name: str) -> None:
    settings = Settings.from_env({**SETTINGS, "LLM_PROVIDER": name})
    opened = registry.open_llm(settings)
    assert opened
    assert opened.name == f"{name}/{registry.find(name).default_llm}"


def test_the_models_of_the_settings_stand_in_for_those_of_the_provider() -> None:
    given = {"LLM_PROVIDER": "openai", "LLM_MODEL": "chat", "EMBEDDER_MODEL": "bge-m3"}
    settings = Settings.from_env({**SETTINGS, "EMBEDDER_PROVIDER": "ollama", **given})
    opened = registry.open_llm(settings)
    assert opened
    assert (opened.name, registry.open_embedder(settings).name) == ("openai/chat", "ollama/bge-m3")


def test_without_an_llm_there_is_none() -> None:
    assert registry.open_llm(Settings.from_env({})) is None


def test_what_a_provider_does_not_have_is_refused_by_the_name_of_its_setting() -> None:
    class Empty(Provider):
        name = "empty"

    with pytest.raises(StartupError, match="EMBEDDER_PROVIDER: empty has no embedder"):
        Empty().open_embedder(Settings(), "model")
    with pytest.raises(StartupError, match="LLM_PROVIDER: empty has no LLM"):
        Empty().open_llm(Settings(), "model")


def test_openai_is_asked_for_an_embedding_each_time() -> None:
    with OpenAIServer() as server:
        settings = Settings.from_env({"OPENAI_BASE_URL": f"{server.url}/v1", **BY_OPENAI})
        with closing(connect(settings.embedder_endpoint)):
            check = registry.open_embedder_check(settings, registry.open_embedder(settings))
            check()
            check()
        assert server.count("/v1/embeddings") == 2


@pytest.mark.parametrize("name", EMBEDDERS)
def test_the_start_waits_only_for_an_embedder_that_cannot_hang(name: str) -> None:
    settings = Settings.from_env({**SETTINGS, "EMBEDDER_PROVIDER": name})
    assert registry.start_waits_for_embedder(settings) == (name == "local")


LIBRARIES = {"openai", "httpx2", "ollama", "onnxruntime", "tokenizers"}


@pytest.mark.parametrize(
    ("provider", "library"), [("local", "onnxruntime"), ("ollama", "ollama"), ("openai", None)]
)
def test_only_the_library_of_the_chosen_embedder_is_imported(
    provider: str, library: str | None
) -> None:
    """And that of openai only with its first call: it takes longer than the whole start."""
    script = (
        "import sys; from app.config import Settings; from app.providers import registry; "
        f"settings = Settings.from_env({SETTINGS | {'EMBEDDER_PROVIDER': provider}} | "
        "{'LLM_PROVIDER': 'none'}); registry.open_embedder(settings); "
        f"print(*sorted({{*sys.modules}} & {LIBRARIES}))"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert run.stdout.split() == ([library] if library else [])
