"""Port forwardings."""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0070"
branch_labels = None
depends_on = None

_TABLE = "floatingip_port_forwarding"


def upgrade() -> None:
    op.create_table(
        _TABLE,
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("floatingip_id", sa.String(length=36), nullable=False),
        sa.Column("protocol", sa.String(length=64), nullable=False),
        sa.Column("internal_port_id", sa.String(length=36), nullable=False),
        sa.Column("internal_ip_address", sa.String(length=45), nullable=False),
        sa.Column("internal_port", sa.Integer(), nullable=True),
        sa.Column("internal_port_range", sa.String(length=11), nullable=False),
        sa.Column("external_port", sa.Integer(), nullable=True),
        sa.Column("external_port_range", sa.String(length=11), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["floatingip_id"], ["floatingip.id"], name=op.f(f"fk_{_TABLE}_floatingip_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["internal_port_id"], ["port.id"], name=op.f(f"fk_{_TABLE}_internal_port_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{_TABLE}")),
    )
    for column in ("floatingip_id", "internal_port_id"):
        op.create_index(op.f(f"ix_{_TABLE}_{column}"), _TABLE, [column])
