"""Where the history is kept, and how it is told there who lives."""

from app.config import Settings
from app.storage.history.database import Database
from app.storage.history.sqlite import SQLite
from app.storage.journal.liveness import FileLocks, Liveness


def open_history(settings: Settings) -> tuple[Database, Liveness]:
    """Raises StartupError for what will not mend itself."""
    if settings.database_url is None:
        database = Database(SQLite(settings.data_dir / "history.db"))
        return database, FileLocks(settings.data_dir / "processes")
    # Only now: the driver takes 0.05 s to import, and most have no use for it.
    from app.storage.history.postgresql import PostgreSQL
    from app.storage.journal.leases import Leases

    backend = PostgreSQL(settings.database_url.get_secret_value(), settings.database_connections)
    database = Database(backend)
    return database, Leases(database, backend.renewals())
