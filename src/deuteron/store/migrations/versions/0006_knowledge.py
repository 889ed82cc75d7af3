"""Since when hosts have had their problems."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("host", sa.Column("problems_since", sa.Text(), nullable=False, server_default="{}"))
