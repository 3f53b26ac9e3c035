"""Finds the memories in a JSON value of an LLM, by the names and shapes that models give them."""

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_WRAPPERS = 3  # objects around the list: {"result": {"memory": [...]}}

_LISTS = ("memory", "memories", "facts", "fact", "记忆", "事实")
_TEXTS = (
    *("text", "memory", "fact", "content", "value", "data", "description", "statement"),
    *("summary", "information", "detail", "details", "文本", "内容", "记忆", "事实"),
)
_NUMBERED = re.compile(r"((fact|memory|memories|item)[ _-]?)?\d+", re.IGNORECASE)
_NOTHING = {"none", "null", "nil", "n/a", "nothing", "无", "没有", "なし", "없음"}
_NO_ADDITION = {"NONE", "NOOP", "DELETE"}
"""Values of `event`, from mem0's earlier prompts, of an item that is not to be stored."""


def items_of(value: Any, depth: int = 0) -> list[Any] | None:
    """The items of `value` that stand for memories: [] where there is nothing to remember, None
    where `value` is no answer."""
    match value:
        case list():
            return [item for element in value for item in _element(element)]
        case dict() if not value:
            return []
        case dict():
            return _of_object({str(name).lower(): inner for name, inner in value.items()}, depth)
    return None


def text_of(item: Any) -> str | None:
    """The text of one item; "" where the item says that there is none, None where it has none."""
    for _ in range(2):  # the text may be in an object, and that in another
        if isinstance(item, dict):
            if "role" in item:
                return None  # a message of the conversation, repeated
            known = {str(name).lower(): inner for name, inner in item.items()}
            found = (known[name] for name in _TEXTS if isinstance(known.get(name), str | dict))
            item = next(found, None)
    if not isinstance(item, str):
        return None
    return "" if item.strip(" .").lower() in _NOTHING else item


def is_passed_over(item: Any) -> bool:
    """Whether the item says that it is not to be added."""
    event = item.get("event") if isinstance(item, dict) else None
    return isinstance(event, str) and event.upper() in _NO_ADDITION


def _of_object(value: Mapping[str, Any], depth: int) -> list[Any] | None:
    """The items of an object, whose names are in lower case."""
    if name := next((name for name in _LISTS if name in value), None):
        return _under(value[name])
    if _all_numbered(value):
        return [*value.values()]
    if text_of(value) is not None:
        return [value]
    if depth == MAX_WRAPPERS:
        return None
    if len(value) == 1:
        return items_of(_parsed(next(iter(value.values()))), depth + 1)
    # The memories may be beside a status, or beside the name of a tool.
    inner = [_parsed(one) for one in value.values()]
    found = [items_of(one, depth + 1) for one in inner if isinstance(one, dict) and one]
    return next((items for items in found if items is not None), None)


def _element(value: Any) -> list[Any]:
    """The items of one element of a list: the element is an item, or one of several answers."""
    if not isinstance(value, dict) or text_of(value) is not None:
        return _flat(value)
    return items_of(value) or [value]


def _flat(value: Any) -> list[Any]:
    """The element itself; or its items, where it is a list, or an object with numbers as names."""
    if isinstance(value, dict) and value and _all_numbered(value):
        return [*value.values()]
    return value if isinstance(value, list) else [value]


def _under(value: Any) -> list[Any] | None:
    """The items under a name of _LISTS; None where `value` is no answer."""
    match value:
        case list():
            return [item for element in value for item in _flat(element)]
        case None | "":
            return []
        case str():
            inner = _loaded(value)  # a text, or JSON in a text
            return items_of(inner) if isinstance(inner, list | dict) else [value]
        case dict() if text_of(value) is not None:
            return [value]
        case dict() if value and _all_numbered(value):
            return [*value.values()]
        case dict() if value and all(isinstance(group, list) for group in value.values()):
            return [item for group in value.values() for item in group]  # grouped by subject
    return None


def _all_numbered(value: Mapping[str, Any]) -> bool:
    return all(_NUMBERED.fullmatch(name) for name in value)


def _parsed(value: Any) -> Any:
    """The object or list in `value` where that is JSON in a text, as a tool's arguments are; else
    `value`."""
    inner = _loaded(value) if isinstance(value, str) else None
    return inner if isinstance(inner, list | dict) else value


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return None
