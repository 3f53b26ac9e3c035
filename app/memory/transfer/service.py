"""The operations of exports and imports."""

from collections.abc import Iterator

from app.errors import FieldError, InvalidRequest
from app.memory.adding import Adding
from app.memory.embedding import CollectionEmbedder
from app.memory.transfer.exporting import Exporting
from app.memory.transfer.foreign import JSON_FORMATS, lines_of
from app.memory.transfer.importing import Importing
from app.memory.transfer.report import Report
from app.memory.transfer.requests import ExportRequest, ForeignRequest, ImportRequest
from app.memory.transfer.splitting import Read, split
from app.security.principal import Principal
from app.storage.history.rows import History
from app.storage.journal.writer import Writer


class Transfer:
    """Exports and imports memories."""

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
        return self._importing.run(principal, asked, split(read))

    def import_foreign(
        self, principal: Principal, format_name: str, asked: ForeignRequest, read: Read
    ) -> Report:
        """Import a body in one of JSON_FORMATS, see Importing.run; for errors see `lines_of`."""
        if format_name not in JSON_FORMATS:
            wrong = FieldError("format", f"must be one of {', '.join(JSON_FORMATS)}")
            raise InvalidRequest("There is no such format.", [wrong])
        user = {"user_id": asked.user_id} if asked.user_id else {}
        lines = lines_of(read, format_name, {**principal.scope, **user})
        return self._importing.run(principal, asked, lines)
