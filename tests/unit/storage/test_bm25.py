"""Texts as words: what becomes one, and what it costs."""

import random
import string
import time

import pytest

from app.storage.vectors.bm25 import LONGEST, Bm25Encoder

ENCODER = Bm25Encoder()
RANDOM = random.Random(5)


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


def test_chinese_without_a_space_is_not_cut() -> None:
    text = "我喜欢在周末去爬山，也喜欢喝龙井茶。" * 200
    plain = ENCODER._words.embed_document(text)
    assert ENCODER.document(text).indices == plain.indices
    assert ENCODER.document(text).values == plain.values


def test_a_text_of_usual_words_is_as_it_was() -> None:
    text = " ".join(letters(RANDOM.randint(1, 12), string.ascii_lowercase) for _ in range(5000))
    assert ENCODER.document(text).indices == ENCODER._words.embed_document(text).indices
