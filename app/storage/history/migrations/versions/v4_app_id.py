"""What belongs to an app."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    for table in ("history", "messages", "answers"):
        op.add_column(table, sa.Column("app_id", sa.String))
        op.create_index(f"ix_{table}_app_id", table, ["app_id"])
