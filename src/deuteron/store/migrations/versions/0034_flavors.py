"""Flavours and service profiles."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def _standard() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("description", sa.String(length=1024), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "flavor",
        *_standard(),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("service_type", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flavor")),
    )
    op.create_table(
        "service_profile",
        *_standard(),
        sa.Column("driver", sa.String(length=1024), nullable=False),
        sa.Column("metainfo", sa.String(length=4096), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_profile")),
    )
    op.create_table(
        "flavor_service_profile",
        sa.Column("flavor_id", sa.String(length=36), nullable=False),
        sa.Column("service_profile_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["flavor_id"], ["flavor.id"], name=op.f("fk_flavor_service_profile_flavor_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["service_profile_id"],
            ["service_profile.id"],
            name=op.f("fk_flavor_service_profile_service_profile_id"),
        ),
        sa.PrimaryKeyConstraint("flavor_id", "service_profile_id", name=op.f("pk_flavor_service_profile")),
    )
    op.create_table(
        "router_flavor",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("flavor_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["router.id"], name=op.f("fk_router_flavor_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_router_flavor")),
    )
