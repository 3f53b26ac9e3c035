"""Adds that were accepted and are done later."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"

SCOPE = ("user_id", "agent_id", "app_id", "run_id")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("lane", sa.String),
        sa.Column("caller", sa.String, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("asked_by", sa.String(36), nullable=False),
        sa.Column("bound", sa.Text, nullable=False),
        sa.Column("body", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("erased", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("process", sa.String(36)),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("accepted_at", sa.Float, nullable=False),
        sa.Column("began_at", sa.Float),
        sa.Column("ended_at", sa.Float, index=True),
        *(sa.Column(key, sa.String, index=True) for key in SCOPE),
        sa.UniqueConstraint("caller", "key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_lane_seq", "jobs", ["lane", "seq"])
    op.create_index("ix_jobs_state_seq", "jobs", ["state", "seq"])
