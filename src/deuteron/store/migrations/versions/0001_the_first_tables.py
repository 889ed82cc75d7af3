"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "change",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("op", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_change_xid_id"), "change", ["xid", "id"], unique=False)
    op.create_table(
        "change_floor",
        sa.Column("name", sa.String(length=36), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_change_floor")),
    )
    op.create_table(
        "dhcp_server",
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("network_id", "slot", name=op.f("pk_dhcp_server")),
        sa.UniqueConstraint("network_id", "host", name=op.f("uq_dhcp_server_network_id_host")),
        sa.UniqueConstraint("port_id", name=op.f("uq_dhcp_server_port_id")),
    )
    op.create_table(
        "election",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("ha_network_id", sa.String(length=36), nullable=False),
        sa.Column("vrid", sa.Integer(), nullable=False),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("advert_ms", sa.Integer(), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("active", sa.String(length=255), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=True),
        sa.Column("joined", sa.Boolean(), nullable=False),
        sa.Column("retired", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_election")),
        sa.UniqueConstraint("ha_network_id", "vrid", name=op.f("uq_election_ha_network_id_vrid")),
    )
    op.create_table(
        "election_member",
        sa.Column("election_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("heard", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("election_id", "host", name=op.f("pk_election_member")),
    )
    op.create_table(
        "ha_network",
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("subnet_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("network_id", name=op.f("pk_ha_network")),
        sa.UniqueConstraint("number", name=op.f("uq_ha_network_number")),
    )
    op.create_table(
        "ha_port",
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("network_id", "host", name=op.f("pk_ha_port")),
    )
    op.create_table(
        "host",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("vtep", sa.String(length=45), nullable=False),
        sa.Column("physical_networks", sa.Text(), nullable=False),
        sa.Column("zone", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("started", sa.Float(precision=53), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("last_seen", sa.Float(precision=53), nullable=False),
        sa.Column("problems", sa.Text(), nullable=False),
        sa.Column("agents", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_host")),
    )
    op.create_table(
        "instance_metadata",
        sa.Column("device_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("public_keys", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_instance_metadata")),
    )
    op.create_table(
        "identity",
        sa.Column("name", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_identity")),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "network",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("router_external", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("mtu", sa.Integer(), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.Column("availability_zone_hints", sa.Text(), nullable=False),
        sa.Column("provider_network_type", sa.String(length=64), nullable=False),
        sa.Column("provider_physical_network", sa.String(length=64), nullable=True),
        sa.Column("provider_segmentation_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network")),
    )
    op.create_index(op.f("ix_network_project_id"), "network", ["project_id"], unique=False)
    op.create_index(
        "uq_network_flat",
        "network",
        ["provider_physical_network"],
        unique=True,
        sqlite_where=sa.text("provider_network_type = 'flat'"),
        postgresql_where=sa.text("provider_network_type = 'flat'"),
    )
    op.create_index(
        "uq_network_vni",
        "network",
        ["provider_segmentation_id"],
        unique=True,
        sqlite_where=sa.text("provider_network_type = 'vxlan'"),
        postgresql_where=sa.text("provider_network_type = 'vxlan'"),
    )
    op.create_table(
        "router_candidate",
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("gate", sa.String(length=16), nullable=False),
        sa.Column("election_id", sa.String(length=36), nullable=True),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("applied", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("router_id", "host", name=op.f("pk_router_candidate")),
    )
    op.create_index(
        op.f("ix_router_candidate_election_id"), "router_candidate", ["election_id"], unique=False
    )
    op.create_table(
        "router_history",
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("from_host", sa.String(length=255), nullable=True),
        sa.Column("to_host", sa.String(length=255), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("router_id", "epoch", name=op.f("pk_router_history")),
    )
    op.create_table(
        "router_move",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("running", sa.String(length=36), nullable=True),
        sa.Column("source", sa.String(length=255), nullable=True),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("election_id", sa.String(length=36), nullable=True),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("phase_since", sa.Float(precision=53), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_router_move")),
        sa.UniqueConstraint("running", name=op.f("uq_router_move_running")),
    )
    op.create_index(op.f("ix_router_move_router_id"), "router_move", ["router_id"], unique=False)
    op.create_table(
        "port",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("mac_address", sa.String(length=17), nullable=False),
        sa.Column("device_id", sa.String(length=255), nullable=False),
        sa.Column("device_owner", sa.String(length=255), nullable=False),
        sa.Column("binding_host_id", sa.String(length=255), nullable=False),
        sa.Column("binding_vnic_type", sa.String(length=64), nullable=False),
        sa.Column("binding_profile", sa.Text(), nullable=False),
        sa.Column("binding_vif_type", sa.String(length=64), nullable=False),
        sa.Column("binding_vif_details", sa.Text(), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("allowed_address_pairs", sa.Text(), nullable=False),
        sa.Column("extra_dhcp_opts", sa.Text(), nullable=False),
        sa.Column("dns_name", sa.String(length=255), nullable=False),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name=op.f("fk_port_network_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_port")),
        sa.UniqueConstraint("network_id", "mac_address", name=op.f("uq_port_network_id_mac_address")),
    )
    op.create_index(op.f("ix_port_binding_host_id"), "port", ["binding_host_id"], unique=False)
    op.create_index(op.f("ix_port_device_id"), "port", ["device_id"], unique=False)
    op.create_index(op.f("ix_port_project_id"), "port", ["project_id"], unique=False)
    op.create_table(
        "subnet",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("cidr", sa.String(length=49), nullable=False),
        sa.Column("gateway_ip", sa.String(length=45), nullable=True),
        sa.Column("allocation_pools", sa.Text(), nullable=False),
        sa.Column("dns_nameservers", sa.Text(), nullable=False),
        sa.Column("host_routes", sa.Text(), nullable=False),
        sa.Column("enable_dhcp", sa.Boolean(), nullable=False),
        sa.Column("ipv6_ra_mode", sa.String(length=64), nullable=True),
        sa.Column("ipv6_address_mode", sa.String(length=64), nullable=True),
        sa.Column("subnetpool_id", sa.String(length=36), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name=op.f("fk_subnet_network_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnet")),
    )
    op.create_index(op.f("ix_subnet_network_id"), "subnet", ["network_id"], unique=False)
    op.create_index(op.f("ix_subnet_project_id"), "subnet", ["project_id"], unique=False)
    op.create_table(
        "fixed_ip",
        sa.Column("subnet_id", sa.String(length=36), nullable=False),
        sa.Column("ip_address", sa.String(length=45), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["port_id"], ["port.id"], name=op.f("fk_fixed_ip_port_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnet.id"], name=op.f("fk_fixed_ip_subnet_id")),
        sa.PrimaryKeyConstraint("subnet_id", "ip_address", name=op.f("pk_fixed_ip")),
    )
    op.create_index(op.f("ix_fixed_ip_port_id"), "fixed_ip", ["port_id"], unique=False)
    op.create_table(
        "router",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("ha", sa.Boolean(), nullable=False),
        sa.Column("distributed", sa.Boolean(), nullable=False),
        sa.Column("routes", sa.Text(), nullable=False),
        sa.Column("availability_zone_hints", sa.Text(), nullable=False),
        sa.Column("gw_port_id", sa.String(length=36), nullable=True),
        sa.Column("enable_snat", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["gw_port_id"], ["port.id"], name=op.f("fk_router_gw_port_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_router")),
        sa.UniqueConstraint("number", name=op.f("uq_router_number")),
    )
    op.create_index(op.f("ix_router_gw_port_id"), "router", ["gw_port_id"], unique=False)
    op.create_index(op.f("ix_router_project_id"), "router", ["project_id"], unique=False)
    op.create_table(
        "floatingip",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("floating_network_id", sa.String(length=36), nullable=False),
        sa.Column("floating_ip_address", sa.String(length=45), nullable=True),
        sa.Column("floating_port_id", sa.String(length=36), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=True),
        sa.Column("fixed_ip_address", sa.String(length=45), nullable=True),
        sa.Column("router_id", sa.String(length=36), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("dns_name", sa.String(length=255), nullable=False),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["floating_network_id"], ["network.id"], name=op.f("fk_floatingip_floating_network_id")
        ),
        sa.ForeignKeyConstraint(
            ["floating_port_id"], ["port.id"], name=op.f("fk_floatingip_floating_port_id")
        ),
        sa.ForeignKeyConstraint(
            ["port_id"], ["port.id"], name=op.f("fk_floatingip_port_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], name=op.f("fk_floatingip_router_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floatingip")),
        sa.UniqueConstraint("floating_port_id", name=op.f("uq_floatingip_floating_port_id")),
        sa.UniqueConstraint(
            "port_id",
            "fixed_ip_address",
            "floating_network_id",
            name=op.f("uq_floatingip_port_id_fixed_ip_address_floating_network_id"),
        ),
    )
    op.create_index(
        op.f("ix_floatingip_floating_network_id"), "floatingip", ["floating_network_id"], unique=False
    )
    op.create_index(op.f("ix_floatingip_project_id"), "floatingip", ["project_id"], unique=False)
    op.create_index(op.f("ix_floatingip_router_id"), "floatingip", ["router_id"], unique=False)
