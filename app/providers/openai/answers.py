"""What /chat/completions answers, in the shapes that services give."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from app.providers.chat import ChatAnswer
from app.providers.refusals import Refusal, Refused

_STREAM = (b"data:", b"event:", b":")  # how the lines of a stream begin; no JSON does
_THOUGHTS = ("reasoning_content", "reasoning")


def parsed(content: bytes) -> Any:
    """The JSON of an answer, also where it came as a stream. Raises ValueError."""
    if content.lstrip().startswith(_STREAM):
        return _joined(_events(content))
    return json.loads(content)


def spoken(answer: Any) -> ChatAnswer:
    """Raises Refused where a filter took the answer away; LookupError, TypeError, AttributeError
    or ValueError for what is no answer."""
    choice = answer["choices"][0]
    message = choice["message"]
    end = choice.get("finish_reason")
    cut = end in ("length", "max_tokens")
    text = _text(message.get("content"))
    if not text.strip() and end == "content_filter":
        raise Refused(Refusal(200, "finish_reason: content_filter", {}, {}, is_page=False))
    if not text.strip() and not cut:
        text = _elsewhere(message)
    return ChatAnswer(text, cut)


def _elsewhere(message: dict[str, Any]) -> str:
    """Some servers take a whole answer for thoughts, some models for the call of a tool."""
    calls = message.get("tool_calls") or [{}]
    places = [*(message.get(name) for name in _THOUGHTS), calls[0].get("function")]
    for place in places:
        if isinstance(place, dict):
            place = place.get("arguments")
        if text := _text(place):
            return text
    return ""


def _text(content: Any) -> str:
    """A text, parts of which some are texts, or an object that was parsed already."""
    match content:
        case None:
            return ""
        case str():
            return content
        case dict():
            return json.dumps(content)
        case list():
            texts = (part.get("text") if isinstance(part, dict) else part for part in content)
            return "".join(text for text in texts if isinstance(text, str))
    raise ValueError("the content is not a text")


def _events(content: bytes) -> Iterator[Any]:
    for line in content.decode().splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data != "[DONE]":
            yield json.loads(data)


def _joined(events: Iterable[Any]) -> dict[str, Any]:
    """The answer that these pieces are, or the error among them."""
    message = dict.fromkeys(("content", *_THOUGHTS), "")
    whole: dict[str, Any] = {"choices": [{"message": message, "finish_reason": None}]}
    for event in events:
        if event.get("error"):
            return {"error": event["error"]}
        whole["usage"] = event.get("usage") or whole.get("usage")
        for choice in event.get("choices") or []:
            piece = choice.get("delta") or choice.get("message") or {}
            for name in message:
                message[name] += _text(piece.get(name))
            whole["choices"][0]["finish_reason"] = choice.get("finish_reason")
    return whole
