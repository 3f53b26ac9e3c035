"""One rule for every call to a model's service: one deadline, one retry, one translation."""

import time
from collections.abc import Callable
from typing import TypeVar

from app.errors import ProviderRateLimited, ProviderUnavailable, ServiceError

RETRY_AFTER_S = 0.25  # long enough for a dropped connection, short enough to answer at once

T = TypeVar("T")


def call(
    request: Callable[[float], T], seconds: float, translate: Callable[[Exception], ServiceError]
) -> T:
    """`request(seconds left)`, and once more after a failure that may pass.

    What may pass are ProviderUnavailable and ProviderRateLimited; a timeout has used up the
    time. Nothing goes on past `seconds`. Raises what `translate` makes of the failure.
    """
    deadline = time.monotonic() + seconds
    try:
        return request(seconds)
    except Exception as error:
        failure = translate(error)
        pause = _pause(failure)
        if pause is None or time.monotonic() + pause >= deadline:
            raise failure from error
    time.sleep(pause)
    try:
        return request(deadline - time.monotonic())
    except Exception as error:
        raise translate(error) from error


def _pause(failure: ServiceError) -> float | None:
    if isinstance(failure, ProviderRateLimited):
        return failure.retry_after
    return RETRY_AFTER_S if isinstance(failure, ProviderUnavailable) else None
