"""The conversations of `conversations.json`, and what can be said of the memories made of them.

Nothing compares texts: a model words them as it likes. A fact is found where its words stand in
one memory, which does not see that a memory says the contrary.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Fact = Sequence[str]
"""Words that stand in one memory; `a|b` is either of two."""

# Words that English sentences are rarely without, and Spanish ones.
_COMMON = {
    "en": re.compile(r"\b(the|is|has|have|and|of|to|in|was|their|his|her|my|with|lives|likes)\b"),
    "es": re.compile(r"\b(el|la|los|las|es|tiene|y|de|en|con|que|se|su|una?|mi|vive|usuari[oa])\b"),
}


@dataclass(frozen=True)
class Question:
    query: str
    answer: str
    """A word of the memory that answers it, as in a fact."""


@dataclass(frozen=True)
class Conversation:
    name: str
    language: str
    """en, es or zh."""
    messages: Sequence[str]
    """By turns the user's and the assistant's."""
    facts: Sequence[Fact]
    questions: Sequence[Question]

    def turns(self) -> list[dict[str, str]]:
        """As `/memory/add` takes them."""
        roles = ("user", "assistant")
        return [{"role": roles[n % 2], "content": text} for n, text in enumerate(self.messages)]


def load() -> list[Conversation]:
    given = json.loads(Path(__file__).with_name("conversations.json").read_text("utf-8"))
    return [
        Conversation(
            one["name"],
            one["language"],
            one["messages"],
            one["facts"],
            [Question(*asked) for asked in one.get("questions", [])],
        )
        for one in given
    ]


def a_few_of_each_language(
    conversations: Sequence[Conversation], number: int
) -> list[Conversation]:
    """The first of each language, then the second of each, and so on: `number` in all."""
    by_language: dict[str, list[Conversation]] = {}
    for one in conversations:
        by_language.setdefault(one.language, []).append(one)
    places = {one.name: n for some in by_language.values() for n, one in enumerate(some)}
    return sorted(conversations, key=lambda one: places[one.name])[:number]


def found(fact: Fact, memories: Iterable[str]) -> bool:
    return any(all(holds(memory, word) for word in fact) for memory in memories)


def holds(memory: str, word: str) -> bool:
    return any(form.casefold() in memory.casefold() for form in word.split("|"))


def in_language(memory: str, language: str) -> bool:
    """Whether it is written in `language`, as far as its letters and commonest words tell."""
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in memory)
    latin = sum(letter.isalpha() for letter in memory) - chinese
    if language == "zh" or chinese * 2 > latin:
        return language == "zh" and chinese * 2 > latin
    counts = {of: len(common.findall(memory.casefold())) for of, common in _COMMON.items()}
    return counts[language] == max(counts.values())
