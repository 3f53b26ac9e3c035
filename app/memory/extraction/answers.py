"""Reads the facts in an LLM's answer.

Small models, reasoning models and gateways often return almost the JSON that was asked for.
Everything that can be read without guessing is read, and bad items do not discard good ones.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import json_repair

MAX_MEMORY = 100_000  # characters of one memory, the same limit as in requests
MAX_MENDED = 20_000  # characters of an answer that is repaired: at worst it takes 3 s
MAX_WRAPPERS = 3  # objects around the list: {"result": {"memory": [...]}}

Fact = dict[str, str]
"""`text`, and `attributed_to` where the LLM gave it."""

_LISTS = ("memory", "memories", "facts", "fact")
_TEXTS = ("text", "memory", "fact", "content")
_THOUGHTS_END = re.compile(r".*(</think(ing)?>|</thoughts?>|</reasoning>|<\|message\|>)", re.DOTALL)
_THOUGHTS_BEGIN = re.compile(r"\s*<(think(ing)?|thoughts?|reasoning)>")
_START = re.compile(r"[\[{]")
_BROKEN = re.compile(r"""[\[{]\s*["'“{\[]""")  # a start of JSON, and no brace in plain text
_DECODER = json.JSONDecoder(strict=False)


class Unreadable(ValueError):
    """The answer has no facts that can be read; the text says why, for the model."""


class Reading(NamedTuple):
    facts: list[Fact]
    whole: bool
    """Whether these are all facts of the answer; False where it was cut off."""


def read(text: str, *, cut: bool = False) -> Reading:
    """The facts of an answer. `cut`: it is known to be cut off. Raises Unreadable."""
    thoughts = _THOUGHTS_END.match(text)
    spoken = text[thoughts.end() :] if thoughts else text
    if _THOUGHTS_BEGIN.match(spoken):
        raise Unreadable("it is thoughts alone")
    try:
        return _read(spoken, cut)
    except Unreadable:
        if spoken == text:
            raise
    return _read(text, cut)  # the answer was among the thoughts


def _read(text: str, cut: bool) -> Reading:
    try:
        values, broken = _values(text)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    items = [item for value in values for item in _items(value) or []]
    if not broken and any(_items(value) is not None for value in values):
        return Reading(_facts(items), whole=True)
    cut = cut or _unfinished(text)
    mended = _items(_mended(text))
    if mended is None and not items:
        raise Unreadable("there is no list under memory" if values else "it holds no JSON")
    # Of a cut answer the last item may be cut, too.
    items = [*(mended or [])[: -1 if cut else None], *items]
    return Reading(_facts(items, empty=cut), whole=not cut)


def _values(text: str) -> tuple[list[Any], bool]:
    """All outermost JSON values in `text`, and whether there is also broken JSON in it."""
    if isinstance(whole := _loaded(text), str):
        text = whole  # JSON within a JSON text
    elif whole is not None:
        return [whole], False
    values: list[Any] = []
    broken = False
    start = _START.search(text)
    while start:
        end = start.end()
        try:
            value, end = _DECODER.raw_decode(text, start.start())
            values.append(value)
        except ValueError:
            broken = broken or bool(_BROKEN.match(text, start.start()))
        start = _START.search(text, end)
    return values, broken


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return None


def _mended(text: str) -> Any:
    """`text` as JSON, after a repair of trailing commas, single quotes, Python's literals and
    missing brackets; None where that is not possible."""
    if len(text) > MAX_MENDED:
        return None
    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError):
        return None


def _unfinished(text: str) -> bool:
    """Whether the last bracket is an opening one."""
    opened, closed = (max(map(text.rfind, pair)) for pair in ("{[", "}]"))
    return opened > closed


def _items(value: Any, depth: int = 0) -> list[Any] | None:
    """The items of `value`: [] where there is nothing to remember, None where it is no answer."""
    match value:
        case list():
            return [item for element in value for item in _element(element)]
        case dict() if not value:
            return []
        case dict() if name := next((name for name in _LISTS if name in value), None):
            return _under(value[name])
        case dict() if _text(value) is not None:
            return [value]
        case dict() if len(value) == 1 and depth < MAX_WRAPPERS:
            return _items(next(iter(value.values())), depth + 1)
    return None


def _element(value: Any) -> list[Any]:
    """The items of an element of a list, which is one item, or a whole answer with several."""
    answer = isinstance(value, dict) and _text(value) is None and _items(value)
    return answer or [value]


def _under(value: Any) -> list[Any] | None:
    """The items in the value of "memory"."""
    match value:
        case list():
            return value
        case None | "":
            return []
        case str():
            inner = _loaded(value)  # a text, or JSON in a text
            return _items(inner) if isinstance(inner, list | dict) else [value]
        case dict() if _text(value) is not None:
            return [value]
        case dict() if value and all(key.isdecimal() for key in value):
            return [*value.values()]  # by their numbers
    return None


def _text(item: Any) -> str | None:
    if isinstance(item, dict):
        if "role" in item:
            return None  # a message of the conversation, repeated
        item = next((item[name] for name in _TEXTS if isinstance(item.get(name), str)), None)
    return item if isinstance(item, str) else None


def _facts(items: Iterable[Any], *, empty: bool = False) -> list[Fact]:
    """The facts of `items`, without doubles. Raises Unreadable where no item is usable, unless
    `empty` is allowed."""
    facts: dict[str, Fact] = {}
    wrong = 0
    for item in items:
        text = _text(item)
        if text is None or len(text) > MAX_MEMORY or not _storable(text):
            wrong += 1
        elif any(character.isalnum() for character in text):  # not a placeholder such as "..."
            facts.setdefault(text.strip(), _fact(item, text.strip()))
    if wrong and not facts and not empty:
        raise Unreadable("no memory has a text")
    return list(facts.values())


def _storable(text: str) -> bool:
    """Whether `text` is free of half surrogate pairs, which no store takes."""
    try:
        text.encode()
    except UnicodeError:
        return False
    return True


def _fact(item: Any, text: str) -> Fact:
    who = item.get("attributed_to") if isinstance(item, dict) else None
    return {"text": text, "attributed_to": who} if isinstance(who, str) and who else {"text": text}
