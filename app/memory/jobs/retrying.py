"""Decides when a failed job is tried again, and when it is given up."""

from app.errors import (
    ProviderBadAnswer,
    ProviderTimeout,
    ServiceError,
    VectorStoreTimeout,
)

FIRST_S, LONGEST_S = 1.0, 300.0
"""The first pause between attempts, and the longest; each pause is twice the one before."""
GIVE_UP_S = 24 * 3600.0
"""The age at which a job is given up: long enough to outlast an outage of a night."""
BAD_ANSWERS = 3
"""Attempts of a job to which the LLM gives unusable answers; further ones seldom help."""
INTERRUPTIONS = 20
"""How often the process may end while a job runs. After that the job itself is assumed to be the
cause."""


def is_temporary(error: ServiceError) -> bool:
    """Whether the same attempt may succeed later, without a change of the request or settings."""
    return error.retry_after is not None or isinstance(
        error, ProviderTimeout | VectorStoreTimeout | ProviderBadAnswer
    )


def pause(error: ServiceError, attempts: int, age: float) -> float | None:
    """Seconds until the next attempt of a job, which has had `attempts` and was accepted `age`
    seconds ago; None where it is given up."""
    if not is_temporary(error):
        return None
    if isinstance(error, ProviderBadAnswer) and attempts >= BAD_ANSWERS:
        return None
    seconds = max(back_off(attempts), error.retry_after or 0)
    return seconds if age + seconds < GIVE_UP_S else None


def pause_after_interruption(number: int) -> float | None:
    """Seconds until the next attempt, after so many interruptions; None to give the job up."""
    return back_off(number) if number < INTERRUPTIONS else None


def back_off(number: int) -> float:
    """Seconds of pause after so many failures."""
    return float(min(FIRST_S * 2 ** min(number - 1, 16), LONGEST_S))
