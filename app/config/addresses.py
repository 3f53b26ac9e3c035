"""Checks the addresses of other services in the settings, and brings them into the form in which
they are called."""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr

from app.config.fields import Names

_PORTS = {"http": 80, "https": 443}
# People paste whole addresses from the documents of a service: the paths of single calls, and a
# doubled /v1, are taken off.
_OPENAI_CALLS = re.compile(
    r"/((chat/)?completions|embeddings|models|responses)(?=/*$)|/v1(?=/+v1/*$)|/+$"
)
_OLLAMA_CALLS = re.compile(
    r"/(chat(/completions)?|generate|embed|embeddings|tags|show|ps|pull|version)(?=/*$)|/(api|v1)(?=/*$)|/+$"
)


def _web_address(value: str) -> str:
    """`value`. Raises ValueError with one line where it is no address of http or https."""
    if not re.match(r"https?://[^/?#]", value, re.IGNORECASE):
        raise ValueError("must begin with http:// or https:// and name a host")
    if re.search(r"[\s\\]|[,;]$", value):
        raise ValueError("must be one address, without white space, backslash, comma or semicolon")
    try:
        parts = urlsplit(value)
        named = (parts.hostname or "").encode("idna") and (parts.port is None or parts.port > 0)
    except ValueError:  # UnicodeError is one
        named = False
    if not named:
        raise ValueError("has a wrong host or port; a right one is http://127.0.0.1:8000")
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]


def _web_addresses(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_web_address, given)))


def _qdrant_addresses(given: tuple[str, ...]) -> tuple[str, ...]:
    """`given` without the path of Qdrant's page, which is what a browser shows."""
    return tuple(re.sub(r"/+dashboard([/#?].*)?$", "", url) for url in given)


WebAddresses = Annotated[Names, AfterValidator(_web_addresses)]
"""Addresses of one service, separated by commas or white space; doubles are dropped."""

QdrantAddresses = Annotated[WebAddresses, AfterValidator(_qdrant_addresses)]


def _database_address(value: SecretStr) -> SecretStr:
    # SQLAlchemy's addresses name a driver too, as postgresql+asyncpg does.
    scheme = re.match(r"postgres(ql)?(\+\w+)?://", value.get_secret_value())
    if not scheme:
        raise ValueError("must begin with postgresql://, as postgresql://user:password@host/name")
    return SecretStr(f"postgresql://{value.get_secret_value()[scheme.end() :]}")


DatabaseAddress = Annotated[SecretStr, AfterValidator(_database_address)]
"""An address of PostgreSQL that begins with postgresql://; a secret, because it mostly has a
password in it."""


def origin(url: str) -> tuple[str, str, int]:
    """The scheme, host and port of `url`: a key goes only to the origin that it was given for."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, parts.hostname or "", parts.port or _PORTS[scheme]


def openai_root(url: str) -> str:
    """The base address that /chat/completions and /embeddings are appended to. A query stays."""
    return _without(_OPENAI_CALLS, url)


def ollama_root(url: str) -> str:
    """The base address that /api is appended to. `/v1`, where Ollama speaks OpenAI's API, is taken
    off."""
    return _without(_OLLAMA_CALLS, url)


def _without(calls: re.Pattern[str], url: str) -> str:
    parts: SplitResult = urlsplit(url)
    path = parts.path
    while (shorter := calls.sub("", path)) != path:
        path = shorter
    return parts._replace(path=path, fragment="").geturl()
