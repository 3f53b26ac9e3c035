"""How other services are reached: the same for the clients of OpenAI, Ollama and Qdrant."""

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.config import Endpoint, Settings
from app.config.outgoing import CERTIFICATES, goes_past_proxies, proxy_for
from app.errors import ServiceError, StartupError
from app.providers import registry
from app.providers.ollama.client import Clients
from app.providers.ollama.embeddings import OllamaEmbeddings
from app.providers.openai.client import Client, connect
from app.storage.vectors.server import ServerStore
from app.storage.vectors.server import connect as connect_qdrant
from tests.servers.base import StubServer
from tests.servers.ollama import OllamaServer
from tests.servers.openai import OpenAIServer
from tests.servers.passage import Passage, certificate
from tests.servers.qdrant import QdrantServer
from tests.servers.rules import RuleServer
from tests.servers.socks import Socks

SECONDS = 3.0
PASSWORD = "secret-of-the-proxy"  # noqa: S105


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that names no proxy and no authority but those of the test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)  # away from a developer's own .env
    return monkeypatch


def ask_openai(url: str) -> None:
    with closing(Client(f"{url}/v1", "sk-of-the-tests")) as client:
        client.post("/embeddings", {"input": ["tea"], "model": "text-embedding-3-small"}, SECONDS)


def ask_ollama(url: str) -> None:
    with closing(Clients(Endpoint(url, None), SECONDS)) as clients:
        clients.embed({"model": "nomic-embed-text", "input": ["tea"]}, SECONDS)


def ask_qdrant(url: str) -> None:
    settings = Settings.from_env({"QDRANT_URL": url})
    with closing(connect_qdrant(settings)) as connection:
        ServerStore(connection, "memories").embedder()


CLIENTS: dict[str, tuple[Callable[[str], None], type[StubServer]]] = {
    "openai": (ask_openai, OpenAIServer),
    "ollama": (ask_ollama, OllamaServer),
    "qdrant": (ask_qdrant, QdrantServer),
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Iterator[tuple[Callable[[str], None], StubServer]]:
    ask, kind = CLIENTS[request.param]
    with kind() as server:
        yield ask, server


def test_each_client_goes_through_a_socks_proxy(
    client: tuple[Callable[[str], None], StubServer], variables: pytest.MonkeyPatch
) -> None:
    ask, server = client
    with Socks(server.port) as proxy:
        variables.setenv("ALL_PROXY", f"socks://127.0.0.1:{proxy.port}/")
        ask("http://service.example:81")
        assert proxy.asked == [("service.example", 81)]
    assert server.requests


def test_no_client_opens_a_proxy_for_what_no_proxy_names(
    client: tuple[Callable[[str], None], StubServer], variables: pytest.MonkeyPatch
) -> None:
    ask, server = client
    variables.setenv("ALL_PROXY", "socks4://127.0.0.1:9")  # cannot be used, and is not needed
    variables.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    variables.setenv("NO_PROXY", "localhost,127.0.0.0/8")
    ask(server.url)
    assert server.requests


def test_each_client_goes_through_an_http_proxy(
    client: tuple[Callable[[str], None], StubServer], variables: pytest.MonkeyPatch
) -> None:
    ask, server = client
    with Passage(server.port, proxy=True) as proxy:
        variables.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        variables.setenv("no_proxy", "other.example")
        ask("http://service.example:81")
        assert b" http://service.example:81/" in proxy.asked[0]
    assert server.requests


def test_no_client_follows_a_redirect(
    client: tuple[Callable[[str], None], StubServer], variables: pytest.MonkeyPatch
) -> None:
    """The texts and the key go where the settings say, and nowhere else."""
    ask, server = client
    with type(server)() as elsewhere:
        server.fault("/", status=307, body={}, headers={"Location": f"{elsewhere.url}/api/embed"})
        with pytest.raises(Exception):  # noqa: B017, PT011  (each library's own)
            ask(server.url)
        assert server.requests
        assert elsewhere.requests == []


def test_a_proxy_that_is_down_is_told_where_qdrant_is_called_through_it(
    variables: pytest.MonkeyPatch,
) -> None:
    variables.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="the proxy of ALL_PROXY"):
        ask_qdrant("http://service.example:6333")


