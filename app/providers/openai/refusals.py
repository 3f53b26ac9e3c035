"""Recognises refusals after which another form of the request may be accepted."""

from app.providers import words
from app.providers.adaptation import REFUSALS
from app.providers.openai.failures import refusal_of


def refusal(error: Exception) -> str | None:
    """The text of a refusal, for `Adaptation`; None for other failures."""
    refused = refusal_of(error)
    if refused is None:
        return None
    # llama.cpp and LiteLLM give 500 for some; of others it may be about anything.
    named = refused.status in (500, 501) and words.PARAMETER.search(refused.words)
    return refused.words if refused.status in REFUSALS or named else None
