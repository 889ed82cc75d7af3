"""Which database it is: a name made once, by which an agent knows from where its plan came."""

import uuid

from sqlalchemy import Column, Connection, String, Table, select

from deuteron.store.database import Tx
from deuteron.store.schema import ID_LENGTH, metadata

_table = Table(
    "identity",
    metadata,
    Column("name", String(ID_LENGTH), primary_key=True),
    Column("id", String(ID_LENGTH), nullable=False),
)
_NAME = "database"


def ensure(connection: Connection) -> None:
    """Give the database an identity unless it has one."""
    if connection.execute(select(_table.c.id)).first() is None:
        connection.execute(_table.insert(), {"name": _NAME, "id": str(uuid.uuid4())})


def read(tx: Tx) -> str:
    """Return the identity."""
    return str(tx.execute(select(_table.c.id)).scalar_one())
