"""Which provider each side comes from, at which address, with which key."""

import pytest

from app.config import Settings
from app.errors import StartupError

Given = dict[str, str]
OPENAI = "https://api.openai.com/v1"
OLLAMA = "http://127.0.0.1:11434"
DEEPSEEK = {"LLM_BASE_URL": "https://api.deepseek.com/v1", "LLM_API_KEY": "sk-chat"}
ADDRESSES = [f"{of}_BASE_URL" for of in ("LLM", "EMBEDDER", "OPENAI", "OLLAMA")] + ["QDRANT_URL"]
AZURE = "https://res.openai.azure.com/openai/deployments"


def llm(given: Given) -> tuple[str, str, str | None]:
    """Provider, address and key."""
    settings = Settings.from_env(given)
    url, key = settings.llm_endpoint
    return settings.llm_provider, url, key and key.get_secret_value()


def embedder(given: Given) -> tuple[str, str, str | None]:
    settings = Settings.from_env(given)
    url, key = settings.embedder_endpoint
    return settings.embedder_provider, url, key and key.get_secret_value()


BOTH: dict[str, tuple[Given, tuple[str, str, str | None]]] = {
    "a key is OpenAI's": ({"OPENAI_API_KEY": "k"}, ("openai", OPENAI, "k")),
    "an address needs no key": (
        {"OPENAI_BASE_URL": "http://a/v1"},
        ("openai", "http://a/v1", None),
    ),
    "an address and its key": (
        {"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_KEY": "k"},
        ("openai", "http://a/v1", "k"),
    ),
    "Ollama": ({"OLLAMA_BASE_URL": "http://a:1"}, ("ollama", "http://a:1", None)),
    "Ollama before an address without a key": (
        {"OLLAMA_BASE_URL": "http://a:1", "OPENAI_BASE_URL": "http://b/v1"},
        ("ollama", "http://a:1", None),
    ),
    "a key before Ollama": (
        {"OLLAMA_BASE_URL": "http://a:1", "OPENAI_API_KEY": "k"},
        ("openai", OPENAI, "k"),
    ),
    "Ollama at its usual address": (
        {"LLM_PROVIDER": "Ollama", "EMBEDDER_PROVIDER": "OLLAMA"},
        ("ollama", OLLAMA, None),
    ),
}


@pytest.mark.parametrize("name", BOTH)
def test_both_sides_follow_from_what_is_set(name: str) -> None:
    given, expected = BOTH[name]
    assert llm(given) == embedder(given) == expected


def test_nothing_set_is_no_llm_and_the_embedder_in_process() -> None:
    assert (llm({})[0], embedder({})[0]) == ("none", "local")


SIDES: dict[str, tuple[Given, tuple[str, str, str | None], tuple[str, str, str | None]]] = {
    "one side of its own, the other OpenAI": (
        {**DEEPSEEK, "OPENAI_API_KEY": "k"},
        ("openai", "https://api.deepseek.com/v1", "sk-chat"),
        ("openai", OPENAI, "k"),
    ),
    "two addresses": (
        {**DEEPSEEK, "EMBEDDER_BASE_URL": "http://tei:80/v1"},
        ("openai", "https://api.deepseek.com/v1", "sk-chat"),
        ("openai", "http://tei:80/v1", None),
    ),
    "Ollama embeds": (
        {**DEEPSEEK, "OLLAMA_BASE_URL": "http://a:1"},
        ("openai", "https://api.deepseek.com/v1", "sk-chat"),
        ("ollama", "http://a:1", None),
    ),
    "an Ollama for each, with a key": (
        {
            "LLM_PROVIDER": "ollama",
            "LLM_BASE_URL": "http://gpu:1",
            "LLM_API_KEY": "bearer",
            "EMBEDDER_PROVIDER": "ollama",
            "EMBEDDER_BASE_URL": "http://cpu:1/v1",
        },
        ("ollama", "http://gpu:1", "bearer"),
        ("ollama", "http://cpu:1", None),
    ),
    "a key of its own for the address of both": (
        {"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_KEY": "k", "EMBEDDER_API_KEY": "e"},
        ("openai", "http://a/v1", "k"),
        ("openai", "http://a/v1", "e"),
    ),
    "a key alone is for OpenAI": (
        {"LLM_API_KEY": "k", "OLLAMA_BASE_URL": "http://a:1"},
        ("openai", OPENAI, "k"),
        ("ollama", "http://a:1", None),
    ),
    "the same host": (
        {
            "OPENAI_BASE_URL": f"{AZURE}/chat?api-version=2024-10-21",
            "OPENAI_API_KEY": "k",
            "EMBEDDER_BASE_URL": f"{AZURE}/emb/embeddings?api-version=2024-10-21",
        },
        ("openai", f"{AZURE}/chat?api-version=2024-10-21", "k"),
        ("openai", f"{AZURE}/emb?api-version=2024-10-21", "k"),
    ),
}


