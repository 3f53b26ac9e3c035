"""multilingual-e5-small in process: the embedder that needs no key, no server and no download.

A BERT encoder of 12 layers for a hundred languages (Wang et al. 2024, arXiv:2402.05672), with
weights of 4 bits by onnxruntime, mean-pooled over the tokens and scaled to unit length, then
without the directions in which languages differ, see `neutral`.
"""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from app.embeddings import Vector
from app.providers.local.neutral import Neutral, unit
from app.providers.local.tokens import Tokenizer
from app.providers.local.weights import SIZE, Weights

Array = NDArray[np.float32]

QUERY, PASSAGE = "query: ", "passage: "  # as the model was trained; one of them begins each text
BATCH = 16  # texts of one matrix product: more gains nothing
BATCH_TOKENS = 2048  # of one matrix product, padding included: 16 x 512 would take 1 GB
SHORT = 64
"""Tokens of a call up to which activations rounded to 8 bits (accuracy level 4) are faster than
float32 ones (level 0): .6 of the CPU time for 13 tokens, .9 for 64; on processors without VNNI 1.1
for 16 texts of 15 tokens and 1.5 for one of 400."""
M_MMAP_THRESHOLD = -3  # malloc.h
PADDING = 1  # a token, which the mask takes out again

GRAPHS = {level: Path(__file__).with_name(f"e5-level{level}.onnx") for level in (0, 4)}
"""Without weights; made by tools/local_embedder/graph.py."""


class MultilingualE5:
    """Embeds texts as unit vectors of 384 float32. Safe for many threads, which go on meanwhile."""

    name = "local/multilingual-e5-small"
    dimensions = SIZE

    def __init__(self, path: Path) -> None:
        """`path` is the file that `weights` reads."""
        self._tokens = Tokenizer(path)
        self._weights = Weights(path, self._tokens.stop)
        self._neutral = Neutral()
        _give_back_large_blocks()
        self._sessions = _sessions(self._weights)

    def __call__(self, texts: list[str]) -> list[Vector]:
        """The vectors of many texts, in their order; each begins with QUERY or PASSAGE.

        What follows the first 512 tokens of a text is not looked at.
        """
        if not texts:
            return []
        kinds = ["query" if text.startswith(QUERY) else "passage" for text in texts]
        vectors: list[Vector] = self._neutral(self.plain(texts), kinds).tolist()
        return vectors

    def plain(self, texts: list[str]) -> Array:
        """The vectors as the model itself has them, shape (texts, 384)."""
        tokens = [self._tokens(text) for text in texts]
        vectors = np.empty((len(texts), SIZE), np.float32)
        for chosen in _batches([len(one) for one in tokens]):
            vectors[chosen] = self._encode([tokens[place] for place in chosen])
        return vectors

    def _encode(self, tokens: list[list[int]]) -> Array:
        width = max(map(len, tokens))
        ids = np.full((len(tokens), width), PADDING, np.int64)
        mask = np.zeros((len(tokens), width), np.int32)
        for row, one in enumerate(tokens):
            ids[row, : len(one)] = one
            mask[row, : len(one)] = 1
        session = self._sessions[4 if ids.size <= SHORT else 0]
        inputs = {"emb": self._weights.embedded(ids), "mask": mask}
        (hidden,) = session.run(None, inputs, _shrinking())
        pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return unit(pooled.astype(np.float32))


def _batches(lengths: list[int]) -> list[list[int]]:
    """The places of texts that go together: neighbours in length, so that little is padding."""
    batches: list[list[int]] = [[]]
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        full = len(batches[-1]) == BATCH
        if full or (len(batches[-1]) + 1) * lengths[place] > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(place)
    return batches


def _sessions(weights: Weights) -> dict[int, Any]:
    """One for each level of accuracy."""
    given = weights.initializers()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in given.values()]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # each request has a thread already
    options.log_severity_level = 3  # errors
    options.add_external_initializers([*given], values)
    return {
        level: onnxruntime.InferenceSession(
            graph.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        for level, graph in GRAPHS.items()
    }


def _shrinking() -> Any:
    """Options of a run after which what it took is given back, also for a long text."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _give_back_large_blocks() -> None:
    """Let glibc hand blocks from 256 kB on back to the system when they are freed.

    By itself it begins to keep blocks of each size that was ever freed: 120 MB after 16 long
    texts. It is of the whole process; a run takes a tenth longer for long texts.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:  # glibc alone has it
        mallopt(M_MMAP_THRESHOLD, 2**18)
