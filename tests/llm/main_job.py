"""The main job: conversations are added, by one service with one prompt, and counted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests import metrics
from tests.llm.conversations import Conversation, found, in_language
from tests.service import Service

COLUMNS = (
    "prompt",
    "usable answers",
    "facts found",
    "en",
    "es",
    "zh",
    "language kept",
    "of chit-chat",
    "prompt tokens an add",
    "s an add",
    "longest",
)


@dataclass(frozen=True)
class Outcome:
    """What came of one add."""

    conversation: Conversation
    status: int
    memories: Sequence[str]
    calls: int
    """Of the LLM."""
    prompt_tokens: int
    """Of all these calls, as the model's server counts them."""
    seconds: float

    @property
    def usable(self) -> bool:
        return self.status in (200, 201)

    @property
    def facts(self) -> int:
        return sum(found(fact, self.memories) for fact in self.conversation.facts)

    @property
    def in_language(self) -> int:
        return sum(in_language(memory, self.conversation.language) for memory in self.memories)


class MainJob:
    """Adds each conversation once, when it is first asked for.

    All of a language are one user's, each in a run of its own, as the sessions of a chat.
    """

    def __init__(self, name: str, service: Service, conversations: Sequence[Conversation]) -> None:
        """`name` is the prompt's."""
        self.name = name
        self.service = service
        self.conversations = conversations
        self._outcomes: dict[str, Outcome] = {}

    def outcome(self, conversation: Conversation) -> Outcome:
        if conversation.name not in self._outcomes:
            self._outcomes[conversation.name] = self._add(conversation)
        return self._outcomes[conversation.name]

    def outcomes(self) -> list[Outcome]:
        return [self.outcome(conversation) for conversation in self.conversations]

    def so_far(self) -> list[Outcome]:
        return [*self._outcomes.values()]

    def missed(self) -> list[str]:
        """A line for each conversation with facts that were not found."""
        missed = [
            (one.conversation.name, fact)
            for one in self.so_far()
            for fact in one.conversation.facts
            if not found(fact, one.memories)
        ]
        return [f"{self.name} missed in {name}: {' and '.join(fact)}" for name, fact in missed]

    def _add(self, conversation: Conversation) -> Outcome:
        calls, tokens = self._counted()
        started = time.monotonic()
        response = self.service.post(
            "add",
            {
                "messages": conversation.turns(),
                "user_id": user(conversation),
                "run_id": conversation.name,
            },
            timeout=None,  # the service's own limit holds
        )
        seconds = time.monotonic() - started
        calls_after, tokens_after = self._counted()
        stored = response.json().get("results", [])
        return Outcome(
            conversation,
            response.status_code,
            [memory["memory"] for memory in stored],
            calls_after - calls,
            tokens_after - tokens,
            seconds,
        )

    def _counted(self) -> tuple[int, int]:
        """Calls of the LLM so far, and what it read."""
        calls = metrics.value(self.service, "model_call_duration_seconds_count", kind="llm")
        tokens = metrics.value(self.service, "model_tokens_total", kind="llm", direction="input")
        return int(calls), int(tokens)


def user(conversation: Conversation) -> str:
    return f"user-{conversation.language}"


def table(jobs: Sequence[MainJob]) -> str:
    rows = [COLUMNS, *(_row(job.name, job.so_far()) for job in jobs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _row(name: str, outcomes: Sequence[Outcome]) -> Sequence[str]:
    def facts(language: str = "") -> str:
        some = [one for one in outcomes if language in ("", one.conversation.language)]
        told = sum(len(one.conversation.facts) for one in some)
        return f"{sum(one.facts for one in some)} of {told}"

    small_talk = [len(one.memories) for one in outcomes if not one.conversation.facts]
    tokens = [one.prompt_tokens for one in outcomes]
    seconds = [one.seconds for one in outcomes]
    memories = sum(len(one.memories) for one in outcomes)
    return (
        name,
        f"{sum(one.usable for one in outcomes)} of {len(outcomes)}",
        facts(),
        *(facts(language) for language in ("en", "es", "zh")),
        f"{sum(one.in_language for one in outcomes)} of {memories}",
        f"{sum(small_talk)} memories of {len(small_talk)}",
        f"{min(tokens)} to {max(tokens)}, median {median(tokens):.0f}",
        f"{median(seconds):.1f}",
        f"{max(seconds):.1f}",
    )
