"""What a start says of settings that do nothing."""

import pytest

from app.config import Settings
from app.config.notices import notices
from app.config.source import Source

Given = dict[str, str | None]


def said(environ: Given, dotenv: Given | None = None) -> list[str]:
    source = Source(environ, dotenv or {})
    return list(notices(Settings.from_env({**(dotenv or {}), **environ}), source))


QUIET: list[Given] = [
    {},
    {"OPENAI_API_KEY": "k"},
    {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://a/v1"},
    {"OLLAMA_BASE_URL": "http://a", "OLLAMA_HOST": "of-its-server", "OLLAMA_MODELS": "/models"},
    {"OPENAI_API_KEY": "k", "DEEPSEEK_API_KEY": "of-another-program"},
    {"LLM_BASE_URL": "http://a/v1", "LLM_API_KEY": "k", "LLM_MODEL": "m"},
    {"PATH": "/bin", "HOSTNAME": "x", "OPENAI_ORG_ID": "org", "LANG": "C.UTF-8", "PORTS": "1"},
    {"QDRANT_HOST": "qdrant", "QDRANT_SERVICE_HOST": "10.0.0.1", "QDRANT_PORT_6333_TCP": "tcp://x"},
    {"OLLAMA_PORT": "tcp://10.0.0.1:11434", "EMBEDDER_SERVICE_PORT_HTTP": "80"},
    {"LLM_MODEL": "", "EMBEDDING_MODEL": ""},
]


@pytest.mark.parametrize("given", QUIET, ids=str)
def test_nothing_is_said_where_all_has_its_effect(given: Given) -> None:
    assert said(given) == []


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("OPENAI_BASE", "OPENAI_BASE_URL"),
        ("OLLAMA_HOST", "OLLAMA_BASE_URL"),
        ("DASHSCOPE_API_KEY", "LLM_API_KEY, with LLM_BASE_URL,"),
        ("DEEPSEEK_API_KEY", "LLM_API_KEY, with LLM_BASE_URL,"),
        ("EMBEDDING_MODEL", "EMBEDDER_MODEL"),
        ("QDRANT_API_URL", "QDRANT_URL"),
        ("LLM_NAME", "LLM_MODEL"),
        ("OPENAI_BASEURL", "OPENAI_BASE_URL"),
        ("EMBEDER_MODEL", "EMBEDDER_MODEL"),
        ("TRUSTED_HOST", "TRUSTED_HOSTS"),
        ("openai_api_key", "OPENAI_API_KEY"),
    ],
)
def test_a_name_from_elsewhere_is_told_with_ours(name: str, ours: str) -> None:
    [line] = said({name: "a-secret-value"})
    assert line.startswith(f"{name} is no setting of this service")
    assert line.endswith(f"it may be {ours} here")
    assert "a-secret-value" not in line


@pytest.mark.parametrize("name", ["LLM_TEMPERATUR", "EMBEDDER_FOO", "QDRANT_FOO"])
def test_an_unknown_name_that_begins_like_ours_is_told(name: str) -> None:
    [line] = said({name: "x"})
    assert line == f"{name} is no setting of this service and does nothing: see env"


def test_in_the_dotenv_file_every_unknown_name_is_told() -> None:
    [line] = said({}, {"COLOUR": "blue", "COMPOSE_PROJECT_NAME": "x", "NO_PROXY": "x"})
    assert line.startswith("COLOUR is no setting")


def test_a_value_of_the_dotenv_file_that_the_environment_hides_is_told() -> None:
    [line] = said({"OPENAI_API_KEY": "of-the-shell"}, {"OPENAI_API_KEY": "of-the-file"})
    assert line.startswith("OPENAI_API_KEY of .env is passed over")
    assert "of-the" not in line
    [line] = said({"LOG_LEVEL": ""}, {"LOG_LEVEL": "DEBUG"})
    assert line.startswith("LOG_LEVEL of .env is passed over")
    assert said({"LOG_LEVEL": "DEBUG"}, {"LOG_LEVEL": "DEBUG"}) == []


