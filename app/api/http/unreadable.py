"""Explains why a body is not JSON: where, and what to do. The body is never quoted."""

import codecs
import json

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
BOM = codecs.BOM_UTF8
"""Some clients on Windows send it first; RFC 8259, section 8.1, lets a reader ignore it."""

_QUOTES = "'\u2018\u2019\u201c\u201d\u00ab\u00bb\u300c\u300d\uff02"
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
    here, before = error.doc[error.pos : error.pos + 1], error.doc[: error.pos].rstrip()[-1:]
    if not here:
        return "it ends too early; a text, a list or an object in it is not closed"
    if here in _QUOTES:
        return 'names and texts stand in straight double quotation marks, "'
    if here in "}]" and before == ",":
        return "no comma may stand before the end of a list or an object"
    known = (reason for begins, reason in _REASONS.items() if error.msg.startswith(begins))
    return next(known, "there is no value here; a template may not have been filled in")


def not_utf_8(raw: bytes, error: UnicodeDecodeError) -> str:
    """Says where `raw` is not UTF-8, and which encoding it seems to have."""
    if raw.startswith(UTF_16) or raw[1:2] == b"\0" or raw[:1] == b"\0":
        return "The body is in UTF-16: send it in UTF-8."
    line = raw.count(b"\n", 0, error.start) + 1
    column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
    return (
        f"The body is not UTF-8: line {line}, byte {column} of it. It seems to be in {_like(raw)}: "
        "send it in UTF-8."
    )


def _like(raw: bytes) -> str:
    """The encoding that `raw` seems to have. In GBK a character has two bytes, the first of them
    above 0x80; text in Latin-1 is seldom valid GBK."""
    try:
        text = raw.decode("gbk")
    except UnicodeDecodeError:
        return "Latin-1 (Windows-1252)"
    wide = sum("\u4e00" <= character <= "\u9fff" for character in text)
    return "GBK" if wide else "another encoding"
