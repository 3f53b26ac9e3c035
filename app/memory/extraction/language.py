"""A line for the prompt that asks, in the language of the messages, for memories in that language.

Models answer in the language of the last text that they read. Without this line a small model wrote
6 of 7 memories of Chinese conversations in English; with it, it wrote them in Chinese.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

ANY = "(Write each memory in the language of the message it comes from; do not translate.)"

# For a script that several languages share, the line is in one of them and asks for the language
# of the message.
LINES = {
    "CJK": "（新消息是中文：每条记忆都用中文写，不要翻译。）",
    "KANA": "（新しいメッセージは日本語です。記憶はすべて日本語で書き、翻訳しないでください。）",
    "HANGUL": "(새 메시지는 한국어입니다. 모든 기억을 한국어로 쓰고 번역하지 마세요.)",
    "CYRILLIC": "(Пиши каждое воспоминание на языке его сообщения; не переводи.)",
    "ARABIC": "(اكتب كل ذكرى بلغة الرسالة التي جاءت منها، ولا تترجم.)",
    "DEVANAGARI": "(हर स्मृति उसी भाषा में लिखो जिसमें संदेश है; अनुवाद मत करो।)",
    "THAI": "(ข้อความใหม่เป็นภาษาไทย เขียนความจำทุกข้อเป็นภาษาไทย ห้ามแปล)",
    "HEBREW": "(ההודעות החדשות בעברית: כתוב כל זיכרון בעברית, בלי לתרגם.)",
    "GREEK": "(Τα νέα μηνύματα είναι στα ελληνικά: γράψε κάθε ανάμνηση στα ελληνικά.)",
}

_KANA = ("HIRAGANA", "KATAKANA")
_WIDE = ("CJK", "HANGUL", *_KANA)
_NO_WORDS = re.compile(r"https?://\S+|\S+@\S+|`[^`]*`")


def language_line(messages: Sequence[Mapping[str, str]]) -> str:
    """The line for a prompt about `messages`."""
    by_user = [message["content"] for message in messages if message.get("role") == "user"]
    texts = by_user or [message["content"] for message in messages]
    scripts = {found for text in texts if (found := script(text))}
    return LINES.get(scripts.pop(), ANY) if len(scripts) == 1 else ANY


def script(text: str) -> str | None:
    """The script of most letters of `text`, by its Unicode name (KANA for Japanese); None where it
    has no letters."""
    letters = Counter(_scripts(_NO_WORDS.sub(" ", text)))
    for name in _WIDE:
        letters[name] *= 2  # one such character says as much as two or three letters
    kana = sum(letters[name] for name in _KANA)
    if kana * 10 > letters["CJK"] and kana:
        letters["KANA"] = kana + letters.pop("CJK")
    name, number = max(letters.items(), key=lambda item: item[1])
    return name if number else None


def _scripts(text: str) -> Iterable[str]:
    for character in text:
        if character.isalpha():
            yield unicodedata.name(character, "UNKNOWN").split()[0].split("-")[0]
