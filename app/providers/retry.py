"""Makes each call to a provider, with one deadline, one retry, and the failure as a
ServiceError."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from app.config.unreachable import causes
from app.errors import ProviderRateLimited, ProviderUnavailable, ServiceError
from app.observability.logs import SANE_ID
from app.observability.metrics import ModelMeter

log = logging.getLogger(__name__)

RETRY_AFTER_S = 0.25  # the least pause, which is enough after a dropped connection

T = TypeVar("T")


def call(
    request: Callable[[float], T],
    seconds: float,
    translate: Callable[[Exception], ServiceError],
    meter: ModelMeter,
) -> T:
    """The result of `request(seconds left)`, which is called once more after a temporary failure.

    Temporary failures are ProviderUnavailable and ProviderRateLimited; a timeout is not retried,
    because it has used up the time. All ends after `seconds`. Raises the ServiceError that
    `translate` makes of the failure.
    """
    deadline = time.monotonic() + seconds
    try:
        return _tried(request, seconds, translate, meter)
    except ServiceError as failure:
        pause = _pause(failure)
        if pause is None or time.monotonic() + pause >= deadline:
            raise
    time.sleep(pause)
    meter.retried()
    return _tried(request, deadline - time.monotonic(), translate, meter)


def _tried(
    request: Callable[[float], T],
    left: float,
    translate: Callable[[Exception], ServiceError],
    meter: ModelMeter,
) -> T:
    """One attempt. It is counted; a failure is logged, with the id of the current request."""
    with meter.call():
        try:
            return request(left)
        except Exception as error:
            failure = translate(error)
            # Without the error's message, which may quote the key or a text.
            why = (meter.name, failure.code, failure.detail, _kind(error))
            log.warning("%s: %s: %s (%s)", *why)
            raise failure from error


def _kind(error: Exception) -> str:
    """The class of `error`, that of the system's error, the status, and the provider's id of the
    call."""
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    theirs = getattr(error, "request_id", None)
    known = isinstance(theirs, str) and SANE_ID.fullmatch(theirs)
    *_, cause = causes(error)
    parts = [
        type(error).__name__,
        type(cause).__name__ if isinstance(cause, OSError) and cause is not error else "",
        f"status {status}" if isinstance(status, int) else "",
        f"their request {theirs}" if known else "",
    ]
    return ", ".join(filter(None, parts))


def _pause(failure: ServiceError) -> float | None:
    if isinstance(failure, ProviderRateLimited | ProviderUnavailable):
        return max(failure.pause or 0, RETRY_AFTER_S)
    return None
