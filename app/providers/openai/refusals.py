"""Which failures are refusals that another form of the request may help against."""

from app.providers.adaptation import REFUSALS
from app.providers.openai.failures import refusal_of


def refusal(error: Exception) -> str | None:
    """What the service said in words, for `Adaptation`; None for every other failure."""
    refused = refusal_of(error)
    return refused.words if refused and refused.status in REFUSALS else None
