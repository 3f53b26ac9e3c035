"""Which failures are refusals that another form of the request may help against."""

from app.providers.adaptation import REFUSALS
from app.providers.context import context_too_small
from app.providers.openai.failures import refusal_of


def refusal(error: Exception) -> str | None:
    """What the service said in words, for `Adaptation`; None for every other failure."""
    refused = refusal_of(error)
    if refused is None or refused.status not in REFUSALS:
        return None
    return None if context_too_small(refused.words, "") else refused.words
