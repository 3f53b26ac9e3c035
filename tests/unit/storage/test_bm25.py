"""Texts as words: what becomes one, and what it costs."""

import random
import string
import time

import pytest

from app.storage.vectors.bm25 import LONGEST, VERSION, Bm25Encoder

ENCODER = Bm25Encoder()
RANDOM = random.Random(5)


OF_VERSION_2 = {
    "I like hiking in the mountains": [366928855, 1139270951, 1510156397],
    "invoice INV-20417 of 300": [294367179, 322880814, 481716713, 1163057303],
    "우리 강아지를": [1339149110, 1548319071, 1797887849, 1996037833],
    "山に登る": [332714499, 894242188, 1118470671, 1864142218, 2093419619],
    "我喜歡": [695071331, 1205505474, 1503033150, 1613773943, 1639783924],
    "две книги": [1391803590, 1650306798],
    "والكتاب": [378572299, 1808354261],
    "τα βιβλία": [712484552],
    "Straße": [1962405504],
}
"""What collections that say they are of this version have stored."""


def test_stored_words_are_of_the_version_that_is_kept_with_them() -> None:
    """Where this fails, raise VERSION, or memories that are stored are not found any more."""
    made = {text: sorted(ENCODER.document(text).indices) for text in OF_VERSION_2}
    assert (VERSION, made) == (2, OF_VERSION_2)
    [weight] = {*ENCODER.document("Straße 300").values}
    assert weight == pytest.approx(1.6877, abs=1e-4)


def letters(number: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(RANDOM.choices(alphabet, k=number))


def found(text: str, query: str) -> bool:
    """Whether all words of `query` are in `text`, and there are some."""
    asked = {*ENCODER.query(query).indices}
    return bool(asked) and asked <= {*ENCODER.document(text).indices}


@pytest.mark.parametrize(
    "unit", ["y", "Y", "ya", "yb\u00a0", "y\u0301", "ｙ", "y=", "y龙"], ids=ascii
)
def test_a_word_without_end_costs_no_more_than_its_length(unit: str) -> None:
    """A quadratic one takes a hundred times as long for ten times the length."""
    ENCODER.document(unit)
    short, long = unit * (9_900 // len(unit)), unit * (99_000 // len(unit))
    assert cpu_s(long) < 40 * max(cpu_s(short), 0.0002)


def cpu_s(text: str) -> float:
    taken = []
    for _ in range(5):
        started = time.thread_time()
        ENCODER.document(text)
        taken.append(time.thread_time() - started)
    return min(taken)


@pytest.mark.parametrize("length", [64, 65, LONGEST, LONGEST + 1, 3 * LONGEST + 7, 90_000])
@pytest.mark.parametrize("alphabet", ["0123456789abcdef", string.ascii_letters + string.digits])
def test_data_of_any_length_is_found_by_itself(length: int, alphabet: str) -> None:
    data = letters(length, alphabet)
    assert found(f"the key is {data} and the door is red", data)
    assert found(data, data)
    assert not found(f"the key is {data[::-1]}", data)


def test_a_long_address_is_found_by_itself() -> None:
    address = f"https://example.org/a/{letters(700)}?q={letters(700)}"
    assert found(f"see {address} for more", address)


def test_a_word_keeps_its_id_up_to_the_limit() -> None:
    word = letters(LONGEST, string.ascii_lowercase)
    assert ENCODER.document(word).indices == ENCODER._words.embed_document(word).indices


def test_a_long_chinese_text_is_found_by_its_words() -> None:
    text = "我喜欢在周末去爬山，也喜欢喝龙井茶。" * 200
    assert found(text, "龙井茶")
    assert found(text, "爬山")
    assert not found(text, "咖啡")


def test_a_text_of_usual_words_is_as_it_was() -> None:
    text = " ".join(letters(RANDOM.randint(1, 12), string.ascii_lowercase) for _ in range(5000))
    assert ENCODER.document(text).indices == ENCODER._words.embed_document(text).indices


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("나는 매일 커피를 마신다", "커피"),
        ("in New\u00a0York\u202ftoday", "york"),
        ("cof\u00adfee", "coffee"),
        ("a non\u2011stop train", "non-stop"),
        ("नमस्\u200dते", "नमस्ते"),
        ("मैं कॉफ़ी पीता हूँ", "कॉफी"),
        ("कमरा 123", "१२३"),
        ("تخرجت عام 2024", "٢٠٢٤"),
        ("اتاق ۱۲۳", "123"),
        ("高さは5㍍です", "メートル"),
        ("step ① of it", "1"),
        ("my dog🐶", "dog"),
        ("my dog 🐶 Rex", "🐶"),
        ("I ❤️ tea", "❤"),
        ("우리 강아지 이름은 초코입니다", "강아지"),
        ("서울에서 살았다", "서울"),
        ("차를 마신다", "차"),
        ("東京都に住んでいます", "東京"),
        ("週末はいつも山に登ります", "週末"),
        ("週末はいつも山に登ります", "山"),
        ("ｺｰﾋｰを飲みます", "コーヒー"),
        ("図書館で本を読む", "圖書館"),
        ("发表了论文", "発表"),
        ("我喜歡喝龍井茶", "龙井茶"),
        ("我喜欢喝龙井茶", "龍井茶"),
        ("他在銀行工作", "银行"),
        ("我想喝水", "水"),
        ("北京大学", "大学"),
        ("ฉันชอบดื่มชาเขียว", "ชาเขียว"),
        ("والكتاب على الطاولة", "كتاب"),
        ("قرأت بالكتاب", "الكتاب"),
        ("للكتاب", "كتاب"),
        ("أحمد يعمل", "احمد"),
        ("كِتَابٌ", "كتاب"),
        ("Ich wohne in der Hauptstraße", "Hauptstrasse"),
        ("STRASSE", "straße"),
        ("café au lait", "cafe"),
        ("e\u0301cole", "école"),
        ("Tôi thích cà phê", "ca phe"),
        ("łódź", "lodz"),
        ("Iğdır", "igdir"),
        ("smørrebrød", "smorrebrod"),
        ("Καλημέρα", "καλημερα"),
        ("две книги и ёлка", "книга"),
        ("ёлка", "елка"),
        ("ＡＢＣ １２３", "abc 123"),
    ],
)
def test_words_are_found_in_every_script(text: str, query: str) -> None:
    assert found(text, query)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("my dog 🐶", "🐱"),
        ("우리 강아지", "아침"),
        ("北京大学", "东京"),
        ("الكتاب", "مدينة"),
        ("книга", "город"),
    ],
)
def test_other_words_are_not(text: str, query: str) -> None:
    assert not {*ENCODER.query(query).indices} & {*ENCODER.document(text).indices}


def test_chinese_beside_english_and_numbers_has_all_its_words() -> None:
    text = "下周二 Anna 付 INV-20417 的款，共 300 元"
    for query in ("Anna", "INV-20417", "下周", "300"):
        assert found(text, query)


def test_a_repeated_pair_weighs_more_and_a_long_text_less() -> None:
    [pair] = ENCODER.query("龙井").indices
    once, twice, in_long = (
        dict(zip(vector.indices, vector.values, strict=True))[pair]
        for vector in map(ENCODER.document, ["龙井", "龙井，龙井", "龙井" + "，我喝水" * 50])
    )
    assert twice > once > in_long
