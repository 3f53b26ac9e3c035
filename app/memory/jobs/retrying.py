"""When a job that failed is tried again, and when it is given up."""

from app.errors import (
    ProviderBadAnswer,
    ProviderTimeout,
    ServiceError,
    VectorStoreTimeout,
)

FIRST_S, LONGEST_S = 1.0, 300.0
"""Pauses: after the first failure, and at most; each is twice the one before."""
GIVE_UP_S = 24 * 3600.0
"""After it was accepted: an outage of a night is over by then."""
BAD_ANSWERS = 3
"""Attempts where a model answers what cannot be used. It may answer otherwise; more is waste."""
INTERRUPTIONS = 20
"""Ends of the process while the job ran, after which it is taken for what ends the process."""


def is_temporary(error: ServiceError) -> bool:
    """Whether the same may succeed later, with nothing changed but the time."""
    return error.retry_after is not None or isinstance(
        error, ProviderTimeout | VectorStoreTimeout | ProviderBadAnswer
    )


def pause(error: ServiceError, attempts: int, age: float) -> float | None:
    """Seconds until the next attempt, after `attempts` of a job that was accepted `age` seconds
    ago; None where it is to be given up."""
    if not is_temporary(error):
        return None
    if isinstance(error, ProviderBadAnswer) and attempts >= BAD_ANSWERS:
        return None
    seconds = max(back_off(attempts), error.retry_after or 0)
    return seconds if age + seconds < GIVE_UP_S else None


def pause_after_interruption(number: int) -> float | None:
    return back_off(number) if number < INTERRUPTIONS else None


def back_off(number: int) -> float:
    """Seconds, after so many failures."""
    return float(min(FIRST_S * 2 ** min(number - 1, 16), LONGEST_S))
