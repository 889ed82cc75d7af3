"""What others keep with a port."""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "port_attributes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("numa_affinity_policy", sa.String(length=64), nullable=True),
        sa.Column("device_profile", sa.String(length=255), nullable=True),
        sa.Column("data_plane_status", sa.String(length=64), nullable=True),
        sa.Column("propagate_uplink_status", sa.Boolean(), nullable=False),
        sa.Column("hints", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["port.id"], name=op.f("fk_port_attributes_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_port_attributes")),
    )
