"""Routers that become distributed, or central."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("router", sa.Column("rung", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("router", sa.Column("rung_host", sa.String(length=255), nullable=False, server_default=""))
    op.create_table(
        "router_conversion",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("running", sa.String(length=36), nullable=True),
        sa.Column("from_mode", sa.String(length=8), nullable=False),
        sa.Column("to_mode", sa.String(length=8), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("phase_since", sa.Float(precision=53), nullable=False),
        sa.Column("returns", sa.Boolean(), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_router_conversion")),
        sa.UniqueConstraint("running", name=op.f("uq_router_conversion_running")),
    )
    op.create_index(op.f("ix_router_conversion_router_id"), "router_conversion", ["router_id"])
    op.create_table(
        "router_part",
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("applied", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("router_id", "host", name=op.f("pk_router_part")),
    )
