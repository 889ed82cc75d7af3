"""Tables, transactions, the change log."""

from deuteron.store import identity, lease
from deuteron.store.database import Database, DatabaseError, Tx
from deuteron.store.feed import Change, Cursor, TooOld
from deuteron.store.schema import ID_LENGTH, Json, metadata, timestamp

__all__ = [
    "ID_LENGTH",
    "Change",
    "Cursor",
    "Database",
    "DatabaseError",
    "Json",
    "TooOld",
    "Tx",
    "identity",
    "lease",
    "metadata",
    "timestamp",
]
