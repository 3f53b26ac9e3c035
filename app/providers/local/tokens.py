"""Texts as tokens of XLM-RoBERTa: a SentencePiece unigram model, in plain Python.

Kudo 2018, arXiv:1804.10959: of all ways to cut a word into pieces of the vocabulary the one whose
pieces are the most likely, found by Viterbi. The library `tokenizers` finds the same in a fifth of
the time and takes 250 MB; this takes 50.
"""

import re
import struct
from pathlib import Path

from app.providers.local.weights import HEADER

MAX_CHARACTERS = 8_192  # of a text that are looked at: more than 512 tokens almost ever take
SPACE = "▁"  # as a piece has it
UNLIKELY = 10.0  # how much less likely than the least likely piece an unknown character is

_SPACES = re.compile(" {2,}")
_WORD = re.compile(f"{SPACE}[^{SPACE}]*")  # no piece has a SPACE but as its first character


class Tokenizer:
    """The vocabulary of the file: 250,002 pieces with their log probabilities."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._read(file.read(16 * 2**20))  # the vocabulary has 6 MB
        self._unlikely = min(self._likely) - UNLIKELY
        self._longest = max(map(len, self._ids))

    def _read(self, data: bytes) -> None:
        count, self._begin, self._end, _, self._unknown = struct.unpack_from("<5i", data, HEADER)
        (size,) = struct.unpack_from("<Q", data, HEADER + 20)
        at = HEADER + 28
        starts = struct.unpack_from(f"<{count + 1}I", data, at)
        at += 4 * (count + 1)
        self._likely = list(struct.unpack_from(f"<{count}f", data, at))
        at += 4 * count
        self._ids = {
            str(data[at + starts[i] : at + starts[i + 1]], "utf-8"): i for i in range(count)
        }
        self.stop = self._read_normalizer(data, at + size)
        """Where the file goes on behind the vocabulary."""

    def _read_normalizer(self, data: bytes, at: int) -> int:
        """What becomes of single characters (NFKC, mostly); where the table ends."""
        count, size = struct.unpack_from("<iI", data, at)
        at += 8
        end: int = at + size
        self._normalizer: dict[int, str] = {}
        for _ in range(count):
            character, length = struct.unpack_from("<IB", data, at)
            becomes = struct.unpack_from(f"<{length}I", data, at + 5)
            self._normalizer[character] = "".join(map(chr, becomes))
            at += 5 + 4 * length
        return end

    def __call__(self, text: str, most: int) -> list[int]:
        """The ids of at most `most` tokens, the two that mark begin and end among them."""
        plain = text[:MAX_CHARACTERS].translate(self._normalizer)[:MAX_CHARACTERS]
        spaced = SPACE + _SPACES.sub(" ", plain).removeprefix(" ").replace(" ", SPACE)
        ids = [self._begin]
        for word in _WORD.findall(spaced) if plain else ():
            if len(ids) >= most:
                break
            ids += self._pieces(word)
        return [*ids[: most - 1], self._end]

    def _pieces(self, word: str) -> list[int]:
        """The most likely ones that make up `word`."""
        best = [0.0] + [-1e30] * len(word)  # log probability of its first so many characters
        last = [(0, self._unknown)] * (len(word) + 1)  # where their last piece begins; its id
        for start in range(len(word)):
            self._continue(word, start, best, last)
        ids = []
        end = len(word)
        while end:
            end, id_ = last[end]
            ids.append(id_)
        return ids[::-1]

    def _continue(
        self, word: str, start: int, best: list[float], last: list[tuple[int, int]]
    ) -> None:
        """Look at all pieces that begin at `start`, one unknown character among them."""
        so_far = best[start]
        for end in range(start + 1, min(len(word), start + self._longest) + 1):
            id_ = self._ids.get(word[start:end])
            if id_ is None or id_ == self._unknown:
                continue
            likely = so_far + self._likely[id_]
            if likely > best[end]:
                best[end], last[end] = likely, (start, id_)
        if so_far + self._unlikely > best[start + 1]:
            best[start + 1], last[start + 1] = so_far + self._unlikely, (start, self._unknown)
