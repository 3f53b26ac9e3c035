"""Fits calls to an embedder to the limits of its service: the number of texts, and their length.

Services report a limit only by refusing a call. A limit that was learnt is kept for the life of the
process. With EMBEDDER_BATCH and EMBEDDER_MAX_TOKENS it need not be learnt.
"""

import logging
from collections.abc import Callable, Sequence

from app.embeddings import Vector
from app.errors import EmbedderInputTooLong, ProviderRefused, ProviderTooManyTexts

log = logging.getLogger(__name__)

BYTES_OF_TOKEN = 3
"""Bytes of UTF-8 that are sent for each token that a model takes: those of a Chinese character. In
English a token has more."""
CERTAIN_BYTES = 8191
"""The length of texts before a limit is known, see `validation.MAX_EMBEDDED_BYTES`."""
LEAST_BYTES = 64  # a text of this length is not refused for its length
UNSURE_BYTES = 512  # the same, where the service gives no reason for its refusal

OF_SIZE = (EmbedderInputTooLong, ProviderTooManyTexts)
"""Refusals because of the size. Some services call a text that is too long a batch too large."""

Ask = Callable[[list[str]], list[Vector]]


class FittingCalls:
    """Asks for vectors in calls that the service accepts. Safe for many threads."""

    def __init__(self, model: str, batch: int | None = None, max_tokens: int | None = None) -> None:
        """`model` is for the log. `batch` is the limit of texts in a call, and `max_tokens` that of
        tokens in a text, where they are known."""
        self._model = model
        self._batch = batch
        self._bytes = bytes_of(max_tokens) if max_tokens else None
        self._helped = 0  # how often smaller calls helped after a refusal without a reason

    def __call__(self, texts: Sequence[str], ask: Ask) -> list[Vector]:
        """The vectors of `texts`, in their order. Raises the last failure of `ask`."""
        vectors: list[Vector] = []
        for part in _parts(texts, self._batch or len(texts) or 1):
            vectors += self._fitted(part, ask)
        return vectors

    def _fitted(self, texts: list[str], ask: Ask) -> list[Vector]:
        sent = [cut(text, self._bytes) for text in texts]
        try:
            return ask(sent)
        except OF_SIZE as refused:
            if len(sent) == 1:
                return self._shorter(sent[0], ask)
            # One of the texts may be too long, or all together.
            vectors = self._halves(sent, ask)
            if isinstance(refused, ProviderTooManyTexts):
                self._keep((len(sent) + 1) // 2)
            return vectors
        except ProviderRefused as refused:
            if type(refused) is not ProviderRefused:
                raise  # because of a key, an address or a filter, not of the size
            return self._perhaps_smaller(sent, ask, refused)

    def _halves(self, texts: list[str], ask: Ask) -> list[Vector]:
        """The vectors of a refused call, in two smaller ones."""
        size = (len(texts) + 1) // 2
        return [vector for part in _parts(texts, size) for vector in self(part, ask)]

    def _perhaps_smaller(
        self, texts: list[str], ask: Ask, refused: ProviderRefused
    ) -> list[Vector]:
        """The vectors of a call that was refused without a known reason, in smaller calls. A
        smaller size is kept when it has helped twice; once may be chance."""
        if len(texts) == 1:
            vectors = _perhaps_shorter(texts[0], ask)
            if vectors is None:
                raise refused
            return vectors
        vectors = self._halves(texts, ask)
        self._helped += 1
        if self._helped > 1:
            self._keep((len(texts) + 1) // 2)
        return vectors

    def _keep(self, size: int) -> None:
        if self._batch is None or size < self._batch:
            self._batch = size
            log.warning(
                "%s takes fewer texts at once: it is asked for %d from now on; EMBEDDER_BATCH "
                "spares finding that out",
                *(self._model, size),
            )

    def _shorter(self, text: str, ask: Ask) -> list[Vector]:
        """The vector of a text that is too long, cut until the service accepts it."""
        limit = len(text.encode("utf-8", "surrogatepass")) // 2
        while True:
            try:
                vectors = ask([cut(text, limit)])
            except OF_SIZE:
                limit //= 2
                if limit < LEAST_BYTES:
                    raise
            else:
                break
        if self._bytes is None or limit < self._bytes:
            self._bytes = limit
            log.warning(
                "%s takes no longer texts: they are embedded by their first %d bytes from now on; "
                "EMBEDDER_MAX_TOKENS spares finding that out",
                *(self._model, limit),
            )
        return vectors


def _perhaps_shorter(text: str, ask: Ask) -> list[Vector] | None:
    """The vector of a text that was refused without a known reason, cut shorter; None where that
    does not help.

    The length is not remembered, because the text may have been refused for its words.
    """
    limit = len(text.encode("utf-8", "surrogatepass")) // 2
    while limit >= UNSURE_BYTES:
        try:
            return ask([cut(text, limit)])
        except ProviderRefused:
            limit //= 2
    return None


def bytes_of(tokens: int) -> int:
    """How many bytes of a text are sent to a model that takes so many tokens."""
    return min(BYTES_OF_TOKEN * tokens, max(CERTAIN_BYTES, tokens))


def cut(text: str, limit: int | None) -> str:
    """The beginning of `text`, at most `limit` bytes of UTF-8."""
    if limit is None or len(text) * 4 <= limit:  # a character has at most 4 bytes
        return text
    return text.encode("utf-8", "surrogatepass")[:limit].decode(errors="ignore") or text[:1]


def _parts(texts: Sequence[str], size: int) -> list[list[str]]:
    return [[*texts[start : start + size]] for start in range(0, len(texts), size)]