@pytest.mark.parametrize("name", SIDES)
def test_each_side_may_be_elsewhere(name: str) -> None:
    given, chat, vectors = SIDES[name]
    assert (llm(given), embedder(given)) == (chat, vectors)


def test_deepseek_leaves_the_embedder_in_process() -> None:
    assert embedder(DEEPSEEK)[0] == "local"


@pytest.mark.parametrize(
    "own",
    [
        "https://api.deepseek.com/v1",
        "http://api.openai.com/v1",  # without TLS
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com@evil.example/v1",
    ],
)
def test_no_key_goes_to_another_host(own: str) -> None:
    assert llm({"OPENAI_API_KEY": "k", "LLM_BASE_URL": own})[2] is None
    assert embedder({"OPENAI_API_KEY": "k", "EMBEDDER_BASE_URL": own})[2] is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"LLM_PROVIDER": "openai"}, "OPENAI_API_KEY: is needed by LLM_PROVIDER=openai"),
        ({"EMBEDDER_PROVIDER": "openai"}, "OPENAI_API_KEY: is needed by EMBEDDER_PROVIDER=openai"),
        ({"OPENAI_BASE_URL": f"{OPENAI}/"}, "OPENAI_API_KEY: is needed"),
        ({"LLM_BASE_URL": OPENAI}, "LLM_API_KEY: is needed by LLM_PROVIDER=openai"),
    ],
)
def test_openai_itself_needs_a_key(given: Given, name: str) -> None:
    with pytest.raises(StartupError, match=name):
        Settings.from_env(given)


@pytest.mark.parametrize(
    ("pasted", "called"),
    [
        ("https://a/v1/", "https://a/v1"),
        ("https://a/v1//", "https://a/v1"),
        ("https://a/v1/chat/completions", "https://a/v1"),
        ("https://a/v1/embeddings/", "https://a/v1"),
        ("https://a/v1/models", "https://a/v1"),
        ("https://a/v1/v1", "https://a/v1"),
        ("https://a/v1/v1/chat/completions", "https://a/v1"),
        ("https://a/v1#docs", "https://a/v1"),
        ("https://a/v1beta/openai/", "https://a/v1beta/openai"),
        ("https://a/compatible-mode/v1", "https://a/compatible-mode/v1"),
        ("https://a/openai/v1/?key=k%2F1&b=", "https://a/openai/v1?key=k%2F1&b="),
        ('"https://a/v1" ', "https://a/v1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_taken_as_it_is_pasted(pasted: str, called: str) -> None:
    assert llm({"LLM_BASE_URL": pasted})[1] == called


@pytest.mark.parametrize(
    "pasted",
    [
        "http://a:1/",
        "http://a:1/v1",
        "http://a:1/api",
        "http://a:1/api/chat",
        "http://a:1/v1/embeddings",
    ],
)
def test_ollama_is_called_by_its_own_api(pasted: str) -> None:
    assert llm({"OLLAMA_BASE_URL": pasted})[1] == "http://a:1"
    assert embedder({"OLLAMA_BASE_URL": f"{pasted}#x"})[1] == "http://a:1"


@pytest.mark.parametrize(
    "name",
    ["LLM_BASE_URL", "EMBEDDER_BASE_URL", "OPENAI_BASE_URL", "OLLAMA_BASE_URL", "QDRANT_URL"],
)
@pytest.mark.parametrize(
    "wrong",
    [
        "localhost:11434",
        "ws://a",
        "http://",
        "http://:80",
        "http://a:port",
        "http://a:99999",
        "http://[::1",
        "http://a b",
        "http://..",
    ],
)
def test_what_is_no_address_is_told_by_its_name(name: str, wrong: str) -> None:
    with pytest.raises(StartupError, match=f"^Wrong settings:\n  {name}: [^\n]+$"):
        Settings.from_env({name: wrong})
