"""What is refused before anybody is asked for a key: other people's pages, unknown names.

A browser sends requests for any page that its user looks at. Origin and Sec-Fetch-Site tell
whose page it is. Host tells by which name this service was reached: a foreign page can point a
name of its own at 127.0.0.1 (DNS rebinding), but cannot hide that name.
"""

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from app.config import Settings
from app.errors import HostNotAllowed, OriginNotAllowed

PROBES = ("/health", "/ready")  # probes call by the address of a pod or container
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
EXPOSED = (
    *("X-Request-ID", "Retry-After", "WWW-Authenticate"),
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
    app.after_request(_add_headers)


def _check() -> None:
    origin = request.headers.get("Origin")
    known = origin in current_app.extensions["cors_origins"]
    own = origin == f"{request.scheme}://{request.host}"
    if origin is not None and not known and not own:
        raise OriginNotAllowed
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and not known and not _navigates():
        raise OriginNotAllowed
    trusted = current_app.extensions["trusted_hosts"]
    if trusted is not None and request.path not in PROBES and not _is_trusted(trusted):
        raise HostNotAllowed


def _navigates() -> bool:
    """Whether somebody followed a link to here, such as to the page, and will look at it."""
    wanted = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    is_document = all(request.headers.get(name) == value for name, value in wanted.items())
    return request.method == "GET" and is_document


def _is_trusted(trusted: frozenset[str]) -> bool:
    host = _host_name()
    return host in trusted or _is_loopback(host)


def _host_name() -> str:
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _add_headers(response: Response) -> Response:
    given = response.headers
    given.extend((name, value) for name, value in HEADERS.items() if name not in given)
    return response
