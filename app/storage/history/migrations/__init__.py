"""Migrates the tables of an earlier version to this one, by Alembic.

A new schema version N needs a file versions/vN_NAME.py with `revision = "N"`, its change in
schema.py, and SCHEMA_VERSION there. The table schema_version holds the version of a database; every
release reads it, and refuses a newer one. Alembic begins at that version, and its own table is
deleted afterwards, so that a migrated database is like a new one.

Processes of the previous version go on writing to a migrated database. So give each new column a
default in the database, and remove a column only one version after the last one that uses it.

This package is imported only where a migration is due: Alembic takes 0.1 s to import, and a new
database is made without it.
"""

import logging

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, Table, update

from app.storage.history.schema import SCHEMA_VERSION, VERSION

log = logging.getLogger(__name__)


def migrate(connection: Connection, version: int) -> None:
    """Migrate a database from `version`, in the transaction of `connection`."""
    config = Config()
    config.set_main_option("script_location", "app.storage.history:migrations")
    config.attributes["connection"] = connection
    command.stamp(config, str(version))
    command.upgrade(config, str(SCHEMA_VERSION))
    Table("alembic_version", MetaData()).drop(connection)
    connection.execute(update(VERSION).values(version=SCHEMA_VERSION))
    log.info("the history was migrated from schema version %d to %d", version, SCHEMA_VERSION)
