"""Refuses requests from foreign web pages, and requests that reached this service by an unknown
host name. Both are refused before the key is checked.

A browser sends requests for any page that its user looks at. The headers Origin and Sec-Fetch-Site
say whose page it is. Host is the name by which this service was reached: a foreign page can point a
name of its own at 127.0.0.1 (DNS rebinding), but cannot hide that name.

Behind a proxy (PROXY_HOPS) there are two names, and both must be trusted. X-Forwarded-Host is the
name by which the proxy was reached. A page that reaches this port past the proxy can forge it, but
cannot forge Host. What Host is behind a proxy depends on the proxy: Caddy and Traefik leave it as
it was; nginx sets the name after proxy_pass, such as 127.0.0.1:8000 (trusted) or another name
(which TRUSTED_HOSTS must have).
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from flask import Flask, current_app, request
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from app.config import Settings
from app.errors import FieldError, HostNotAllowed, InvalidRequest, OriginNotAllowed

PROBES = ("/health", "/ready")  # probes use the address of a pod or container
# RFC 3986, section 3.2.2, and an optional port. Browsers send other alphabets as punycode.
_HOST = re.compile(
    r"(?P<name>[\w.~!$&'()*+,;=%-]+|\[[\da-f:.]+\])(:\d*)?", re.ASCII | re.IGNORECASE
)
_BY_PROXIES = ("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "Via")
EXPOSED = (
    *("X-Request-ID", "Retry-After", "WWW-Authenticate", "Location", "Preference-Applied"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
)


def init_app(app: Flask, settings: Settings) -> None:
    hops = settings.proxy_hops
    if hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as Flask's documents have it
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops
        )
    # Where a key is needed, any host name will do. Where none is, only the names of this machine
    # and those in TRUSTED_HOSTS are trusted.
    any_host = settings.admin_api_key or settings.auth_disabled
    app.extensions["trusted_hosts"] = None if any_host else frozenset(settings.trusted_hosts)
    app.extensions["cors_origins"] = frozenset(settings.cors_origins)
    app.before_request(_check)
    if settings.cors_origins:
        CORS(
            app,
            origins=list(settings.cors_origins),
            expose_headers=EXPOSED,
            max_age=600,
            always_send=False,  # not to clients that send no Origin
        )


def _check() -> None:
    names = _names()
    given = request.headers
    origin = given.get("Origin")
    known = origin in current_app.extensions["cors_origins"]
    if origin is not None and not known and not _is_own(origin):
        raise OriginNotAllowed(by_proxy=_came_by_proxy())
    if given.get("Sec-Fetch-Site") == "cross-site" and not known and not _navigates():
        raise OriginNotAllowed(by_proxy=False)
    trusted = current_app.extensions["trusted_hosts"]
    if trusted is None or request.path in PROBES:
        return
    if not names or not all(name in trusted or _is_loopback(name) for name in names):
        raise HostNotAllowed


def _is_own(origin: str) -> bool:
    """Whether `origin` is this service's own page. Behind a proxy that PROXY_HOPS does not count,
    the scheme or the name differs from what the browser sees. Then Sec-Fetch-Site, which no page
    can forge, still says same-origin."""
    if origin == f"{request.scheme}://{request.host}":
        return True
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _came_by_proxy() -> bool:
    return any(name in request.headers for name in _BY_PROXIES)


def _names() -> list[str]:
    """The names by which this service was reached, without ports: Host, and X-Forwarded-Host of
    the proxies that PROXY_HOPS counts. Empty for HTTP/1.0 without a Host. Raises InvalidRequest."""
    environ = request.environ
    before_proxies = environ.get("werkzeug.proxy_fix.orig", environ)
    host, forwarded = before_proxies.get("HTTP_HOST"), environ.get("HTTP_HOST")
    if host is None and environ["SERVER_PROTOCOL"] == "HTTP/1.0":
        return []
    names = [_host_name("Host", host or "")]
    if forwarded != host:
        names.append(_host_name("X-Forwarded-Host", forwarded))
    return names


def _navigates() -> bool:
    """Whether the browser navigates here by a link, so that no other page reads the answer."""
    wanted = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    is_document = all(request.headers.get(name) == value for name, value in wanted.items())
    return request.method == "GET" and is_document


@lru_cache(256)
def _host_name(header: str, host: str) -> str:
    """The name in `host` without the port, in lower case. Raises InvalidRequest."""
    if not (parts := _HOST.fullmatch(host)):
        error = FieldError(header, "must be the name or address of a host (RFC 9112, section 3.2)")
        raise InvalidRequest("The request has a wrong header.", [error])
    return parts["name"].strip("[]").lower()


@lru_cache(256)
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
