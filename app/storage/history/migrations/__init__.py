"""What brings the tables of an earlier version to this one, by Alembic.

A new schema version N is a file versions/vN_NAME.py with `revision = "N"`, its change in
schema.py, and SCHEMA_VERSION there. The table schema_version alone says what a database has:
every release reads it, and refuses one that is newer. Alembic is told from it where to begin, and
its own table is gone when it has ended, so a migrated database is like a new one.

The previous version of the service goes on writing to a database that is migrated: add what it does
not know, with a default of the database's own, and take away what it uses one version later.

Imported only where a migration is due: Alembic takes 0.1 s to import, and a new database is made
without it.
"""

import logging

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, Table, update

from app.storage.history.schema import SCHEMA_VERSION, VERSION

log = logging.getLogger(__name__)


def migrate(connection: Connection, version: int) -> None:
    """Migrate a database of that version, in the transaction of `connection`."""
    config = Config()
    config.set_main_option("script_location", "app.storage.history:migrations")
    config.attributes["connection"] = connection
    command.stamp(config, str(version))
    command.upgrade(config, str(SCHEMA_VERSION))
    Table("alembic_version", MetaData()).drop(connection)
    connection.execute(update(VERSION).values(version=SCHEMA_VERSION))
    log.info("the history was migrated from schema version %d to %d", version, SCHEMA_VERSION)
