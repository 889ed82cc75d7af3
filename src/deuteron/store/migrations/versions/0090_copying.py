"""Whether a candidate is still being told the connections that are open elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0090"
down_revision = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "router_candidate", sa.Column("copying", sa.Boolean(), nullable=False, server_default=sa.false())
    )
