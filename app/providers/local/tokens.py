"""The tokenizer of XLM-RoBERTa: a SentencePiece unigram model.

It cuts a text into the pieces of the vocabulary that are together the most likely, found by the
Viterbi algorithm (Kudo 2018, arXiv:1804.10959). The library `tokenizers` gives the same result but
takes 250 MB of memory; this takes 10.
"""

import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.providers.local.vocabulary import LONGEST, Vocabulary
from app.providers.local.weights import HEADER

MAX_TOKENS = 512  # as in the model's training
MAX_CHARACTERS = MAX_TOKENS * LONGEST  # no more characters fit into MAX_TOKENS
MARK = "▁"  # stands for a space in the vocabulary
UNLIKELY = 10.0  # the log probability of an unknown character, below the least likely piece

_SPACES = re.compile(" {2,}")


class Tokenizer:
    """The tokenizer of the file that `weights` reads."""

    def __init__(self, path: Path) -> None:
        data: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")
        count, self._begin, self._end, _, self._unknown = struct.unpack_from(
            "<5i", data.data, HEADER
        )
        (size,) = struct.unpack_from("<Q", data.data, HEADER + 20)
        at = HEADER + 28
        starts = data[at : at + 4 * (count + 1)].view("<u4")
        at += 4 * (count + 1)
        likely = data[at : at + 4 * count].view("<f4")
        at += 4 * count
        self._vocabulary = Vocabulary(bytes(data[at : at + size]), starts, likely)
        self._unlikely = float(likely.min()) - UNLIKELY
        self.stop = self._read_normalizer(data, at + size)
        """The offset in the file after the vocabulary and the normalizer."""

    def _read_normalizer(self, data: NDArray[np.uint8], at: int) -> int:
        """Read the table that normalizes characters, mostly NFKC. Returns the offset of its end."""
        count, size = struct.unpack_from("<iI", data.data, at)
        table, entry = bytes(data[at + 8 : at + 8 + size]), 0
        self._normalizer: dict[int, str] = {}
        for _ in range(count):
            character, length = struct.unpack_from("<IB", table, entry)
            becomes = struct.unpack_from(f"<{length}I", table, entry + 5)
            self._normalizer[character] = "".join(map(chr, becomes))
            entry += 5 + 4 * length
        end: int = at + 8 + size
        return end

    def __call__(self, text: str) -> list[int]:
        """The ids of at most 512 tokens, including those for the begin and the end."""
        plain = text[:MAX_CHARACTERS].translate(self._normalizer)[:MAX_CHARACTERS]
        if not plain:
            return [self._begin, self._end]
        spaced = " " + _SPACES.sub(" ", plain).removeprefix(" ")
        ids = self._pieces(spaced.replace(" ", MARK))
        return [self._begin, *ids[: MAX_TOKENS - 2], self._end]

    def _pieces(self, text: str) -> list[int]:
        """The ids of the most likely pieces that make up `text`."""
        # For each prefix of the text: its log probability; the start and id of its last piece.
        best = [0.0] + [-1e30] * len(text)
        last = [(0, self._unknown)] * (len(text) + 1)
        known = self._vocabulary.within(text)
        for start in range(len(text)):
            so_far = best[start]
            for length, id_, likely in known[start]:
                end = start + length
                if id_ != self._unknown and so_far + likely > best[end]:
                    best[end], last[end] = so_far + likely, (start, id_)
            if so_far + self._unlikely > best[start + 1]:
                best[start + 1], last[start + 1] = so_far + self._unlikely, (start, self._unknown)
        ids = []
        end = len(text)
        while end:
            end, id_ = last[end]
            ids.append(id_)
        return ids[::-1]
