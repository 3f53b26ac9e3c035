"""What a model's service does not take: found out once, remembered for the life of the process.

Services that speak the same API take different parameters, and none says so before it is asked.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

log = logging.getLogger(__name__)

REFUSALS = (400, 404, 422)
"""The statuses with which services refuse a parameter."""

MAX_WORDS = 4000  # characters of a refusal that are looked at: some quote the whole request

T = TypeVar("T")

Forms = Mapping[str, Any]
"""Of each choice, by its name, the form to send."""


class Choice(NamedTuple):
    """One thing about a request that a service may refuse."""

    forms: Sequence[Any]
    """What to send, the best first. What a form means is for whoever makes the request."""
    named_by: Sequence[str]
    """Words in small letters, any of which names it in a refusal."""


class Adaptation:
    """Which forms of a request a service takes. Safe for many threads."""

    def __init__(
        self,
        model: str,
        choices: Mapping[str, Choice],
        refusal: Callable[[Exception], str | None],
    ) -> None:
        """`model` is for the log. `refusal` gives the words of a refusal that may be about a
        parameter, and None for every other failure. Choices are tried in their order."""
        self._model = model
        self._choices = choices
        self._refusal = refusal
        self._taken: Forms = {name: choice.forms[0] for name, choice in choices.items()}

    def ask(self, request: Callable[[Forms], T]) -> T:
        """`request(forms)`, and again with the next form of what a refusal names.

        Raises what `request` raises for everything else, and where no form is left. Forms are
        remembered when they were taken, so that a refusal of one text changes nothing for others.
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
        """What to try after a refusal in these words; None where nothing is left."""
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
