"""Security groups, default rules, address groups; ports that are there already stay unfiltered."""

import datetime
import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0011"
branch_labels = None
depends_on = None


def _standard(*, named: bool) -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(length=36), nullable=False),
        *([sa.Column("name", sa.String(length=255), nullable=False)] if named else []),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
    ]


def _rule() -> list[sa.Column[Any]]:
    return [
        sa.Column("direction", sa.String(length=64), nullable=False),
        sa.Column("ethertype", sa.String(length=40), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=True),
        sa.Column("port_range_min", sa.Integer(), nullable=True),
        sa.Column("port_range_max", sa.Integer(), nullable=True),
        sa.Column("remote_ip_prefix", sa.String(length=49), nullable=True),
        sa.Column("remote_group_id", sa.String(length=36), nullable=True),
        sa.Column("remote_address_group_id", sa.String(length=36), nullable=True),
    ]


def upgrade() -> None:
    _address_groups()
    _security_groups()
    _rules()
    _default_rules()
    # Until now nothing was filtered: ports that are in use must not fall silent by an upgrade.
    op.execute(sa.text("UPDATE port SET port_security_enabled = :off").bindparams(off=False))


def _address_groups() -> None:
    op.create_table(
        "address_group",
        *_standard(named=True),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_group")),
    )
    op.create_index(op.f("ix_address_group_project_id"), "address_group", ["project_id"])


def _security_groups() -> None:
    op.create_table(
        "security_group",
        *_standard(named=True),
        sa.Column("stateful", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_group")),
    )
    op.create_index(op.f("ix_security_group_project_id"), "security_group", ["project_id"])
    op.create_table(
        "default_security_group",
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("security_group_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["security_group.id"],
            name=op.f("fk_default_security_group_security_group_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_default_security_group")),
        sa.UniqueConstraint("security_group_id", name=op.f("uq_default_security_group_security_group_id")),
    )
    op.create_table(
        "port_security_group",
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("security_group_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["port_id"], ["port.id"], name=op.f("fk_port_security_group_port_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["security_group.id"],
            name=op.f("fk_port_security_group_security_group_id"),
        ),
        sa.PrimaryKeyConstraint("port_id", "security_group_id", name=op.f("pk_port_security_group")),
    )
    op.create_index(
        op.f("ix_port_security_group_security_group_id"), "port_security_group", ["security_group_id"]
    )


def _rules() -> None:
    op.create_table(
        "security_group_rule",
        *_standard(named=False),
        *_rule(),
        sa.Column("security_group_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["remote_address_group_id"],
            ["address_group.id"],
            name=op.f("fk_security_group_rule_remote_address_group_id"),
        ),
        sa.ForeignKeyConstraint(
            ["remote_group_id"],
            ["security_group.id"],
            name=op.f("fk_security_group_rule_remote_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["security_group.id"],
            name=op.f("fk_security_group_rule_security_group_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_group_rule")),
    )
    for column in ("project_id", "security_group_id", "remote_group_id", "remote_address_group_id"):
        op.create_index(op.f(f"ix_security_group_rule_{column}"), "security_group_rule", [column])


def _default_rules() -> None:
    table = op.create_table(
        "default_security_group_rule",
        *_standard(named=False),
        *_rule(),
        sa.Column("used_in_default_sg", sa.Boolean(), nullable=False),
        sa.Column("used_in_non_default_sg", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_default_security_group_rule")),
    )
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [
        {
            "id": str(uuid.uuid4()),
            "description": "",
            "project_id": "",
            "created_at": now,
            "updated_at": now,
            "revision_number": 1,
            "direction": direction,
            "ethertype": ethertype,
            "remote_group_id": "PARENT" if direction == "ingress" else None,
            "used_in_default_sg": True,
            "used_in_non_default_sg": direction == "egress",
        }
        for direction in ("egress", "ingress")
        for ethertype in ("IPv4", "IPv6")
    ]
    op.bulk_insert(table, rows)
