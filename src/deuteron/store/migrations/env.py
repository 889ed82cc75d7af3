"""Run by Alembic; the connection and its transaction are the caller's."""

from typing import Any, Literal

from alembic import context

from deuteron.store.schema import Json, metadata


def _render(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """A migration names database types, not ours: those may change."""
    return "sa.Text()" if kind == "type" and isinstance(item, Json) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    render_item=_render,
)
context.run_migrations()