def test_what_kubernetes_says_of_a_service_is_passed_over_and_told() -> None:
    given = {
        "QDRANT_PORT": "tcp://10.0.0.1:6333",
        "QDRANT_HOST": "qdrant",
        "PORT": "udp://10.0.0.1:1",
    }
    settings = Settings.from_env(given)
    assert (settings.qdrant_addresses, settings.port) == (("http://qdrant:6333",), 8000)
    assert [line.split()[0] for line in said(given)] == ["PORT", "QDRANT_PORT"]


OLLAMA = {"OLLAMA_BASE_URL": "http://a"}
OWN = {"LLM_BASE_URL": "http://a/v1", "EMBEDDER_BASE_URL": "http://b/v1"}
UNUSED: list[tuple[Given, str]] = [
    ({"LLM_MODEL": "m"}, "LLM_MODEL does nothing: there is no LLM"),
    ({"LLM_API_KEY": "k", "LLM_PROVIDER": "none"}, "LLM_API_KEY does nothing"),
    ({"CUSTOM_INSTRUCTIONS": "x"}, "CUSTOM_INSTRUCTIONS does nothing"),
    (
        {"EMBEDDER_BATCH": "1"},
        "EMBEDDER_BATCH does nothing: the embedder is",
    ),
    ({"EMBEDDER_API_KEY": "k", "EMBEDDER_PROVIDER": "local"}, "EMBEDDER_API_KEY does nothing"),
    ({**OLLAMA, "OPENAI_BASE_URL": "http://b/v1"}, "OPENAI_BASE_URL does nothing: neither"),
    ({**OWN, "OPENAI_BASE_URL": "http://c/v1"}, "OPENAI_BASE_URL does nothing: LLM_BASE_URL and"),
    ({"OPENAI_API_KEY": "k", **OLLAMA}, "OLLAMA_BASE_URL does nothing: neither"),
    ({"OPENAI_API_KEY": "k", "OLLAMA_NUM_CTX": "4096"}, "OLLAMA_NUM_CTX does nothing"),
    ({"QDRANT_API_KEY": "k"}, "QDRANT_API_KEY does nothing: the vectors are in DATA_DIR"),
    (
        {"QDRANT_URL": "http://q", "QDRANT_PORT": "6333"},
        "QDRANT_PORT does nothing: QDRANT_URL",
    ),
    ({"METADATA_INDEXES": "kind"}, "METADATA_INDEXES does nothing: the vectors are in DATA_DIR"),
    (
        {"QDRANT_URL": "http://q", "QDRANT_GRPC": "off", "QDRANT_GRPC_PORT": "1"},
        "QDRANT_GRPC_PORT does nothing: QDRANT_GRPC is off",
    ),
    ({"QDRANT_URL": "http://q", "MIN_FREE_MB": "1"}, "MIN_FREE_MB does nothing"),
    ({"RATE_LIMIT_STORAGE": "redis://a"}, "RATE_LIMIT_STORAGE does nothing"),
    ({"QDRANT_GRPC": "on"}, "QDRANT_GRPC does nothing: the vectors are in DATA_DIR"),
    ({"METADATA_INDEXES": "topic"}, "METADATA_INDEXES does nothing: the vectors are in DATA_DIR"),
    ({"REVOKED_KEYS": "a"}, "REVOKED_KEYS does nothing"),
    (
        {"OPENAI_API_KEY": "k", "LLM_BASE_URL": "http://a/v1"},
        "LLM_BASE_URL is asked without a key: OPENAI_API_KEY is for api.openai.com alone",
    ),
]


@pytest.mark.parametrize(("given", "line"), UNUSED, ids=str)
def test_a_setting_without_effect_is_told(given: Given, line: str) -> None:
    [told] = said(given)
    assert told.startswith(line)


def test_a_key_that_goes_nowhere_is_told() -> None:
    assert any(
        line.startswith("OPENAI_API_KEY does nothing")
        for line in said({**OWN, "OPENAI_API_KEY": "k"})
    )


def test_what_docker_compose_always_gives_is_not_told() -> None:
    from tests.unit.test_containers import filled_in

    given = filled_in({})
    names = [line.split()[0] for line in said(given)]
    assert names == []
