"""The content of a backup: the points and the history as of one moment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.embeddings import EmbedderInfo

HISTORY_DB = "history.db"
VECTORS = "qdrant"

Tell = Callable[[str], None]
"""Shows a line of progress to the user."""


@dataclass(frozen=True)
class Taken:
    """Both stores as of one moment; the files are in the work folder."""

    moment: str
    """The moment, a time in UTC."""
    store: str
    embedder: EmbedderInfo | None
    zero: float | None
    lines: Iterator[bytes]
    """The points, as archive.line_of makes them."""
    history: Path
