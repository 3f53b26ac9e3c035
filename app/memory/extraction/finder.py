"""Asks the LLM for the facts in messages."""

import logging
import time
from dataclasses import dataclass
from typing import NamedTuple

from app.errors import ContextTooSmall, ProviderAnswerCut, ProviderBadAnswer, ServiceError
from app.memory.extraction.answers import Fact, Unreadable, read
from app.memory.extraction.choice import PromptChoice
from app.memory.extraction.language import language_line
from app.memory.extraction.prompts import Messages, max_tokens
from app.memory.extraction.unsaid import without_unsaid
from app.observability.metrics import ModelMeter
from app.providers.chat import THINKING_TOKENS, ChatAnswer, ChatModel, ChatRequest

log = logging.getLogger(__name__)

INSTRUCTED = " (Custom Instructions come first.)"
SHORTER = (
    "(Your last answer was too long and was cut off. Answer with each fact once, in few words.)"
)
AGAIN = "(Your last answer could not be used: {}. Answer with the JSON alone.)"


@dataclass(frozen=True)
class Conversation:
    """The messages of one add."""

    messages: Messages
    of_agent: bool = False
    """Whether the memories are an agent's, and not a user's."""


class _Attempt(NamedTuple):
    facts: list[Fact]
    failure: ServiceError | None = None
    """The error to raise if the second attempt fails as well; None where the answer was whole."""
    hint: str = ""
    """A line for the prompt of the second attempt."""


class FactFinder:
    """Finds facts by the LLM. It lives as long as the process, because it remembers what it learnt
    about the model. Safe for many threads."""

    def __init__(
        self, model: ChatModel, seconds: float, prompts: PromptChoice, *, instructed: bool = False
    ) -> None:
        """`seconds`: the limit for all calls of one add. `instructed`: there are custom
        instructions, which may ask for a language."""
        self._model = model
        self._seconds = seconds
        self._prompts = prompts
        self._instructed = instructed
        self._thinks = False
        self._meter = ModelMeter("llm", model.name)

    def find(self, by_mem0: Messages, about: Conversation) -> list[Fact]:
        """The facts in `about`. `by_mem0` is mem0's prompt: a system message and a user message.

        Where the answer is unusable or cut off, the LLM is asked once more, and the facts of both
        answers are kept. Raises the provider's failures, ProviderBadAnswer and ProviderAnswerCut.
        """
        until = time.monotonic() + self._seconds
        first = self._attempt(by_mem0, about, until)
        facts = first.facts
        if first.failure:
            again = self._again(by_mem0, about, until, first)
            facts = [*facts, *again.facts]
            if again.failure and not facts:
                raise again.failure
            if again.failure:
                log.warning("%s: no more than a part of its answer is kept", self._model.name)
        known = {fact["text"]: fact for fact in facts}
        return without_unsaid(known.values(), about.messages, of_agent=about.of_agent)

    def _again(
        self, by_mem0: Messages, about: Conversation, until: float, first: _Attempt
    ) -> _Attempt:
        if time.monotonic() >= until:
            return _Attempt([], first.failure)
        self._meter.retried()
        try:
            return self._attempt(by_mem0, about, until, first.hint)
        except ServiceError as failure:
            return _Attempt([], failure)

    def _attempt(
        self, by_mem0: Messages, about: Conversation, until: float, hint: str = ""
    ) -> _Attempt:
        answer = self._asked(by_mem0, about, until, hint)
        try:
            facts, whole = read(answer.text, cut=answer.cut)
        except Unreadable as wrong:
            if not answer.cut:
                return self._failed([], self._bad(), AGAIN.format(wrong))
            self._thinks = self._thinks or "{" not in answer.text
            return self._failed([], self._cut(), SHORTER)
        return _Attempt(facts) if whole else self._failed(facts, self._cut(), SHORTER)

    def _failed(self, facts: list[Fact], failure: ServiceError, hint: str) -> _Attempt:
        self._meter.failed(failure)
        return _Attempt(facts, failure, hint)

    def _asked(self, by_mem0: Messages, about: Conversation, until: float, hint: str) -> ChatAnswer:
        """The LLM's answer to the current prompt, or to the short one where that was too long."""
        prompt = self._prompts.current
        try:
            return self._model(self._request(by_mem0, about, hint), until - time.monotonic())
        except ContextTooSmall:
            if not self._prompts.too_long(prompt):
                raise
        return self._model(self._request(by_mem0, about, hint), until - time.monotonic())

    def _request(self, by_mem0: Messages, about: Conversation, hint: str) -> ChatRequest:
        prompt = self._prompts.current
        messages = prompt.messages(by_mem0, of_agent=about.of_agent)
        messages[-1]["content"] = "\n\n".join(
            filter(None, [messages[-1]["content"], self._language(about.messages), hint])
        )
        cap = max_tokens(len(about.messages))
        return ChatRequest(
            messages,
            max(cap, THINKING_TOKENS) if self._thinks else cap,
            prompt.schema(len(about.messages)),
        )

    def _language(self, messages: Messages) -> str:
        return language_line(messages) + (INSTRUCTED if self._instructed else "")

    def _bad(self) -> ServiceError:
        return ProviderBadAnswer(
            f"The LLM {self._model.name} gave an answer that is not the JSON it was asked for."
        )

    def _cut(self) -> ServiceError:
        return ProviderAnswerCut(
            f"The answer of the LLM {self._model.name} was cut off before it came to an end: it "
            "repeats itself, or thinks for long. Send fewer messages at once, take another model, "
            "or set LLM_EXTRA_BODY so that it does not think."
        )
