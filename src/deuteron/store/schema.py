"""What every table of Deuteron shares: one `MetaData`, names of constraints, and two column types.

Tables of resources are derived from their attributes (see deuteron.resources.resource); this module
knows none of them.
"""

import datetime
from typing import Any

import msgspec
from sqlalchemy import Dialect, MetaData, Text, TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID_LENGTH = 36
"""An id is a UUID with dashes."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


class Json(TypeDecorator[Any]):
    """A JSON value in a text column; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Encode."""
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Decode; most values are empty, and a list has thousands of them."""
        if value == "[]":
            return []
        if value == "{}":
            return {}
        return None if value is None else _decode(value)


def timestamp() -> str:
    """Return the time now in UTC as the API shows it, "2026-11-23T08:15:30Z": sorts as text."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
