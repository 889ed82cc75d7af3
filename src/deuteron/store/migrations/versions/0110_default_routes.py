"""Several gateways of a router: how its default routes use them."""

import sqlalchemy as sa
from alembic import op

revision = "0110"
down_revision = "0100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "router_default_routes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("enable_default_route_ecmp", sa.Boolean(), nullable=False),
        sa.Column("enable_default_route_bfd", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["id"], ["router.id"], name=op.f("fk_router_default_routes_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_router_default_routes")),
    )
