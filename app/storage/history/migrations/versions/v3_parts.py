"""Intents have an id and a version, those of deletions have parts, and answers may be erased."""

import json
import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    op.add_column("intents", sa.Column("id", sa.String(36)))
    op.create_index("ix_intents_id", "intents", ["id"])
    op.add_column("intents", _flag("collecting"))
    op.add_column("answers", _flag("erased"))
    op.add_column("intents", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    parts = op.create_table(
        "intent_parts",
        sa.Column("intent", sa.Integer, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("ids", sa.Text, nullable=False),
        sa.Column("rows", sa.Text),
    )
    _rewrite_intents(op.get_bind(), parts)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _rewrite_intents(connection: sa.Connection, parts: sa.Table) -> None:
    """Before, an intent had no id, and a deletion by scope held its rows in itself."""
    intents = sa.table("intents", *map(sa.column, ("seq", "id", "done", "version", "body")))
    for number, done, body in connection.execute(
        sa.select(intents.c.seq, intents.c.done, intents.c.body)
    ).all():
        id_ = str(uuid.uuid4())
        mine = sa.update(intents).where(intents.c.seq == number)
        try:
            new, part = _converted(json.loads(body), id_, done=bool(done))
        except (ValueError, TypeError, KeyError, AttributeError):
            # A damaged one is kept as it is. The journal names it, and the service starts.
            connection.execute(mine.values(id=id_))
            continue
        connection.execute(mine.values(id=id_, version=2, body=json.dumps(new)))
        if part:
            connection.execute(sa.insert(parts), {"intent": number, "part": 0, **part})


def _converted(
    given: dict[str, Any], id_: str, *, done: bool
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The body of an intent as it is now, and its part where it is a deletion by scope."""
    scope, purge = given.pop("scope", None), given.pop("purge", False)
    if scope is None:
        return {**given, "kind": "write", "id": id_}, None
    rows = None if done else json.dumps(given["rows"])
    part = {"ids": json.dumps(given["deleted"]), "rows": rows}
    return {"kind": "deletion", "scope": scope, "purge": purge, "id": id_}, part
