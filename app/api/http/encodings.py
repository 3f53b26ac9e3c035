"""Guesses the encoding of a body that is not UTF-8. The body is never quoted."""

import codecs
import re
from collections.abc import Callable

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, b"{\0\0\0", b"\0\0\0{")
GZIP, ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x9c", b"\x78\xda")
FEW = 0.3  # the share of letters that are not ASCII is less in languages of Western Europe

_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_LETTERS = re.compile(rb"[A-Za-z\x80-\xff]")
_HAN = re.compile("[\u4e00-\u9fff]")
_KANA = re.compile("[\u3041-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
# The usual characters of Chinese, which come first in each encoding.
_USUAL_GBK = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")
_USUAL_BIG5 = re.compile(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]")


def seems_to_be(raw: bytes) -> str:
    """The name of the encoding that `raw` seems to have, or of a group of encodings."""
    if raw.startswith(UTF_32):
        return "UTF-32"
    if raw.startswith(UTF_16) or raw[1:2] == b"\0" or raw[:1] == b"\0":
        return "UTF-16"
    if asian := [name for name, fits in _ASIAN.items() if fits(raw)]:
        return " or ".join(asian)  # a few characters are not enough to tell them apart
    share = len(_NOT_ASCII.findall(raw)) / max(1, len(_LETTERS.findall(raw)))
    return "Latin-1 (Windows-1252)" if share < FEW else "a Windows code page of its language"


def is_compressed(raw: bytes) -> bool:
    """Whether `raw` begins as gzip or zlib data does."""
    return raw.startswith((GZIP, *ZLIB))


def _share(raw: bytes, encoding: str, wanted: re.Pattern[str]) -> float:
    """The share of `wanted` among the characters that are not ASCII; 0 where `raw` cannot be
    decoded."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    return len(wanted.findall(text)) / max(1, sum(character > "\x7f" for character in text))


def _is_chinese(raw: bytes, encoding: str, usual: re.Pattern[bytes]) -> bool:
    """Whether `raw` can be decoded to Chinese, and most characters are usual ones."""
    pairs = len(_NOT_ASCII.findall(raw)) / 2
    return _share(raw, encoding, _HAN) > 0 and len(usual.findall(raw)) > 0.6 * pairs


_ASIAN: dict[str, Callable[[bytes], bool]] = {
    "Shift JIS": lambda raw: _share(raw, "cp932", _KANA) > 0.3,
    "EUC-JP": lambda raw: _share(raw, "euc_jp", _KANA) > 0.3,
    "GBK": lambda raw: _is_chinese(raw, "gbk", _USUAL_GBK),
    "EUC-KR": lambda raw: _share(raw, "cp949", _HANGUL) > 0.9,
    "Big5": lambda raw: _is_chinese(raw, "big5", _USUAL_BIG5),
}
"""Tests for the encodings of East Asia. A text in a European code page can often be decoded by one
of them too, but seldom to letters of the right language."""
