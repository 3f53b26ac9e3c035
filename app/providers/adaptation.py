"""Learns which parameters a service refuses, once for the life of the process.

Services with the same API accept different parameters, and tell so only by refusing a request.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

log = logging.getLogger(__name__)

REFUSALS = (400, 404, 422)
"""The statuses with which services refuse a parameter."""

MAX_WORDS = 4000  # characters of a refusal that are searched: some quote the whole request

T = TypeVar("T")

Forms = Mapping[str, Any]
"""The form to send for each choice, by the choice's name."""


class Choice(NamedTuple):
    """A part of a request that a service may refuse in some forms."""

    forms: Sequence[Any]
    """The forms to send, the best first. Their meaning is up to who makes requests."""
    named_by: Sequence[str]
    """Words in lower case; a refusal with one of them means this choice."""


class Adaptation:
    """Knows which forms of requests a service accepts. Safe for many threads."""

    def __init__(
        self,
        model: str,
        choices: Mapping[str, Choice],
        refusal: Callable[[Exception], str | None],
    ) -> None:
        """`model` is for the log. `refusal` returns the text of a refusal that may concern a
        parameter, and None for other failures. Choices are tried in their order."""
        self._model = model
        self._choices = choices
        self._refusal = refusal
        self._taken: Forms = {name: choice.forms[0] for name, choice in choices.items()}

    def ask(self, request: Callable[[Forms], T]) -> T:
        """The result of `request(forms)`. After a refusal it is called again, with the next form of
        the choice that the refusal names.

        Raises the other failures of `request`, and a refusal for which no form is left. Forms are
        remembered only after a success, so that a refusal of one text does not affect others.
        """
        forms = self._taken
        while True:
            try:
                answer = request(forms)
            except Exception as error:
                after = self._after(forms, self._refusal(error))
                if after is None:
                    raise
                forms = after
            else:
                self._remember(forms)
                return answer

    def _after(self, forms: Forms, words: str | None) -> Forms | None:
        """The forms to try after a refusal with the text `words`; None where none are left."""
        said = (words or "")[:MAX_WORDS].lower()
        for name, choice in self._choices.items():
            left = choice.forms[choice.forms.index(forms[name]) + 1 :]
            if left and any(word in said for word in choice.named_by):
                return {**forms, name: left[0]}
        return None

    def _remember(self, forms: Forms) -> None:
        before, self._taken = self._taken, forms
        for name, form in forms.items():
            if form != before[name]:
                what = (self._model, name, before[name], form)
                log.warning("%s does not take %s=%s: it is asked with %s from now on", *what)
