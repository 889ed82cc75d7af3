"""The migrations make exactly the tables that the shipped resources declare."""

import threading

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from deuteron.resources import registry
from deuteron.store import Database, metadata
from deuteron.store.migrate import configuration, prepare

HINT = (
    "tables were declared or changed without a migration: write one in src/deuteron/store/migrations/versions"
)


def test_the_migrations_make_the_declared_tables(empty_database_url: str) -> None:
    registry.load()
    db = Database(empty_database_url)
    with db.migrating() as connection:
        command.upgrade(configuration(connection), "head")
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
    db.close()
    assert difference == [], HINT


def test_a_database_is_prepared_once_or_often_and_by_several(empty_database_url: str) -> None:
    controllers = [Database(empty_database_url) for _ in range(3)]
    failed: list[str] = []

    def run(db: Database) -> None:
        try:
            prepare(db)
        except Exception as error:  # noqa: BLE001 - the assertion below looks at it
            failed.append(repr(error))

    threads = [threading.Thread(target=run, args=(db,)) for db in controllers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    prepare(controllers[0])
    with controllers[0].migrating() as connection:
        tables = set(inspect(connection).get_table_names())
    for db in controllers:
        db.close()
    assert failed == []
    assert tables >= set(metadata.tables)
