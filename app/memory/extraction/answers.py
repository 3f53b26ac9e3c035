"""Reads the facts in an LLM's answer.

Small models, reasoning models and gateways often return almost the JSON that was asked for.
Everything that can be read without guessing is read, and bad items do not discard good ones.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import json_repair

from app.memory.extraction.items import is_passed_over, items_of, text_of

MAX_MEMORY = 100_000  # characters of one memory, the same limit as in requests
MAX_MENDED = 20_000  # characters of an answer that is repaired: at worst it takes 3 s

Fact = dict[str, str]
"""`text`, and `attributed_to` where the LLM gave it."""

_THOUGHTS = (
    r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning|reason|reflect(?:ion)?|analysis|scratchpad)"
)
_THOUGHTS_END = re.compile(
    rf".*(</{_THOUGHTS}>|\[/think\]|◁/think▷|<\|message\|>)", re.DOTALL | re.IGNORECASE
)
_THOUGHTS_BEGIN = re.compile(rf"\s*(<{_THOUGHTS}>|\[think\]|◁think▷)", re.IGNORECASE)
_END = re.compile(r"<\|(?:im_end|eot_id|end|endoftext|return|end_of_text)\|>|</s>")
"""The end of an answer, where a chat template lets its mark through: the model went on after it."""
_START = re.compile(r"[\[{]")
_BROKEN = re.compile(r"""[\[{]\s*["'“{\[]""")  # the start of JSON, unlike a brace in plain text
_WIDE = str.maketrans("：，｛｝［］", ":,{}[]")
"""Wide punctuation of Chinese and Japanese keyboards, which stands for JSON's own."""
_TEXT_OR_WIDE = re.compile(r'"(?:[^"\\]|\\.)*"|“[^”]*”|[：，｛｝［］]', re.DOTALL)
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
    answer = text[thoughts.end() :] if thoughts else text
    if _THOUGHTS_BEGIN.match(answer):
        raise Unreadable("it is thoughts alone")
    spoken = _END.split(answer)[0]
    try:
        reading = _read(spoken, cut)
        # What looks like the end of an answer may stand in a memory.
        return reading if reading.whole or spoken == answer else _read(answer, cut)
    except Unreadable:
        if spoken == text:
            raise
    return _read(text, cut)  # the answer was among the thoughts


def _read(text: str, cut: bool) -> Reading:
    try:
        values, broken = _values(text)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    items = [item for value in values for item in items_of(value) or []]
    if not broken and any(items_of(value) is not None for value in values):
        return Reading(_facts(items), whole=True)
    cut = cut or _unfinished(text)
    mended = items_of(_mended(text))
    if mended is None and not items:
        raise Unreadable("there is no list under memory" if values else "it holds no JSON")
    # The last item of a cut answer may be cut, too.
    items = [*(mended or [])[: -1 if cut else None], *items]
    return Reading(_facts(items, empty=cut), whole=not cut)


def _values(text: str) -> tuple[list[Any], bool]:
    """All outermost JSON values in `text`, and whether there is also broken JSON in it."""
    if isinstance(whole := _loaded(text), str):
        text = whole  # JSON within a JSON text
    elif whole is not None:
        return [whole], False
    text = _with_narrow_punctuation(text)
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
        return json_repair.loads(_with_narrow_punctuation(text))
    except (ValueError, RecursionError):
        return None


def _with_narrow_punctuation(text: str) -> str:
    """`text` with JSON's punctuation in place of wide punctuation, but not within quotes."""
    if len(text) > MAX_MENDED:
        return text
    return _TEXT_OR_WIDE.sub(
        lambda found: found[0] if found[0][0] in '"“' else found[0].translate(_WIDE), text
    )


def _unfinished(text: str) -> bool:
    """Whether the last bracket is an opening one."""
    opened, closed = (max(map(text.rfind, pair)) for pair in ("{[", "}]"))
    return opened > closed


def _facts(items: Iterable[Any], *, empty: bool = False) -> list[Fact]:
    """The facts of `items`, without doubles. Raises Unreadable where no item is usable, unless
    `empty` is allowed."""
    facts: dict[str, Fact] = {}
    wrong = 0
    for item in items:
        text = text_of(item)
        if is_passed_over(item):
            continue
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
