"""Prepares texts in scripts with several spellings, or without spaces, to be cut into words.

First, variants of a character become one: traditional, simplified and Japanese characters, the
German sharp s, letters with a stroke, the forms of the Arabic alif. Prefixes of the Arabic article
are removed. Second, Chinese, Japanese and Korean become pairs of characters: a dictionary would cut
the same characters differently in different texts, and Korean appends particles to words. On XQuAD
in Chinese the pairs find more than a dictionary, see benchmarks/README.md.
"""

import re
import unicodedata
from collections import Counter
from pathlib import Path

HAN_FILE = Path(__file__).with_name("han.txt")
"""Made by tools/words/han.py."""

_HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff"
_KANA = "\u3041-\u3096\u30a1-\u30fa\u30fc"
_HANGUL = "\uac00-\ud7a3"
_RUN = re.compile(f"[{_HAN}{_KANA}]+|[{_HANGUL}]+")
_HAN_ALONE = re.compile(f"[{_HAN}]")
_PARTICLES = frozenset("은는이가을를의에도만로와과랑")
"""Korean particles of one syllable. A syllable before such a particle is a word of its own."""

_COMPATIBLE = re.compile("[\u1100-\u11ff\u2460-\u24ff\u3200-\u33ff\uf900-\ufaff\uff10-\uffdc]")
"""Compatibility characters for old encodings, such as half-width kana, numbers in circles, words in
one square, and parts of Korean syllables."""
_PICTURE = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")
"""Emoji. Each is a word; a tokenizer would drop it, with the word that it is joined to."""

_EUROPEAN = {"ß": "ss", "ẞ": "ss", "ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d"}
_EUROPEAN |= {"ı": "i", "ё": "е", "Ё": "Е"}
# Forms of alif, yeh, teh marbuta and kaf, including Persian ones; the stroke that stretches words.
_ARABIC_FORMS = {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ة": "ه"}
_ARABIC_FORMS |= {"ک": "ك", "ـ": ""}
_VOWEL_SIGNS = dict.fromkeys(map(chr, range(0x64B, 0x653)), "")  # seldom written
_HAN_FORMS = {line[0]: line[1] for line in HAN_FILE.read_text("utf-8").splitlines()}
# What nobody sees: blanks that do not break a line, and marks within a word.
_UNSEEN = dict.fromkeys("\u00a0\u2007\u202f\u200b", " ")
_UNSEEN |= dict.fromkeys("\u00ad\u200d\u2060\ufe0e\ufe0f\ufeff", "")
_HYPHENS = {"\u2010": "-", "\u2011": "-"}
_DOTS_BELOW = dict.fromkeys("\u093c\u09bc", "")  # in Hindi and Bengali they are often left out
_ZEROS = (
    *(0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66),
    *(0xE50, 0xED0, 0xF20, 0x1040, 0x17E0, 0x1810),
)
_DIGITS = {chr(zero + digit): str(digit) for zero in _ZEROS for digit in range(10)}
_ALIKE = (
    *(_HAN_FORMS, _EUROPEAN, _ARABIC_FORMS, _VOWEL_SIGNS, _UNSEEN, _HYPHENS, _DOTS_BELOW, _DIGITS),
)
_FORMS: dict[int, str] = {ord(one): other for forms in _ALIKE for one, other in forms.items()}

_ARABIC = "[\u0621-\u064a]"
_ARTICLE = re.compile(f"(?<!{_ARABIC})(?:[وف]?[بك]?ال|[وف]?لل)(?={_ARABIC}{{3}})")
"""An article with a conjunction and a preposition before it, followed by three letters."""
_PLAIN_ARTICLE = "ال"  # the tokenizer splits it off as a word


def unified(text: str) -> str:
    """`text` with one variant of each character that has several. ASCII is returned as it is."""
    if text.isascii():
        return text
    text = _COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    text = unicodedata.normalize("NFC", text).translate(_FORMS)
    text = _PICTURE.sub(r" \g<0> ", text)
    return _ARTICLE.sub(_PLAIN_ARTICLE, text)


def split(text: str) -> tuple[str, list[str]]:
    """A unified text without its runs of Chinese, Japanese and Korean, and these runs."""
    if text.isascii():
        return text, []
    return _RUN.sub(" ", text), _RUN.findall(text)


def pictures(text: str) -> list[str]:
    """A word for each emoji of a unified text."""
    return [] if text.isascii() else [f"U{ord(one):X}" for one in _PICTURE.findall(text)]


def asked(runs: list[str]) -> set[str]:
    """The pairs of characters that a query searches; a single character where it stands alone."""
    return {pair for run in runs for pair in _pairs(run) or [run]}


def written(runs: list[str]) -> Counter[str]:
    """The pairs of characters in a memory, and the characters that a query may search alone."""
    found: Counter[str] = Counter()
    for run in runs:
        found.update(_pairs(run))
        found.update(_words_of_one(run))
    return found


def _pairs(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(len(run) - 1)]


def _words_of_one(run: str) -> list[str]:
    if "\uac00" <= run[0] <= "\ud7a3":
        is_word = len(run) == 1 or (len(run) == 2 and run[1] in _PARTICLES)
        return [run[0]] if is_word else []
    return [run] if len(run) == 1 else _HAN_ALONE.findall(run)
