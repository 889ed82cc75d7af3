"""Local IPs with the ports that they lead to, and logs of packets."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0100"
down_revision = "0085"
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


def _of(table: str, column: str, other: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete
    )


def _indexes(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def upgrade() -> None:
    _local_ips()
    op.create_table(
        "log",
        *_standard(),
        *_owned(),
        sa.Column("resource_type", sa.String(length=255), nullable=False),
        sa.Column("resource_id", sa.String(length=36), nullable=True),
        sa.Column("target_id", sa.String(length=36), nullable=True),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log")),
    )
    _indexes("log", "project_id", "resource_id", "target_id")


def _local_ips() -> None:
    op.create_table(
        "local_ip",
        *_standard(),
        *_owned(),
        sa.Column("local_port_id", sa.String(length=36), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("local_ip_address", sa.String(length=45), nullable=False),
        sa.Column("ip_mode", sa.String(length=64), nullable=False),
        _of("local_ip", "local_port_id", "port"),
        _of("local_ip", "network_id", "network"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_local_ip")),
    )
    _indexes("local_ip", "project_id", "local_port_id")
    op.create_table(
        "local_ip_port_association",
        *_standard(),
        sa.Column("local_ip_id", sa.String(length=36), nullable=False),
        sa.Column("fixed_port_id", sa.String(length=36), nullable=False),
        sa.Column("fixed_ip", sa.String(length=45), nullable=True),
        _of("local_ip_port_association", "local_ip_id", "local_ip", "CASCADE"),
        _of("local_ip_port_association", "fixed_port_id", "port", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_local_ip_port_association")),
        sa.UniqueConstraint(
            "local_ip_id",
            "fixed_port_id",
            name=op.f("uq_local_ip_port_association_local_ip_id_fixed_port_id"),
        ),
    )
    _indexes("local_ip_port_association", "local_ip_id", "fixed_port_id")
