"""RBAC policies in place of networks' column `shared`, and quotas."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rbac_policy",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("object_type", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.String(length=36), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target_tenant", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rbac_policy")),
        sa.UniqueConstraint(
            "object_id", "action", "target_tenant", name=op.f("uq_rbac_policy_object_id_action_target_tenant")
        ),
    )
    op.create_index(op.f("ix_rbac_policy_project_id"), "rbac_policy", ["project_id"])
    op.create_index(op.f("ix_rbac_policy_object_id"), "rbac_policy", ["object_id"])
    _carry_over()
    # Not in batch mode, which would lose the table's partial indexes.
    op.execute("ALTER TABLE network DROP COLUMN shared")
    op.create_table(
        "quota",
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_quota")),
    )


def _carry_over() -> None:
    """Say with policies what the networks' columns say: shared, and external ones are seen by all."""
    names = ("id", "project_id", "created_at", "shared", "router_external")
    network = sa.table("network", *(sa.column(name) for name in names))
    policy = sa.table(
        "rbac_policy",
        *(sa.column(name) for name in ("id", "project_id", "created_at", "updated_at", "revision_number")),
        *(sa.column(name) for name in ("object_type", "object_id", "action", "target_tenant")),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(network)).all():
        for granted, action in (
            (row.shared, "access_as_shared"),
            (row.router_external, "access_as_external"),
        ):
            if granted:
                values = {
                    "id": str(uuid.uuid4()),
                    "project_id": row.project_id,
                    "created_at": row.created_at,
                    "updated_at": row.created_at,
                    "revision_number": 1,
                    "object_type": "network",
                    "object_id": row.id,
                    "action": action,
                    "target_tenant": "*",
                }
                connection.execute(policy.insert(), values)
