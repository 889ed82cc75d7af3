"""Tags."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("network", "subnet", "port", "router", "floatingip"):
        op.create_table(
            f"{name}_tags",
            sa.Column("id", sa.String(length=36), nullable=False),
            sa.Column("tags", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(
                ["id"], [f"{name}.id"], name=op.f(f"fk_{name}_tags_id"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}_tags")),
        )
