"""W3C Trace Context: what is taken by its grammar, and what is not."""

import pytest

from app.observability.trace import Trace, parse

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (f"00-{ID}-{PARENT}-01", 1),
        (f"00-{ID}-{PARENT}-00", 0),
        (f" 00-{ID}-{PARENT}-ff\t", 1),  # of the flags only sampled is known
        (f"cc-{ID}-{PARENT}-01", 1),  # a later version
        (f"cc-{ID}-{PARENT}-01-what-comes-then", 1),
    ],
)
def test_a_parent_of_the_grammar_is_taken(header: str, flags: int) -> None:
    assert parse(header) == Trace(ID, flags)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ID,
        f"ff-{ID}-{PARENT}-01",
        f"00-{ID.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID}-{PARENT}-01-more",
        f"cc-{ID}-{PARENT}-01more",
        f"00-{ID[1:]}-{PARENT}-01",
        f"00-{ID}-{PARENT}-1",
        f"00-{ID}-{PARENT}-01,00-{ID}-{PARENT}-01",  # sent twice
        f"00-{ID}-{PARENT}-01\n",
    ],
)
def test_another_one_is_ignored(header: str) -> None:
    assert parse(header) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("rojo=1,congo=t61rcWkgMzE", "rojo=1,congo=t61rcWkgMzE"),
        (" rojo=1 ,, fw529a3039@dt=FfG ", "rojo=1,fw529a3039@dt=FfG"),
        ("Upper=1", ""),
        ("no-value", ""),
        ("a=b=c", ""),
        ("a=" + "x" * 257, ""),
        (",".join(f"k{n}=v" for n in range(33)), ""),
        ("a=1\nX-Evil: 1", ""),
    ],
)
def test_a_state_is_kept_by_its_grammar(given: str, kept: str) -> None:
    found = parse(f"00-{ID}-{PARENT}-01", given)
    assert found is not None
    assert found.state == kept
