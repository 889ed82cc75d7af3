"""Segments of networks, ranges of their numbers, and subnets of segments."""

import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0091"
down_revision = "0115"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _segments()
    _ranges()
    for name in ("segment", "network_segment_range"):
        op.create_table(
            f"{name}_tags",
            sa.Column("id", sa.String(length=36), nullable=False),
            sa.Column("tags", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(
                ["id"], [f"{name}.id"], name=op.f(f"fk_{name}_tags_id"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}_tags")),
        )
    op.add_column("subnet", sa.Column("segment_id", sa.String(length=36), nullable=True))
    op.create_index(op.f("ix_subnet_segment_id"), "subnet", ["segment_id"])
    op.add_column(
        "port", sa.Column("ip_allocation", sa.String(length=64), nullable=False, server_default="immediate")
    )
    _of_networks()
    op.drop_index("uq_network_flat", table_name="network")
    op.drop_index("uq_network_vni", table_name="network")


def _standard() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
    ]


def _segments() -> None:
    op.create_table(
        "segment",
        *_standard(),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("network_type", sa.String(length=64), nullable=False),
        sa.Column("physical_network", sa.String(length=64), nullable=True),
        sa.Column("segmentation_id", sa.Integer(), nullable=True),
        sa.Column("segment_index", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"], ["network.id"], name=op.f("fk_segment_network_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment")),
    )
    op.create_index(op.f("ix_segment_network_id"), "segment", ["network_id"])
    unique = {
        "flat": ["physical_network"],
        "vlan": ["physical_network", "segmentation_id"],
        "vxlan": ["segmentation_id"],
    }
    for kind, columns in unique.items():
        where = sa.text(f"network_type = '{kind}'")
        op.create_index(
            f"uq_segment_{kind}",
            "segment",
            columns,
            unique=True,
            sqlite_where=where,
            postgresql_where=where,
        )


def _ranges() -> None:
    op.create_table(
        "network_segment_range",
        *_standard(),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=True),
        sa.Column("default", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("network_type", sa.String(length=64), nullable=False),
        sa.Column("physical_network", sa.String(length=64), nullable=True),
        sa.Column("minimum", sa.BigInteger(), nullable=False),
        sa.Column("maximum", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_segment_range")),
    )
    op.create_index(op.f("ix_network_segment_range_project_id"), "network_segment_range", ["project_id"])


def _of_networks() -> None:
    """Give each network the segment that it has been on."""
    network = sa.table("network")
    copied = ["project_id", "created_at", "updated_at"]
    columns: list[Any] = [sa.column(name) for name in ("id", *copied)]
    kinds: list[Any] = [
        sa.column(f"provider_{name}") for name in ("network_type", "physical_network", "segmentation_id")
    ]
    named = ["id", *copied, "network_id", "network_type", "physical_network", "segmentation_id"]
    into = sa.table("segment", *(sa.column(name) for name in (*named, "revision_number", "segment_index")))
    connection = op.get_bind()
    found = connection.execute(sa.select(*columns, *kinds).select_from(network)).all()
    for row in found:
        values = {name: getattr(row, name) for name in copied}
        values |= {one.name.removeprefix("provider_"): getattr(row, one.name) for one in kinds}
        values |= {"id": str(uuid.uuid4()), "network_id": row.id, "revision_number": 1, "segment_index": 0}
        connection.execute(sa.insert(into).values(values))
