"""The types of the settings: how a text of the environment becomes a value."""

import json
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, SecretStr

LLMProvider = Literal["openai", "ollama", "none"]
EmbedderProvider = Literal["openai", "ollama", "local"]
"""Each name but `none` is a module or package in `app/providers`."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


InAnyCase = BeforeValidator(_lower)


def _provider(value: Any) -> Any:
    value = _lower(value)
    if value not in {*get_args(LLMProvider), *get_args(EmbedderProvider)}:
        raise ValueError(
            "must be openai, also for every other service that speaks OpenAI's API, or ollama, "
            "or none (LLM), or local (embedder)"
        )
    return value


OfProvider = BeforeValidator(_provider)

# Other programs have more levels than this service.
_LEVELS = {"TRACE": "DEBUG", "VERBOSE": "DEBUG", "WARN": "WARNING"}
_LEVELS |= dict.fromkeys(("ERR", "CRITICAL", "FATAL"), "ERROR")


def _level(value: Any) -> Any:
    value = value.upper() if isinstance(value, str) else value
    return _LEVELS.get(value, value)


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_level)]


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if re.match(r"""\[\s*["']""", value):  # JSON, as other programs want their lists
        value = re.sub(r"[\[\]\"']", " ", value)
    return tuple(re.split(r"[\s,;]+", value.strip(" ,;")))


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Several names, separated by commas, semicolons or white space, or as a list of JSON."""


def _none(value: Any) -> Any:
    return () if value == ("none",) else value


Dialect = Literal["platform", "oss", "mcp"]
"""Each name is a package in `app/api`."""

Dialects = Annotated[
    tuple[Dialect, ...], BeforeValidator(_none), BeforeValidator(_split), InAnyCase
]


def _indexes(given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        if not re.fullmatch(rf"{_INDEX_KEY}(:({'|'.join(INDEX_TYPES)}))?", one):
            raise ValueError(
                f"{one} is no key of metadata such as kind or address.city, perhaps with a type: "
                f"year:integer (one of {', '.join(INDEX_TYPES)})"
            )
    return given


INDEX_TYPES = ("keyword", "integer", "float", "bool", "datetime", "text")
_INDEX_KEY = r"[\w-]+(\.[\w-]+)*"
MetadataIndexes = Annotated[Names, AfterValidator(_indexes)]
"""Keys of metadata, each perhaps with the type of its values (`year:integer`); by default
keyword."""


def _no_json(name: str) -> Any:
    raise ValueError(name)  # such as NaN, which Python takes


def _json_object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_no_json)
    except ValueError as error:
        raise ValueError('must be a JSON object, such as {"enable_thinking": false}') from error


ExtraBody = Annotated[dict[str, Any], BeforeValidator(_json_object)]
"""Fields that are added to the body of each call."""


def _visible(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError("must be visible ASCII characters, without blanks and without Bearer")
    return key


Key = Annotated[SecretStr, AfterValidator(_visible)]
"""A secret that can be sent in a header."""


def _origins(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_origin, given))


def _origin(given: str) -> str:
    """`given` as a browser sends it: no path, lower case, no default port."""
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#*@]+/?", given, re.IGNORECASE):
        raise ValueError(
            f"{given} is no origin such as https://chat.example.com or app://obsidian.md"
        )
    scheme, _, host = given.rstrip("/").lower().partition("://")
    usual = {"http": ":80", "https": ":443"}.get(scheme, "/")
    return f"{scheme}://{host.removesuffix(usual)}"


Origins = Annotated[Names, AfterValidator(_origins)]
"""Origins of web pages, apps and browser extensions."""


def _host(given: str) -> str:
    """`given`, a name or an address without a port; an IPv6 address loses its brackets."""
    bare = given.removeprefix("[").removesuffix("]")
    if "://" in given or re.search(r"[\s/@?#]|^[^:]*:[^:]*$", bare):
        raise ValueError("must be a name or an address alone: the port is a setting of its own")
    return bare


Host = Annotated[str, AfterValidator(_host)]


def _trusted_hosts(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_trusted_host, given))


def _trusted_host(given: str) -> str:
    """`given` as a Host header has it, without a port; it may be a whole address."""
    host = re.sub(r"^[a-z]+://|/+$", "", given.lower())
    if not re.search(r"^\[?[^\[\]:]*:[^\[\]:]*:", host):  # no IPv6
        host = re.sub(r":\d+$", "", host)
    if re.search(r"[*/@?#\s]", host) or not host.strip("."):
        raise ValueError(
            f"{given} is no name of a host such as memory.example.com; a star names none, and with "
            "ADMIN_API_KEY every name is trusted"
        )
    return host


TrustedHosts = Annotated[Names, AfterValidator(_trusted_hosts)]
"""Names by which this service may be called, in small letters."""


def in_url(host: str) -> str:
    """`host` as it is written in a URL: an IPv6 address gets brackets."""
    return f"[{host}]" if ":" in host else host
