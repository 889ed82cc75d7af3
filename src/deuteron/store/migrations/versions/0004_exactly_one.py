"""Incidents, who yields to whom, gaps, and which next hops answer which host."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("election_id", sa.String(length=36), nullable=False),
        sa.Column("hosts", sa.Text(), nullable=False),
        sa.Column("routers", sa.Text(), nullable=False),
        sa.Column("began", sa.Float(precision=53), nullable=False),
        sa.Column("ended", sa.Float(precision=53), nullable=True),
        sa.Column("stays", sa.String(length=255), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index(op.f("ix_incident_election_id"), "incident", ["election_id"])
    op.add_column("election_member", sa.Column("contested", sa.Float(precision=53), nullable=True))
    op.add_column("election_member", sa.Column("reaches", sa.Integer(), nullable=True))
    op.add_column("election_member", sa.Column("yields_to", sa.String(length=255), nullable=True))
    op.add_column("router_history", sa.Column("gap_ms", sa.Float(precision=53), nullable=True))
    op.add_column("host", sa.Column("uplinks", sa.Text(), nullable=False, server_default="[]"))
