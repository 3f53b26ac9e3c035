"""The language-neutral step: removes from a vector what only depends on the language of its text.

e5 puts all texts of one language near each other: a Chinese question is nearer to any Chinese
memory than to the English one that answers it. The means of 30 languages over the same sentences
show in which directions languages differ. These directions are removed, and the mean of all vectors
is subtracted. After that unrelated texts have a cosine of about 0, and a question finds its answer
in another language. (Queries and passages have different means, because of their prefixes.)
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

FILE = Path(__file__).with_name("e5-languages.npz")
"""Made by tools/local_embedder/languages.py from the sentences beside that script."""


class Neutral:
    def __init__(self, path: Path = FILE) -> None:
        with np.load(path) as found:
            self._directions = found["directions"].astype(np.float32)  # orthonormal rows
            self._centres = {kind: found[kind].astype(np.float32) for kind in ("query", "passage")}

    def __call__(self, vectors: Array, kinds: list[str]) -> Array:
        """Neutral unit vectors, shape (texts, 384). `kinds`: "query" or "passage" for each."""
        centred = vectors - np.stack([self._centres[kind] for kind in kinds])
        along = (centred @ self._directions.T) @ self._directions
        return unit(centred - along)


def unit(vectors: Array) -> Array:
    scaled: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled
