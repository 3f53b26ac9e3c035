"""What is refused before anybody is asked for a key: other people's pages, unknown names.

A browser sends requests for any page that its user looks at. Origin and Sec-Fetch-Site tell
whose page it is. Host tells by which name this service was reached: a foreign page can point a
name of its own at 127.0.0.1 (DNS rebinding), but cannot hide that name.

Behind a proxy (PROXY_HOPS) there are two names, and both have to be known ones. X-Forwarded-Host is
the name that the proxy was reached by. A page can write it, too, and may reach this port past the
proxy: then Host, which no page can write, tells its name. What Host is when it comes from the proxy
depends on it: Caddy and Traefik leave it as it was, nginx puts what stands after proxy_pass there,
such as 127.0.0.1:8000 (known) or a name of its own (to be told in TRUSTED_HOSTS).
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

PROBES = ("/health", "/ready")  # probes call by the address of a pod or container
# RFC 3986, section 3.2.2, with what a port may follow; names in other letters come as punycode.
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
    # With a key a name proves nothing more; without one only this machine's own are believed.
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
            always_send=False,  # nothing to those who have no page
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
    """Whether it is a page of this service. Behind a proxy with TLS that is not believed
    (PROXY_HOPS) the scheme, or the name too, is another one here than in the browser, which then
    still says what no page can write: same-origin."""
    if origin == f"{request.scheme}://{request.host}":
        return True
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _came_by_proxy() -> bool:
    return any(name in request.headers for name in _BY_PROXIES)


def _names() -> list[str]:
    """By which names we were reached, without their ports: Host, and what the proxies that are
    believed say that it was. None in HTTP/1.0 without a Host. Raises InvalidRequest."""
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
    """Whether somebody followed a link to here, such as to the page, and will look at it."""
    wanted = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    is_document = all(request.headers.get(name) == value for name, value in wanted.items())
    return request.method == "GET" and is_document


@lru_cache(256)
def _host_name(header: str, host: str) -> str:
    """Without the port, in lower case."""
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
