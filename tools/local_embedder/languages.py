#!/usr/bin/env python3
"""Writes what app/providers/local/neutral.py reads: the directions in which languages differ.

    python -m tools.local_embedder.languages

Run by hand where the sentences change, which then means to embed every memory again. They are
the same 16 in each language, written for this: an unseen language profits from the others' too.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.providers.local.e5 import PASSAGE, QUERY, MultilingualE5
from app.providers.local.neutral import FILE
from app.providers.local.weights import installed_weights

SENTENCES = Path(__file__).with_name("sentences.json")

Array = NDArray[np.float32]


def main() -> None:
    path = installed_weights()
    if path is None:
        raise SystemExit("the weights are not installed: see requirements-model.txt")
    model = MultilingualE5(path)
    languages: dict[str, list[str]] = json.loads(SENTENCES.read_text())
    means = {kind: _means(model, kind, languages) for kind in (QUERY, PASSAGE)}
    centres = {kind: found.mean(axis=0) for kind, found in means.items()}
    apart = np.concatenate([means[kind] - centres[kind] for kind in means])
    directions = np.linalg.svd(apart, full_matrices=False)[2][: len(languages) - 1]
    np.savez_compressed(FILE, directions=directions, query=centres[QUERY], passage=centres[PASSAGE])
    print(len(languages), "languages,", FILE.stat().st_size, "bytes")


def _means(model: MultilingualE5, prefix: str, languages: dict[str, list[str]]) -> Array:
    """Shape (languages, 384)."""
    return np.stack(
        [model.plain([prefix + text for text in texts]).mean(0) for texts in languages.values()]
    )


if __name__ == "__main__":
    main()
