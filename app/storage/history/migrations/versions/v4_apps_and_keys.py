"""What belongs to an app, the keys that are known, and which of them wrote what."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    for table in ("history", "messages", "answers"):
        op.add_column(table, sa.Column("app_id", sa.String))
        op.create_index(f"ix_{table}_app_id", table, ["app_id"])
    op.add_column("history", sa.Column("written_by", sa.String(36)))
    written = ("written_by", "updated_at")
    op.create_index("ix_history_written_by_updated_at", "history", [*written])
    op.create_table(
        "keys",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("read_only", sa.Boolean),
        sa.Column("ends_at", sa.Float),
        sa.Column("created_at", sa.String(40)),
        sa.Column("last_used_on", sa.String(10)),
        sa.Column("revoked_at", sa.String(40)),
        sa.Column("user_id", sa.String),
        sa.Column("agent_id", sa.String),
        sa.Column("app_id", sa.String),
        sa.Column("run_id", sa.String),
    )
