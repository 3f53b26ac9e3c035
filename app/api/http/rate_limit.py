"""How many requests a key, or where there is none an address, may send."""

import time
from typing import TYPE_CHECKING

from flask import Flask, Response, current_app, g, request

from app.api.http.origins import PROBES
from app.config import Settings
from app.errors import StartupError
from app.security.principal import ANONYMOUS

if TYPE_CHECKING:
    from flask_limiter import Limiter


def init_app(app: Flask, settings: Settings) -> None:
    """Raises StartupError where the store of the counts cannot be used."""
    if not settings.rate_limit:
        return
    from flask_limiter import Limiter  # 90 ms at each start, for what few need
    from limits.errors import ConfigurationError

    limiter = Limiter(
        _who,
        application_limits=[settings.rate_limit],
        storage_uri=settings.rate_limit_storage.get_secret_value(),
        key_prefix="memory-service",
        # While the store is away each process counts for itself.
        in_memory_fallback_enabled=True,
    )
    limiter.request_filter(lambda: request.path in PROBES)
    try:
        limiter.init_app(app)
    except (ConfigurationError, ValueError) as error:
        raise StartupError(f"RATE_LIMIT_STORAGE: {type(error).__name__}, see env") from error
    app.extensions["rates"] = limiter
    app.after_request(_tell)


def _who() -> str:
    if g.principal is ANONYMOUS:
        return f"address {request.remote_addr}"
    return f"key {g.principal.id}"


def _tell(response: Response) -> Response:
    """The headers of the IETF's draft-ietf-httpapi-ratelimit-headers-06. Flask-Limiter's own
    give a time of day for the seconds, and a Retry-After to those who need not wait."""
    limiter: Limiter = current_app.extensions["rates"]
    limits = limiter.current_limits
    if limits:
        tightest = min(limits, key=lambda limit: limit.remaining)
        seconds = max(1, int(tightest.reset_at - time.time()))  # reset_at is rounded up
        response.headers["RateLimit-Limit"] = str(tightest.limit.amount)
        response.headers["RateLimit-Remaining"] = str(tightest.remaining)
        response.headers["RateLimit-Reset"] = str(seconds)
        if tightest.breached:  # another 429 says for itself how long
            response.headers["Retry-After"] = str(seconds)
    return response
