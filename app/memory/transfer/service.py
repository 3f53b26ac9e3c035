"""The operations of exports and imports."""

from collections.abc import Iterator

from app.memory.adding import Adding
from app.memory.embedding import CollectionEmbedder
from app.memory.transfer.exporting import Exporting
from app.memory.transfer.importing import Importing, Read
from app.memory.transfer.report import Report
from app.memory.transfer.requests import ExportRequest, ImportRequest
from app.security.principal import Principal
from app.storage.history.rows import History
from app.storage.journal.writer import Writer


class Transfer:
    """Gives memories out as lines, and takes them in."""

    def __init__(
        self, writer: Writer, history: History, embedder: CollectionEmbedder, adding: Adding
    ) -> None:
        self._exporting = Exporting(writer.store, history, writer.journal.listings)
        self._importing = Importing(writer, history, embedder, adding)

    def export_lines(self, principal: Principal, asked: ExportRequest) -> Iterator[bytes]:
        """See Exporting.lines."""
        return self._exporting.lines(principal, asked)

    def import_lines(self, principal: Principal, asked: ImportRequest, read: Read) -> Report:
        """See Importing.run."""
        return self._importing.run(principal, asked, read)
