"""A cache of the vectors of texts."""

import threading
from collections import OrderedDict
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from app.embeddings import Vector

CACHE_BYTES = 16 * 2**20  # 2,600 vectors of 1536 numbers

Array = NDArray[np.float32]


class VectorCache:
    """Vectors by the digests of their texts; beyond `max_bytes` the least recently used are
    dropped.

    It does not hold texts, because those of a deleted user would stay here.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._size = 0
        self._vectors: OrderedDict[bytes, Array] = OrderedDict()
        self._changing = threading.Lock()

    def get(self, text: str) -> Vector | None:
        """The vector of `text`, as a list that the caller may change."""
        key = _digest(text)
        with self._changing:
            found = self._vectors.get(key)
            if found is None:
                return None
            self._vectors.move_to_end(key)
        vector: Vector = found.tolist()
        return vector

    def put(self, text: str, vector: Vector) -> None:
        """Keep `vector`, unless it is empty, not finite, or of another size than the first one."""
        array = np.asarray(vector, np.float32)
        if not array.size or not np.isfinite(array).all():
            return
        key = _digest(text)
        with self._changing:
            self._size = self._size or array.size
            if array.size != self._size:
                return
            if key not in self._vectors:
                self._bytes += array.nbytes
            self._vectors[key] = array
            while self._bytes > self._max:
                self._bytes -= self._vectors.popitem(last=False)[1].nbytes


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
