"""Service types of subnets, and whether their addresses are to be published."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subnet", sa.Column("service_types", sa.Text(), nullable=False, server_default="[]"))
    op.create_table(
        "subnet_dns",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("dns_publish_fixed_ip", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["subnet.id"], name=op.f("fk_subnet_dns_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnet_dns")),
    )
