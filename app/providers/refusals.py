"""Reads the errors that a model's service answers, whatever their form is."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

MAX_WORDS = 4000  # characters of an error that are searched
# Fields in which services quote the request: a user's text must not be taken for an error.
_QUOTED = {"input", "inputs", "prompt", "messages", "content", "request", "body", "ctx"}
_QUOTED |= {"failed_generation"}  # Groq's, of the model's answer

# OpenAI and most others; FastAPI; SiliconFlow, Zhipu; Baidu; MiniMax.
_OF_ERRORS = ("error", "errors", "detail", "code", "message", "error_code", "base_resp")
_LABELS = ("code", "type", "param", "status", "reason", "error_code", "status_code")
# Compound words such as invalid_request_error, InvalidParameter, input[0]. No key, sentence or
# person's name looks like that.
_COMPOUND = re.compile(
    r"[A-Za-z]+(_[A-Za-z0-9]+)+|([A-Z][a-z]+){2,}|[A-Za-z_]+([.\[](\d{1,4}|[A-Za-z_]+)\]?)+"
)
_WORDS = {"model", "input", "messages", "prompt", "stream", "temperature", "dimensions"} | {
    "arrearage",
    "validation",
}
MAX_LABEL = 48


class Refusal(NamedTuple):
    """An error of a service, whatever its status and the form of its body."""

    status: int
    """The status of HTTP, or the one in the body of a 200."""
    words: str
    """Its whole text, as lines of `name: value` where it is JSON. It may quote a key or a user's
    text, so it may be searched but never shown."""
    labels: Mapping[str, str]
    """Its `code`, `type`, `param` and so on, where they are identifiers. They may be shown."""
    headers: Mapping[str, str]
    is_page: bool
    """Whether it is an HTML page, and so not from a model's service."""

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], text: str) -> Self:
        """Read a refusal from a whole answer."""
        page = text.lstrip()[:15].lower().startswith(("<!doctype html", "<html"))
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        errors = [*_errors(body)]
        labels = {name: label for error in reversed(errors) for name, label in _labels(error)}
        words = "\n".join(_said(body)) or text
        return cls(_status(status, errors), words[:MAX_WORDS], labels, headers, page)

    def shown(self) -> str:
        """The part that may be shown in errors and in the log: `400, code: x, param: y`."""
        named = (f"{name}: {label}" for name, label in self.labels.items())
        return ", ".join([str(self.status), *named])


class Refused(Exception):
    """A service answered an error that its library takes for a normal answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.shown())
        self.refusal = refusal
        self.status_code = refusal.status


def answer_of(
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    parse: Callable[[bytes], Any] = json.loads,
) -> Any:
    """An answer with a status of success, as `parse` reads it. Raises Refused where it is an error,
    as of some gateways, or an HTML page; ValueError where it cannot be read."""
    try:
        answer = parse(content)
    except ValueError:
        refusal = Refusal.read(status, headers, content.decode(errors="replace"))
        if refusal.is_page:
            raise Refused(refusal) from None
        raise
    if _is_error(answer):
        raise Refused(Refusal.read(status, headers, json.dumps(answer)))
    return answer


def _is_error(answer: Any) -> bool:
    """Whether `answer` has fields of errors, and none of a normal answer."""
    if not isinstance(answer, dict):
        return False
    if any(answer.get(name) for name in ("choices", "data", "embeddings", "models")):
        return False
    if isinstance(answer.get("message"), dict):  # Ollama's chat
        return False
    return any(answer.get(name) for name in _OF_ERRORS)


def _errors(body: Any) -> Iterator[Mapping[str, Any]]:
    """The objects that may have labels, the outermost first."""
    if isinstance(body, list):  # Gemini's
        body = body[0] if body else None
    if not isinstance(body, dict):
        return
    yield body
    for name in (
        "error",
        "errors",
        "message",
        "detail",
        "details",
        "innererror",
        "metadata",
        "base_resp",
    ):
        yield from _errors(body.get(name))


def _said(value: Any, name: str = "") -> Iterator[str]:
    """All texts and numbers in `value`, each with its name, except quoted ones."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _QUOTED:
                yield from _said(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _said(inner, name)
    elif isinstance(value, str | int):
        yield f"{name}: {value}"


def _labels(error: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _LABELS:
        value = error.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6:
            yield name, str(value)
        elif isinstance(value, str) and len(value) <= MAX_LABEL and _is_label(value):
            yield name, value


def _is_label(value: str) -> bool:
    return value.lower() in _WORDS or bool(_COMPOUND.fullmatch(value))


def _status(status: int, errors: list[Mapping[str, Any]]) -> int:
    """`status`; where it is a success, the status of an error in the body, if there is one."""
    if status >= 300:
        return status
    for error in errors:
        for name in ("code", "status"):
            code = str(error.get(name))
            if re.fullmatch(r"[45]\d\d", code):
                return int(code)
    return status
