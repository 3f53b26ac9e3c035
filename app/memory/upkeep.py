"""The work of the service beside its requests."""

from app.memory.embedding_again import EmbeddingAgain
from app.memory.words_again import WordsAgain
from app.storage.journal.maintenance import Maintenance


class Upkeep:
    """Maintenance, and the work that another embedder or another version makes necessary."""

    def __init__(self, again: EmbeddingAgain, words: WordsAgain, maintenance: Maintenance) -> None:
        self._again = again
        self._words = words
        self._maintenance = maintenance

    def prepare(self) -> None:
        """Prepare the collection for the embedder, see EmbeddingAgain. Raises its failures, and
        BeingEmbedded while memories are being embedded again."""
        self._again.prepare()
        self._again.check()

    def make_words(self) -> None:
        """Begin to make old words again in the background, see WordsAgain."""
        self._words.begin()

    def words(self) -> str | None:
        """A note for /ready, where words were stored by another version."""
        return self._words.note()

    def check(self) -> str | None:
        """See Maintenance.check."""
        return self._maintenance.check()

    def close(self) -> None:
        """Wait for the current steps; no further ones are made."""
        self._again.close()
        self._words.close()
        self._maintenance.close()
