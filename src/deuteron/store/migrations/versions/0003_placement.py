"""Events, drains, rebalances, and what is short of hosts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=255), nullable=False),
        sa.Column("subject_name", sa.String(length=255), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "drain",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("requested", sa.Float(precision=53), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_drain")),
    )
    op.create_table(
        "shortfall",
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("role", "object_id", name=op.f("pk_shortfall")),
    )
    op.create_table(
        "rebalance",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.Column("requested", sa.Float(precision=53), nullable=False),
        sa.Column("moves_left", sa.Integer(), nullable=True),
        sa.Column("ended", sa.Float(precision=53), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rebalance")),
    )
    op.add_column(
        "router_move", sa.Column("purpose", sa.String(length=300), nullable=False, server_default="")
    )
