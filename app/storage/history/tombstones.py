"""New memories whose add was given up, and which may arrive in the store late all the same.

Their ids are never used again, so whatever arrives under one is deleted, and nobody changes it.
"""

import time
from collections.abc import Collection

from sqlalchemy import Connection, Select, delete, insert, select

from app.storage.history.database import Database
from app.storage.history.schema import TOMBSTONES
from app.storage.vectors.paging import sliced

KEPT_S = 3600.0
"""Nothing that was sent so long ago is still on its way: the longest is what a server keeps for a
node that was away, and it keeps it in order."""


class Tombstones:
    def __init__(self, database: Database) -> None:
        self._database = database

    def ids(self) -> list[str]:
        """All of them; those that are old enough are forgotten."""
        with self._database.reading() as connection:
            found = connection.execute(select(TOMBSTONES.c.memory_id, TOMBSTONES.c.buried_at)).all()
        before = time.time() - KEPT_S
        if any(buried_at < before for _, buried_at in found):
            old = delete(TOMBSTONES).where(TOMBSTONES.c.buried_at < before)
            self._database.write(lambda connection: connection.execute(old))
        return [id_ for id_, buried_at in found if buried_at >= before]


def bury(connection: Connection, ids: Collection[str]) -> None:
    now = time.time()
    there = {*connection.scalars(_among(ids))}
    rows = [{"memory_id": id_, "buried_at": now} for id_ in ids if id_ not in there]
    if rows:
        connection.execute(insert(TOMBSTONES), rows)


def is_buried(connection: Connection, ids: Collection[str]) -> bool:
    there = select(TOMBSTONES.c.memory_id).limit(1)  # nearly always none at all
    return connection.scalar(there) is not None and any(
        connection.scalar(_among(some).limit(1)) for some in sliced([*ids], 500)
    )


def _among(ids: Collection[str]) -> Select[tuple[str]]:
    return select(TOMBSTONES.c.memory_id).where(TOMBSTONES.c.memory_id.in_([*ids]))
