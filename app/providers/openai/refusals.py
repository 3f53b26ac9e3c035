"""Which failures are refusals that another form of the request may help against."""

from app.providers.adaptation import REFUSALS
from app.providers.context import context_too_small


def refusal(error: Exception) -> str | None:
    """What the service said in words, for `Adaptation`; None for every other failure."""
    import openai  # imported already: it is what failed

    if not isinstance(error, openai.APIStatusError) or error.status_code not in REFUSALS:
        return None
    words = error.response.text
    return None if context_too_small(words, "") else words
