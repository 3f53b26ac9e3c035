"""Messages of conversations, none longer than this service takes."""

from collections.abc import Iterator
from typing import Any

from app.memory.fields import MAX_TEXT
from app.memory.transfer.models import MAX_TITLE
from app.memory.transfer.records import ImportedMessage


def messages(role: str, text: str, time: str | None) -> Iterator[ImportedMessage]:
    """One message, or several for a text of more than MAX_TEXT characters."""
    for piece in _pieces(whole(text)):
        if piece.strip():
            yield ImportedMessage(role, piece, time=time)


def title(given: Any) -> str | None:
    """A name or id of a conversation, cut to what this service takes; None for one without any."""
    return whole(given)[:MAX_TITLE] or None if isinstance(given, str) else None


def whole(text: str) -> str:
    """Without halves of surrogate pairs, which are left of an emoji where a text was cut."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pieces(text: str) -> Iterator[str]:
    """Cut behind a line, or else behind a word."""
    while len(text) > MAX_TEXT:
        half, whole = MAX_TEXT // 2, MAX_TEXT
        end = max(text.rfind("\n", half, whole), 0) or max(text.rfind(" ", half, whole), 0)
        cut = end + 1 if end else MAX_TEXT
        yield text[:cut]
        text = text[cut:]
    yield text
