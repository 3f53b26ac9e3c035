"""The prompts for extraction, mem0's and a short one, with the JSON Schemas of their answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Messages = Sequence[Mapping[str, str]]
Schema = Mapping[str, Any]

LEAST_TOKENS = 1500
TOKENS_OF_A_MESSAGE = 100
LEAST_ITEMS = 20
LONGEST_TEXT = 300
"""Characters of a memory with the short prompt, so that a model that loops comes to an end."""

SHORT = """\
You write down what is worth remembering about a user, from a conversation.

Read "New Messages" and write each fact in them as a memory of its own: name, family, friends, \
pets, work, studies, home, origin, health, diet, likes, dislikes, habits, plans, appointments, \
events, and what the assistant recommended or agreed to do. One message often holds several \
facts: write them all, one by one. When in doubt, write it down.

The other sections only help to understand: "Last k Messages" came before, "Existing Memories" \
are known already and are not written again, "Observation Date" is the day of the messages.

- Each memory is one short sentence that is clear by itself, with names in place of pronouns.
- Keep names, numbers, dates, places, reasons and every "not" as they were said. Add nothing.
- "I" in a message of the user is the user.
- "yesterday" or "next month" become dates, counted from the Observation Date.
- Greetings, thanks, questions, sums and general knowledge are no facts about the user.
- Write each memory in the language of its message; do not translate.
- Custom Instructions, where there are any, come first.

Answer with JSON alone: {"memory": [{"text": "...", "attributed_to": "user"}, ...]}
attributed_to is "user" for what the user said, "assistant" for what the assistant did or \
recommended. The list is empty only where there is no fact at all.
"""
"""Keep it below 1,600 characters and free of examples, which small models store. Do not end it with
an empty list: with such a prompt a model of 0.5B found nothing in 3 of 6 conversations, with this
one it found something in all of 5 (2026-11-27)."""

ABOUT_AN_AGENT = """
These memories are an AI agent's own: begin with "Agent", such as what it was told, what it did, \
how it shall behave.
"""


def _answer(item: Schema, items: int) -> Schema:
    memory = {"type": "array", "items": item, "maxItems": items}
    return _object({"memory": memory})


def _object(properties: Schema) -> Schema:
    """The schema of an object with exactly these fields: only then providers enforce a schema."""
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


_WHO = {"type": "string", "enum": ["user", "assistant"]}


def _short_item() -> Schema:
    return _object({"text": {"type": "string", "maxLength": LONGEST_TEXT}, "attributed_to": _WHO})


def _mem0_item() -> Schema:
    """An item as mem0's prompt describes it, without links to other memories: mem0 2.2.1 ignores
    them, and small models write them without end."""
    text = {"type": "string"}
    return _object({"id": text, "text": text, "attributed_to": _WHO})


@dataclass(frozen=True)
class Prompt:
    name: str
    system: str | None
    """The system message; None to keep mem0's."""
    item: Callable[[], Schema]

    def messages(self, by_mem0: Messages, *, of_agent: bool) -> list[dict[str, str]]:
        """`by_mem0`, a system message and a user message, with this prompt's system message."""
        system, user = (dict(message) for message in by_mem0)
        if self.system:
            system["content"] = self.system + (ABOUT_AN_AGENT if of_agent else "")
        return [system, user]

    def schema(self, messages: int) -> Schema:
        """The schema of the answer to so many messages."""
        return _answer(self.item(), max(LEAST_ITEMS, messages))


MEM0_PROMPT = Prompt("mem0", None, _mem0_item)
SHORT_PROMPT = Prompt("short", SHORT, _short_item)


def max_tokens(messages: int) -> int:
    """The limit of tokens for the answer to so many messages."""
    return max(LEAST_TOKENS, TOKENS_OF_A_MESSAGE * messages)
