"""Address scopes and subnet pools."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0012"
branch_labels = None
depends_on = None


def _standard() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "address_scope",
        *_standard(),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_scope")),
    )
    op.create_index(op.f("ix_address_scope_project_id"), "address_scope", ["project_id"])
    op.create_table(
        "subnetpool",
        *_standard(),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("prefixes", sa.Text(), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("min_prefixlen", sa.Integer(), nullable=False),
        sa.Column("max_prefixlen", sa.Integer(), nullable=False),
        sa.Column("default_prefixlen", sa.Integer(), nullable=False),
        sa.Column("default_quota", sa.Integer(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("address_scope_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["address_scope_id"], ["address_scope.id"], name=op.f("fk_subnetpool_address_scope_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnetpool")),
    )
    for column in ("project_id", "address_scope_id"):
        op.create_index(op.f(f"ix_subnetpool_{column}"), "subnetpool", [column])
    op.create_index(
        "uq_subnetpool_default",
        "subnetpool",
        ["ip_version"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "subnetpool_tags",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["id"], ["subnetpool.id"], name=op.f("fk_subnetpool_tags_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnetpool_tags")),
    )
    op.create_index(op.f("ix_subnet_subnetpool_id"), "subnet", ["subnetpool_id"])
