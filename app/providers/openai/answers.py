"""Reads the answers of /chat/completions, in the shapes that services use."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from app.providers.chat import ChatAnswer
from app.providers.refusals import Refusal, Refused

_STREAM = (b"data:", b"event:", b":")  # the beginnings of a stream; JSON does not begin so
_CUT = ("length", "max_tokens", "model_length")  # the last is Mistral's
_FILTERED = ("content_filter", "sensitive", "safety", "prohibited", "blocklist", "recitation")
"""How a `finish_reason` begins: OpenAI's, Zhipu's, Gemini's through gateways."""
_THOUGHTS = ("reasoning_content", "reasoning")


def parsed(content: bytes) -> Any:
    """The JSON of an answer, which may also be a stream of events. Raises ValueError."""
    if content.lstrip().startswith(_STREAM):
        return _joined(_events(content))
    return json.loads(content)


def spoken(answer: Any) -> ChatAnswer:
    """The text of an answer. Raises Refused where a content filter removed it; LookupError,
    TypeError, AttributeError or ValueError where it is no answer."""
    choice = answer["choices"][0]
    message = choice["message"]
    if choice.get("error"):  # OpenRouter's, of a provider that failed midway
        raise Refused(Refusal.read(200, {}, json.dumps({"error": choice["error"]})))
    end = str(choice.get("finish_reason")).lower()
    cut = end in _CUT
    text = _text(message.get("content"))
    if not text.strip() and (end.startswith(_FILTERED) or message.get("refusal")):
        raise Refused(Refusal(200, "finish_reason: content_filter", {}, {}, is_page=False))
    if not text.strip() and not cut:
        text = _elsewhere(message)
    return ChatAnswer(text, cut)


def _elsewhere(message: dict[str, Any]) -> str:
    """The text from another place: some servers put whole answers into the thoughts, and some
    models into a tool call."""
    calls = message.get("tool_calls") or [{}]
    calls = [*calls, {"function": message.get("function_call")}]  # as OpenAI had it once
    places = [*(message.get(name) for name in _THOUGHTS), *(one.get("function") for one in calls)]
    for place in places:
        if isinstance(place, dict):
            place = place.get("arguments")
        if text := _text(place):
            return text
    return ""


def _text(content: Any) -> str:
    """The text of a content, which may be a text, a list of parts, or a parsed object."""
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
    for line in content.decode().split("\n"):  # a text may have other ends of lines
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data != "[DONE]":
            yield json.loads(data)


def _joined(events: Iterable[Any]) -> dict[str, Any]:
    """The answer that the events make up, or the error among them."""
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
            end = choice.get("finish_reason") or whole["choices"][0]["finish_reason"]
            whole["choices"][0]["finish_reason"] = end
    return whole
