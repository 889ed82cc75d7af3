"""One more rung between central and distributed: floating IPs at hosts, mute."""

import sqlalchemy as sa
from alembic import op

revision = "0115"
down_revision = "0112"
branch_labels = None
depends_on = None


def upgrade() -> None:
    router = sa.table("router", sa.column("rung", sa.Integer()))
    op.execute(sa.update(router).where(router.c.rung >= 4).values(rung=router.c.rung + 1))
