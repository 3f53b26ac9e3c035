"""The catalogue of a fleet, which processes keep it, and deletions by scope."""

import sqlalchemy as sa
from alembic import op

revision = "7"
down_revision = "6"

NUMBER = sa.Integer().with_variant(sa.BigInteger, "postgresql")
MEMORY_ID = sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql")
VALUE = sa.String().with_variant(sa.String(collation="C"), "postgresql")
SCOPE = ("user_id", "agent_id", "app_id", "run_id")


def upgrade() -> None:
    op.add_column("processes", sa.Column("schema_version", sa.Integer))
    op.create_table(
        "catalogue",
        sa.Column("memory_id", MEMORY_ID, primary_key=True),
        sa.Column("expires_on", sa.Date),
        *(sa.Column(key, VALUE, index=True) for key in SCOPE),
    )
    op.create_table(
        "catalogue_filling",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("process", sa.String(36)),
        sa.Column("after", MEMORY_ID),
        sa.Column("seen", NUMBER, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
    )
    op.create_table(
        "deletions",
        sa.Column("seq", NUMBER, primary_key=True),
        sa.Column("intent", sa.String(36), nullable=False, index=True),
        sa.Column("ended_at", sa.Float),
        *(sa.Column(key, sa.String) for key in SCOPE),
        sqlite_autoincrement=True,
    )
