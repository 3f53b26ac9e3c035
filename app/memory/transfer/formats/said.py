"""Makes records of conversations, with messages no longer than this service takes."""

from collections.abc import Iterator, Sequence
from typing import Any

from app.memory.fields import MAX_TEXT
from app.memory.transfer.formats.values import run_id_of, time_or_none
from app.memory.transfer.models import MAX_TITLE
from app.memory.transfer.records import ImportedConversation, ImportedMessage


def conversation(
    line: int, messages: Sequence[ImportedMessage], own_id: Any, name: Any, began: Any
) -> ImportedConversation:
    """A conversation with a run_id of its own. `own_id`, `name` and the time when it `began` are
    given as in the file."""
    shown = title(name)
    return ImportedConversation(
        line=line,
        messages=messages,
        scope={"run_id": run_id_of(own_id, shown, began)},
        id=title(own_id),
        title=shown,
        timestamp=time_or_none(began),
    )


def messages(role: str, text: str, time: str | None) -> Iterator[ImportedMessage]:
    """One message, or several for a text of more than MAX_TEXT characters."""
    for piece in _pieces(whole(text)):
        if piece.strip():
            yield ImportedMessage(role, piece, time=time)


def title(given: Any) -> str | None:
    """`given`, the name or id of a conversation, cut to MAX_TITLE; None where it is no text."""
    return whole(given)[:MAX_TITLE] or None if isinstance(given, str) else None


def whole(text: str) -> str:
    """`text` without half surrogate pairs, which remain where a text was cut within an emoji."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pieces(text: str) -> Iterator[str]:
    """`text` in pieces of at most MAX_TEXT, cut after a line, or else after a word."""
    while len(text) > MAX_TEXT:
        half, whole = MAX_TEXT // 2, MAX_TEXT
        end = max(text.rfind("\n", half, whole), 0) or max(text.rfind(" ", half, whole), 0)
        cut = end + 1 if end else MAX_TEXT
        yield text[:cut]
        text = text[cut:]
    yield text
