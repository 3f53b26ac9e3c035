"""Opens the history database that the settings name, with the matching kind of Liveness."""

from app.config import Settings
from app.storage.history.database import Database
from app.storage.history.sqlite import SQLite
from app.storage.journal.liveness import FileLocks, Liveness


def open_history(settings: Settings) -> tuple[Database, Liveness]:
    """Raises StartupError for a mistake that an operator has to mend."""
    if settings.database_url is None:
        database = Database(SQLite(settings.data_dir / "history.db"))
        return database, FileLocks(settings.data_dir / "processes")
    # Imported here because the driver takes 0.05 s, and most do not need it.
    from app.storage.history.postgresql import PostgreSQL
    from app.storage.journal.leases import Leases

    backend = PostgreSQL(settings.database_url.get_secret_value(), settings.database_connections)
    database = Database(backend)
    return database, Leases(database, backend.renewals())