SERVICES = {"openai": "OPENAI_BASE_URL", "ollama": "OLLAMA_BASE_URL"}


def embedded_by(name: str, port: int) -> str:
    """What is said of an embedding that fails. A client of OpenAI's is kept for its address."""
    settings = Settings.from_env({SERVICES[name]: f"http://service.example:{port}"})
    model = registry.find(name).open_embedder(settings, "nomic-embed-text")
    with pytest.raises(ServiceError) as raised:
        model(["tea"])
    closed = model if isinstance(model, OllamaEmbeddings) else connect(settings.embedder_endpoint)
    closed.close()
    return raised.value.detail


@pytest.mark.parametrize("name", SERVICES)
def test_a_proxy_that_answers_in_place_of_a_model_is_told_by_its_variable(
    variables: pytest.MonkeyPatch, name: str
) -> None:
    page = {"status": 503, "type": "text/html", "body": "<html>Access denied</html>"}
    with RuleServer() as proxy:
        proxy.follow([{"path": "", "answer": page}])
        variables.setenv("HTTP_PROXY", proxy.url)
        said = embedded_by(name, 81)
    assert "the proxy of HTTP_PROXY" in said
    assert "NO_PROXY" in said
    assert SERVICES[name] in said


@pytest.mark.parametrize("name", SERVICES)
def test_a_proxy_that_is_down_is_told_where_a_model_is_called_through_it(
    variables: pytest.MonkeyPatch, name: str
) -> None:
    variables.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert "the proxy of ALL_PROXY" in embedded_by(name, 82)


