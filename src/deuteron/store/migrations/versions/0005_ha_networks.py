"""HA networks are the cloud's or a project's; the heartbeat's ports have an owner of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("ha_network") as table:
        table.add_column(sa.Column("project_id", sa.String(length=255), nullable=False, server_default=""))
        table.drop_constraint("uq_ha_network_number", type_="unique")
        table.create_unique_constraint("uq_ha_network_project_id_number", ["project_id", "number"])
    with op.batch_alter_table("ha_network") as table:
        table.alter_column("project_id", server_default=None)
    op.execute(
        "UPDATE port SET device_owner = 'network:router_ha_heartbeat' "
        "WHERE id IN (SELECT port_id FROM ha_port)"
    )
