"""Bring a database to the tables of this version: migrations, then what extensions add.

The migrations make the tables that Deuteron ships. An extension that is a new file has none: a table
of its own is created if it is not there.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from deuteron.store import identity
from deuteron.store.database import Database, DatabaseError
from deuteron.store.schema import metadata


def prepare(db: Database) -> None:
    """Make all tables as they must be. Several controllers may do so at once. Raises DatabaseError."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with db.migrating() as connection:
            command.upgrade(configuration(connection), "head")
            metadata.create_all(connection)
            identity.ensure(connection)
    except OperationalError as error:
        shown = db.url.render_as_string(hide_password=True)
        raise DatabaseError(f"{shown} cannot be used: {' '.join(str(error.orig).split())}") from None


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration, on this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
