"""Conntrack helpers, NDP proxies and metering."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0080"
branch_labels = None
depends_on = None


def _standard() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
    ]


def _owned() -> list[sa.Column[Any]]:
    return [
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
    ]


def _below(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE"
    )


def _indexes(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def upgrade() -> None:
    _routers()
    _metering()


def _routers() -> None:
    op.create_table(
        "router_conntrack_helper",
        *_standard(),
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("protocol", sa.String(length=64), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("helper", sa.String(length=64), nullable=False),
        _below("router_conntrack_helper", "router_id", "router"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_router_conntrack_helper")),
        sa.UniqueConstraint(
            "router_id",
            "protocol",
            "port",
            "helper",
            name=op.f("uq_router_conntrack_helper_router_id_protocol_port_helper"),
        ),
    )
    _indexes("router_conntrack_helper", "router_id")
    op.create_table(
        "ndp_proxy",
        *_standard(),
        *_owned(),
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("ip_address", sa.String(length=45), nullable=True),
        _below("ndp_proxy", "router_id", "router"),
        _below("ndp_proxy", "port_id", "port"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ndp_proxy")),
        sa.UniqueConstraint("router_id", "ip_address", name=op.f("uq_ndp_proxy_router_id_ip_address")),
    )
    _indexes("ndp_proxy", "project_id", "router_id", "port_id")
    op.create_table(
        "router_ndp_proxy",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("enable_ndp_proxy", sa.Boolean(), nullable=True),
        _below("router_ndp_proxy", "id", "router"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_router_ndp_proxy")),
    )


def _metering() -> None:
    op.create_table(
        "metering_label",
        *_standard(),
        *_owned(),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metering_label")),
    )
    _indexes("metering_label", "project_id")
    op.create_table(
        "metering_label_rule",
        *_standard(),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("metering_label_id", sa.String(length=36), nullable=False),
        sa.Column("direction", sa.String(length=64), nullable=False),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.Column("remote_ip_prefix", sa.String(length=49), nullable=True),
        sa.Column("source_ip_prefix", sa.String(length=49), nullable=True),
        sa.Column("destination_ip_prefix", sa.String(length=49), nullable=True),
        _below("metering_label_rule", "metering_label_id", "metering_label"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metering_label_rule")),
    )
    _indexes("metering_label_rule", "project_id", "metering_label_id")
    op.create_table(
        "metering_count",
        sa.Column("label_id", sa.String(length=36), nullable=False),
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("packets", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("packets_before", sa.BigInteger(), nullable=False),
        sa.Column("bytes_before", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        _below("metering_count", "label_id", "metering_label"),
        sa.PrimaryKeyConstraint("label_id", "router_id", "host", name=op.f("pk_metering_count")),
    )
