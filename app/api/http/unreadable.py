"""Explains why a body is not JSON: where, and what to do. The body is never quoted."""

import codecs
import json
import unicodedata

from app.api.http.encodings import is_compressed, seems_to_be

BOM = codecs.BOM_UTF8
"""The byte order mark. Some clients on Windows send it first; RFC 8259, section 8.1, lets a reader
ignore it."""

_QUOTES = "'\u2018\u2019\u201c\u201d\u00ab\u00bb\u300c\u300d\uff02"
_WIDE = "：，｛｝［］"
_BEGINNINGS = {
    ("//", "/*", "#"): "JSON has no comments",
    ("True", "False", "None", "undefined", "TRUE", "FALSE", "NULL", "nil"): (
        "true, false and null are written so, in small letters"
    ),
}
_FILLED = "a template may not have been filled in"
_AFTER_A_TEXT = (
    'a comma or an end is missing; a quotation mark inside a text has to be escaped as \\"'
)
_REASONS = {
    "Invalid control character": (
        "a line break, a tab or another control character in a text has to be escaped as \\n"
    ),
    "Invalid \\": "a backslash in a text has to be escaped as \\\\",
    "Unterminated string": "the text that begins here is not closed",
    "Expecting ',' delimiter": _AFTER_A_TEXT,
    "Expecting ':' delimiter": _AFTER_A_TEXT,
    "Extra data": "it goes on after its end",
    "Expecting property name": "the name of a field stands in double quotation marks",
}
"""Explanations by the beginning of the message of Python's decoder."""


def not_json(error: json.JSONDecodeError) -> str:
    place = f"line {error.lineno}, column {error.colno} (character {error.pos})"
    return f"The body is not JSON: {place}: {_reason(error)}."


def _reason(error: json.JSONDecodeError) -> str:
    by_message = (why for begins, why in _REASONS.items() if error.msg.startswith(begins))
    return _of_place(error.doc, error.pos) or next(by_message, f"there is no value here; {_FILLED}")


def _of_place(text: str, place: int) -> str | None:
    """A reason from the characters at `place`, where they say more than the decoder's message."""
    here, before = text[place : place + 1], text[:place].rstrip()[-1:]
    by_character = {
        "": "it ends too early; a text, a list or an object in it is not closed",
        **dict.fromkeys(_WIDE, "its punctuation is that of ASCII, such as : and ,"),
        **dict.fromkeys(_QUOTES, 'names and texts stand in straight double quotation marks, "'),
    }
    if here in by_character:
        return by_character[here]
    if here not in " \t\r\n" and unicodedata.category(here) in ("Zs", "Cf", "Cc"):
        return f"an unseen character stands here, U+{ord(here):04X}: take it away"
    if here in "}]" and before == ",":
        return "no comma may stand before the end of a list or an object"
    found = (why for begins, why in _BEGINNINGS.items() if text.startswith(begins, place))
    return _FILLED if here == before == "{" else next(found, None)


def not_utf_8(raw: bytes, error: UnicodeDecodeError) -> str:
    """Says where `raw` is not UTF-8, and which encoding it seems to have."""
    if is_compressed(raw):
        return "The body is compressed: send it as it is."
    if (encoding := seems_to_be(raw)).startswith("UTF"):
        return f"The body is in {encoding}: send it in UTF-8."
    line = raw.count(b"\n", 0, error.start) + 1
    column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
    return (
        f"The body is not UTF-8: line {line}, byte {column} of it. It seems to be in {encoding}: "
        "send it in UTF-8."
    )


def no_object(value: object) -> str:
    """Explains that `value`, which is no JSON object, cannot be the body of a request."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return "The body is JSON within a JSON text: it was encoded twice."
    return f"The body must be a JSON object, and is {_KINDS[type(value)]}."


_KINDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
_KINDS |= {int: "a number", float: "a number"}
