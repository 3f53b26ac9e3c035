"""The language of memories is said in that language."""

import pytest

from app.memory.extraction.language import ANY, LINES, language_line, script


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("My dog is called Rex.", "LATIN"),
        ("Mój pies wabi się Łatek, żółty", "LATIN"),
        ("我的狗叫旺财", "CJK"),
        ("我在 GitHub 工作", "CJK"),
        ("代码在 https://github.com/someone/something-long 上", "CJK"),
        ("My friend 李伟 lives in Beijing with his family", "LATIN"),
        ('How do I say "你好吗"?', "LATIN"),
        ("私の犬の名前はポチです", "KANA"),
        ("東京タワーが大好き", "KANA"),
        ("제 강아지 이름은 렉스예요", "HANGUL"),
        ("Мою собаку зовут Рекс", "CYRILLIC"),
        ("كلبي اسمه ركس", "ARABIC"),
        ("मेरे कुत्ते का नाम रेक्स है", "DEVANAGARI"),
        ("หมาของฉันชื่อเร็กซ์", "THAI"),
        ("הכלב שלי נקרא רקס", "HEBREW"),
        ("Ο σκύλος μου λέγεται Ρεξ", "GREEK"),
        ("12345 !?", None),
        ("", None),
    ],
)
def test_a_text_is_of_the_script_that_most_of_it_is_in(text: str, found: str | None) -> None:
    assert script(text) == found


@pytest.mark.parametrize("name", LINES)
def test_each_line_is_in_the_script_that_it_is_for(name: str) -> None:
    assert script(LINES[name]) == name


def said(*contents: str, role: str = "user") -> list[dict[str, str]]:
    return [{"role": role, "content": content} for content in contents]


def test_what_the_user_speaks_counts() -> None:
    talk = [*said("我住在成都"), *said("That is a beautiful city in China.", role="assistant")]
    assert language_line(talk) == LINES["CJK"]
    assert language_line(said("我住在成都", role="assistant")) == LINES["CJK"]


def test_where_there_are_several_or_an_alphabet_of_many_it_says_so() -> None:
    assert language_line(said("我住在成都", "I live in Chengdu")) == ANY
    assert language_line(said("Vivo en Lisboa")) == ANY
    assert language_line(said("12345")) == ANY
