"""What a backup has: the points and the history as of one moment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.embeddings import EmbedderInfo

HISTORY_DB = "history.db"
VECTORS = "qdrant"

Tell = Callable[[str], None]
"""Says to people how far it is."""


@dataclass(frozen=True)
class Taken:
    """Both stores at one moment; the files are in the work folder."""

    moment: str
    """A time in UTC."""
    store: str
    embedder: EmbedderInfo | None
    zero: float | None
    lines: Iterator[bytes]
    """The points, as archive.line_of makes them."""
    history: Path
