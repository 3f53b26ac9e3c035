"""How other services are reached: through which proxy, and whose certificates are trusted.

All our clients of HTTP use this module, because each library reads the environment in its own way.
A variable in lower case wins over the same one in upper case, as with curl.
"""

import ipaddress
import logging
import re
import ssl
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from app.config.addresses import origin
from app.config.source import Source
from app.errors import StartupError

log = logging.getLogger(__name__)

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_SCHEMES = {"http": "http", "https": "https"} | dict.fromkeys(
    ("socks", "socks5", "socks5h"), "socks5"
)
_SOCKS_PORT = 1080
_NETWORK = re.compile(r"[\da-f:.\[\]]+/[\d.]+")


class Proxy(NamedTuple):
    name: str
    """The variable that names it."""
    url: str


def proxy_for(url: str) -> Proxy | None:
    """The proxy by which `url` is called; its own address is of http, https or socks5.

    Raises StartupError, which names the variable, where the proxy's address cannot be used."""
    scheme, host, port = origin(url)
    variables = _variables()
    if not any(variables.values()):  # macOS and Windows keep proxies outside the environment
        found = getproxies().get(scheme)
        return _usable("the system's proxy", found) if found and not proxy_bypass(host) else None
    if goes_past_proxies(host, port, variables["NO_PROXY"]):
        return None
    for name in (f"{scheme.upper()}_PROXY", "ALL_PROXY"):
        if value := variables[name]:
            return _usable(name, value)
    return None


def goes_past_proxies(host: str, port: int, no_proxy: str) -> bool:
    """Whether an entry of `no_proxy` matches the host: a name (with all names below it), a pattern
    with a star, an address or a network; each with or without a port."""
    entries = re.split(r"[\s,;|\"']+", no_proxy.lower())
    return any(_names(entry, host.rstrip("."), port) for entry in filter(None, entries))


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "<local>":  # as Windows has it
        return "." not in host and ":" not in host
    entry = re.sub(r"^[a-z]+://", "", entry)
    if not _NETWORK.fullmatch(entry):
        entry = entry.partition("/")[0]
    bare, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal() and (":" not in bare or bare.endswith("]")):
        if int(wanted) != port:
            return False
        entry = bare
    entry = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # the host or the entry is a name
        name = entry.removeprefix("*.").strip(".")
        return host == name or host.endswith(f".{name}") or fnmatchcase(host, entry)


def _usable(name: str, value: str) -> Proxy:
    """The proxy at `value`, with its scheme. Raises StartupError without the value, which may hold
    a password."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port, scheme = parts.hostname, parts.port, _SCHEMES.get(parts.scheme)
    except ValueError:
        host = port = scheme = None
    if not host or not scheme or not parts.netloc.isascii() or parts.path not in ("", "/"):
        raise StartupError(
            f"{name}: is no proxy that can be used: it must be such as http://proxy:3128 or "
            "socks5://proxy:1080, and special characters of its password must be encoded (%40)"
        )
    if scheme == "socks5" and port is None:
        parts = parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{_SOCKS_PORT}")
    return Proxy(name, SplitResult(scheme, parts.netloc, "", "", "").geturl())


def trusted() -> ssl.SSLContext:
    """A context that trusts the authorities of the system, those of certifi, and those that the
    variables in CERTIFICATES name, such as a company's."""
    source = Source.read()
    return _trusting(tuple((name, source.value(name)) for name in CERTIFICATES))


@cache
def _trusting(named: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Python 3.13 would refuse the certificates of many companies' authorities, which 3.12 takes.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(certifi.where())  # a slim image may have none of its own
    for name, path in named:
        folder = name == "SSL_CERT_DIR" or Path(path).is_dir()
        try:
            if path:
                context.load_verify_locations(**{"capath" if folder else "cafile": path})
        except OSError as error:  # SSLError is one
            log.warning("%s: %s has no certificates that can be read: %s", name, path, error)
    return context


def httpx_options(url: str) -> dict[str, Any]:
    """Arguments for httpx's client of `url`. With them httpx reads no variables by itself: it would
    connect to every proxy that they name, even to unneeded ones. Raises StartupError."""
    proxy = proxy_for(url)
    return {"proxy": proxy and proxy.url, "verify": trusted(), "trust_env": False}


def _variables() -> Mapping[str, str]:
    source = Source.read()
    return {
        name: source.value(name.lower() if name.lower() in source.names() else name)
        for name in PROXIES
    }
