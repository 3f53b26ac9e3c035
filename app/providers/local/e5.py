"""multilingual-e5-small in process: the embedder that needs no key, no server and no download.

A BERT encoder of 12 layers for a hundred languages (Wang et al. 2024, arXiv:2402.05672). It runs on
onnxruntime, with weights of 4 bits. Its output is mean-pooled over the tokens and scaled to unit
length; then the directions in which languages differ are removed, see `neutral`.
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

QUERY, PASSAGE = "query: ", "passage: "  # each text begins with one, as in the model's training
BATCH = 16  # texts in one matrix product: more gains nothing
BATCH_TOKENS = 2048  # in one matrix product, with padding: 16 x 512 would take 1 GB
SHORT = 64
"""Up to so many tokens a call is faster with activations of 8 bits (accuracy level 4) than with
float32 (level 0). Level 4 takes .6 of the CPU time for 13 tokens, and .9 for 64. On processors
without VNNI it takes 1.1 for 16 texts of 15 tokens, and 1.5 for one of 400."""
M_MMAP_THRESHOLD = -3  # malloc.h
PADDING = 1  # a token, which the mask removes again

GRAPHS = {level: Path(__file__).with_name(f"e5-level{level}.onnx") for level in (0, 4)}
"""The graphs without weights, made by tools/local_embedder/graph.py."""


class MultilingualE5:
    """Embeds texts as unit vectors of 384 float32. Safe for many threads; other threads run while
    it computes."""

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
        """The vectors of `texts`, in their order; each text must begin with QUERY or PASSAGE. Only
        the first 512 tokens of a text count.
        """
        if not texts:
            return []
        kinds = ["query" if text.startswith(QUERY) else "passage" for text in texts]
        vectors: list[Vector] = self._neutral(self.plain(texts), kinds).tolist()
        return vectors

    def plain(self, texts: list[str]) -> Array:
        """The model's own vectors, before the language-neutral step; shape (texts, 384)."""
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
    """Groups the texts of these lengths, by their places. Texts of similar length go together, so
    that there is little padding."""
    batches: list[list[int]] = [[]]
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        full = len(batches[-1]) == BATCH
        if full or (len(batches[-1]) + 1) * lengths[place] > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(place)
    return batches


def _sessions(weights: Weights) -> dict[int, Any]:
    """A session for each level of accuracy."""
    given = weights.initializers()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in given.values()]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # requests run in parallel already
    options.log_severity_level = 3  # errors
    options.add_external_initializers([*given], values)
    return {
        level: onnxruntime.InferenceSession(
            graph.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        for level, graph in GRAPHS.items()
    }


def _shrinking() -> Any:
    """Options for a run that releases its memory afterwards, even that of a long text."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _give_back_large_blocks() -> None:
    """Let glibc return freed blocks of 256 kB and more to the system.

    By default it raises that threshold with each freed block, and so kept 120 MB after 16 long
    texts. This concerns the whole process. Long texts take a tenth longer with it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:  # only glibc has it
        mallopt(M_MMAP_THRESHOLD, 2**18)
