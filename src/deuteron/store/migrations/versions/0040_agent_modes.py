"""What hosts' L3 agents are there for, and their DVR MACs."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "host", sa.Column("agent_mode", sa.String(length=16), nullable=False, server_default="legacy")
    )
    op.add_column("host", sa.Column("dvr_mac", sa.String(length=17), nullable=True))
    op.create_index(op.f("ix_host_dvr_mac"), "host", ["dvr_mac"], unique=True)
