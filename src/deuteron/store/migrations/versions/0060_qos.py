"""QoS policies, their rules, and who has them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0071"
branch_labels = None
depends_on = None


def _id() -> sa.Column[Any]:
    return sa.Column("id", sa.String(length=36), nullable=False)


def _times() -> list[sa.Column[Any]]:
    return [
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
    ]


def _rule(name: str, *columns: sa.Column[Any]) -> None:
    """Make the table of a type of rules; a policy has one of each direction."""
    table = f"policy_{name}_rule"
    unique = [
        column for column in ("policy_id", "direction") if column in ("policy_id", *(c.name for c in columns))
    ]
    op.create_table(
        table,
        _id(),
        *_times(),
        sa.Column("policy_id", sa.String(length=36), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policy.id"], name=op.f(f"fk_{table}_policy_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(*unique, name=op.f(f"uq_{table}_{'_'.join(unique)}")),
    )
    op.create_index(op.f(f"ix_{table}_policy_id"), table, ["policy_id"])


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _direction() -> sa.Column[Any]:
    return sa.Column("direction", sa.String(length=64), nullable=False)


def _user(owner: str, column: str) -> None:
    """Make the table of what has a policy."""
    table = f"{owner}_qos"
    op.create_table(
        table,
        _id(),
        sa.Column(column, sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["id"], [f"{owner}.id"], name=op.f(f"fk_{table}_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def upgrade() -> None:
    op.create_table(
        "policy",
        _id(),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        *_times(),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy")),
    )
    op.create_index(op.f("ix_policy_project_id"), "policy", ["project_id"])
    default = sa.text("is_default")
    op.create_index(
        "uq_policy_default",
        "policy",
        ["project_id"],
        unique=True,
        sqlite_where=default,
        postgresql_where=default,
    )
    op.create_table(
        "policy_tags",
        _id(),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["policy.id"], name=op.f("fk_policy_tags_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_tags")),
    )
    _rule("bandwidth_limit", _number("max_kbps"), _number("max_burst_kbps"), _direction())
    _rule("dscp_marking", _number("dscp_mark"))
    _rule("minimum_bandwidth", _number("min_kbps"), _direction())
    _rule("minimum_packet_rate", _number("min_kpps"), _direction())
    _rule("packet_rate_limit", _number("max_kpps"), _number("max_burst_kpps"), _direction())
    for owner in ("port", "network", "floatingip"):
        _user(owner, "qos_policy_id")
    _user("router", "gateway_qos_policy_id")
