"""Splits notes in Markdown into statements: bullets and paragraphs, each with its heading."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_HEADING = re.compile(r"(?:#{1,6}\s+(?P<marked>.+?)\s*#*|\*\*(?P<bold>[^*]+?):?\*\*:?)")
_BULLET = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+(?P<text>.+)")
_FRONT_MATTER = re.compile(r"\A---\s*\n.*?\n---\s*(?:\n|\Z)", re.DOTALL)


class Statement(NamedTuple):
    text: str
    heading: str | None


def statements(markdown: str) -> Iterator[Statement]:
    """The statements in `markdown`. Consecutive lines without bullets are one paragraph. YAML front
    matter and lines of signs only are skipped."""
    heading: str | None = None
    paragraph: list[str] = []
    for line in [*_FRONT_MATTER.sub("", markdown.replace("\r\n", "\n")).split("\n"), ""]:
        line = line.strip()
        marked = _HEADING.fullmatch(line)
        bullet = _BULLET.fullmatch(line)
        if (marked or bullet or not line) and paragraph:
            yield Statement(" ".join(paragraph), heading)
            paragraph = []
        if marked:
            heading = marked["marked"] or marked["bold"]
        elif bullet:
            paragraph = [bullet["text"]]
        elif line and not set(line) <= set("-*_=`"):
            paragraph.append(line)
