"""Limits the rate of requests of each key, or of each address where no key is needed."""

import logging
import time
from typing import TYPE_CHECKING

from flask import Flask, Response, current_app, g, request

from app.api.http.origins import PROBES
from app.config import Settings
from app.errors import FieldError, InvalidRequest, StartupError, TooManyRequests
from app.security.principal import ANONYMOUS

if TYPE_CHECKING:
    from flask_limiter import Limiter

log = logging.getLogger(__name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Raises StartupError where RATE_LIMIT_STORAGE cannot be used."""
    if not settings.rate_limit:
        return
    from flask_limiter import Limiter  # the import takes 90 ms, and few set a rate
    from limits.errors import ConfigurationError

    limiter = Limiter(
        _caller,
        application_limits=[settings.rate_limit],
        storage_uri=settings.rate_limit_storage.get_secret_value(),
        key_prefix="memory-service",
        # While the store of the counts is down, each process counts for itself.
        in_memory_fallback_enabled=True,
    )
    limiter.request_filter(lambda: request.path in PROBES)
    try:
        limiter.init_app(app)
    except (ConfigurationError, ValueError) as error:
        raise StartupError(f"RATE_LIMIT_STORAGE: {type(error).__name__}, see env") from error
    app.extensions["rates"] = limiter
    app.after_request(_add_headers)


def count(more: int, field: str) -> None:
    """Count the current request `more` times more, because it has so many further items in `field`.

    Raises TooManyRequests, and InvalidRequest where it has more items than any limit allows.
    """
    limiter: Limiter | None = current_app.extensions.get("rates")
    if limiter is None:
        return
    for one in limiter.current_limits:
        if more >= one.limit.amount:
            message = f"must be at most {one.limit.amount}: each counts for RATE_LIMIT"
            raise InvalidRequest("The request has wrong fields.", [FieldError(field, message)])
    try:
        fits = _hit(limiter, more)
    except Exception as error:  # of the store's library; at the next request it falls back
        log.warning("not counted by RATE_LIMIT: %s", type(error).__name__)
        return
    if not fits:
        raise TooManyRequests(f"More {field} than RATE_LIMIT allows, where each counts.")


def _hit(limiter: "Limiter", more: int) -> bool:
    """Whether all limits allow `more` requests; if so, they are counted."""
    limits, counts = limiter.current_limits, limiter.limiter
    for one in limits:
        one.breached = not counts.test(one.limit, *one.request_args, cost=more)
    if any(one.breached for one in limits):
        return False
    for one in limits:
        one.breached = not counts.hit(one.limit, *one.request_args, cost=more)
    return not any(one.breached for one in limits)


def _caller() -> str:
    if g.principal is ANONYMOUS:
        return f"address {request.remote_addr}"
    return f"key {g.principal.id}"


def _add_headers(response: Response) -> Response:
    """Adds the headers of the IETF's draft-ietf-httpapi-ratelimit-headers-06. Flask-Limiter's own
    have a time of day in the place of seconds, and Retry-After where nobody need wait."""
    limiter: Limiter = current_app.extensions["rates"]
    limits = limiter.current_limits
    if limits:
        tightest = min(limits, key=lambda limit: limit.remaining)
        seconds = max(1, int(tightest.reset_at - time.time()))  # reset_at is rounded up
        response.headers["RateLimit-Limit"] = str(tightest.limit.amount)
        response.headers["RateLimit-Remaining"] = str(tightest.remaining)
        response.headers["RateLimit-Reset"] = str(seconds)
        if tightest.breached:  # a 429 for another reason has its own Retry-After
            response.headers["Retry-After"] = str(seconds)
    return response
