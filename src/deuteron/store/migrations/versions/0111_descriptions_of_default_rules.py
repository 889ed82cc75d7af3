"""The rules that security groups have always begun with say so, as Neutron's do."""

import sqlalchemy as sa
from alembic import op

revision = "0111"
down_revision = "0110"
branch_labels = None
depends_on = None

_RULE = sa.table(
    "default_security_group_rule",
    *(sa.column(name) for name in ("description", "direction", "protocol", "remote_ip_prefix")),
)


def upgrade() -> None:
    for direction in ("egress", "ingress"):
        old = _RULE.update().where(
            _RULE.c.direction == direction,
            _RULE.c.description == "",
            _RULE.c.protocol.is_(None),
            _RULE.c.remote_ip_prefix.is_(None),
        )
        op.execute(old.values(description=f"Legacy default SG rule for {direction} traffic"))