def test_what_is_in_this_process_needs_no_proxy(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("ALL_PROXY", "socks4://127.0.0.1:9")
    settings = Settings.from_env({})
    registry.open_embedder_check(settings, registry.open_embedder(settings))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl here that could make a certificate")
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("name", sorted({*CERTIFICATES} - {"SSL_CERT_DIR"}))
def test_each_client_trusts_whom_a_variable_names(
    client: tuple[Callable[[str], None], StubServer],
    variables: pytest.MonkeyPatch,
    tls: tuple[Path, ssl.SSLContext],
    name: str,
) -> None:
    ask, server = client
    trusted, shown = tls
    with Passage(server.port, tls=shown) as secure:
        url = f"https://127.0.0.1:{secure.port}"
        with pytest.raises(Exception):  # noqa: B017, PT011  (each library's own)
            ask(url)
        assert server.requests == []
        variables.setenv(name, str(trusted))
        ask(url)
        assert server.requests


def test_authorities_that_cannot_be_read_are_told_by_their_variable(
    variables: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    variables.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with OllamaServer() as server:
        ask_ollama(server.url)
    assert "REQUESTS_CA_BUNDLE: " in caplog.text


def used(url: str) -> str | None:
    proxy = proxy_for(url)
    return proxy and proxy.url


def test_a_proxy_of_the_dotenv_file_counts_too(
    variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("HTTPS_PROXY=http://proxy:3128\n")
    assert used("https://api.openai.com/v1") == "http://proxy:3128"
    variables.setenv("HTTPS_PROXY", "http://another:3128")
    assert used("https://api.openai.com/v1") == "http://another:3128"


@pytest.mark.parametrize(
    "value",
    [
        f"socks4://someone:{PASSWORD}@proxy:1080",
        f"ftp://someone:{PASSWORD}@proxy",
        f"http://someone:{PASSWORD}#1@proxy:3128",
        "http://proxy:port",
        "http:/proxy:3128",
        "http://",
        "http://[::1",
    ],
)
def test_a_proxy_that_cannot_be_used_ends_the_start_by_its_name(
    variables: pytest.MonkeyPatch, value: str
) -> None:
    variables.setenv("HTTPS_PROXY", value)
    url = "https://service.example/v1"
    asked: list[Callable[[], object]] = [
        lambda: connect(Endpoint(url, None)),
        lambda: Clients(Endpoint(url, None), SECONDS),
        lambda: connect_qdrant(Settings.from_env({"QDRANT_URL": url})),
    ]
    for ask in asked:
        with pytest.raises(StartupError, match=r"^HTTPS_PROXY: ") as raised:
            ask()
        assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("proxy:3128", "http://proxy:3128"),
        ("http://someone:p%40ss@proxy:3128/", "http://someone:p%40ss@proxy:3128"),
        ("https://proxy", "https://proxy"),
        ("socks5h://proxy", "socks5://proxy:1080"),
        ("socks://[fd00::1]:7", "socks5://[fd00::1]:7"),
        ('"http://proxy:3128" ', "http://proxy:3128"),
    ],
)
def test_proxies_are_read_as_people_write_them(
    variables: pytest.MonkeyPatch, value: str, address: str
) -> None:
    variables.setenv("ALL_PROXY", value)
    assert used("http://service.example") == address


def test_the_name_in_small_letters_wins_also_when_it_is_empty(
    variables: pytest.MonkeyPatch,
) -> None:
    variables.setenv("HTTP_PROXY", "http://large:1")
    variables.setenv("http_proxy", "http://small:1")
    assert used("http://service.example") == "http://small:1"
    variables.setenv("http_proxy", "")
    assert used("http://service.example") is None


NAMED = [
    ("other;qdrant", "qdrant"),
    ("other|qdrant", "qdrant"),
    ('"qdrant"', "qdrant"),
    ("http://qdrant:6333/", "qdrant"),
    ("qdrant.lan.", "qdrant.lan"),
    ("qdrant.lan", "qdrant.lan."),
    ("<local>", "qdrant"),
    ("qdrant", "qdrant"),
    ("localhost, qdrant , ollama", "qdrant"),
    ("a b qdrant", "qdrant"),
    ("QDRANT", "qdrant"),
    ("*", "service.example"),
    ("example", "service.example"),
    (".example", "service.example"),
    ("*.example", "service.example"),
    ("*.example", "example"),
    ("192.168.*", "192.168.1.5"),
    ("10.0.0.0/8", "10.20.30.40"),
    ("10.1.2.3/8", "10.20.30.40"),
    ("10.0.0.5", "10.0.0.5"),
    ("fd00::/8", "fd00::5"),
    ("[fd00::5]", "fd00::5"),
    ("fd00::5", "fd00:0::5"),
    ("qdrant:6333", "qdrant"),
    ("[::1]:6333", "::1"),
    ("http://qdrant", "qdrant"),
    ("http://qdrant:6333", "qdrant"),
]
NOT_NAMED = [
    ("", "qdrant"),
    ("other", "qdrant"),
    ("ample", "service.example"),
    ("service.example.org", "service.example"),
    ("<local>", "qdrant.lan"),
    ("qdrant:443", "qdrant"),
    ("10.0.0.0/8", "11.0.0.1"),
    ("10.0.0.0/8", "ten.example"),
    ("192.168.*", "192.169.1.5"),
    (".", "qdrant"),
    ("/8,:,://", "qdrant"),
]


@pytest.mark.parametrize(("no_proxy", "host"), NAMED)
def test_these_are_called_without_a_proxy(no_proxy: str, host: str) -> None:
    assert goes_past_proxies(host, 6333, no_proxy)


@pytest.mark.parametrize(("no_proxy", "host"), NOT_NAMED)
def test_these_are_called_through_it(no_proxy: str, host: str) -> None:
    assert not goes_past_proxies(host, 6333, no_proxy)
