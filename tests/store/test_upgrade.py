"""What a database with things in it becomes when it is upgraded."""

import datetime
from typing import Any

from alembic import command
from sqlalchemy import Boolean, Connection, Integer, MetaData, Table, insert, select

from deuteron.resources import registry
from deuteron.store import Database
from deuteron.store.migrate import configuration


def _add(connection: Connection, table_name: str, **values: Any) -> None:
    """Insert a row; columns that are not named and must not be null get something of their type."""
    table = Table(table_name, MetaData(), autoload_with=connection)
    for column in table.columns:
        if column.name not in values and not column.nullable:
            kind = column.type
            values[column.name] = (
                False if isinstance(kind, Boolean) else 1 if isinstance(kind, Integer) else "[]"
            )
    connection.execute(insert(table), values)


def test_ports_that_were_never_filtered_stay_so(empty_database_url: str) -> None:
    registry.load()
    db = Database(empty_database_url)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with db.migrating() as connection:
        command.upgrade(configuration(connection), "0011")
        _add(connection, "network", id="n", name="net", created_at=now, updated_at=now)
        _add(
            connection,
            "port",
            id="p",
            network_id="n",
            mac_address="fa:16:3e:00:00:01",
            port_security_enabled=True,
            created_at=now,
            updated_at=now,
        )
    with db.migrating() as connection:
        command.upgrade(configuration(connection), "head")
        port = Table("port", MetaData(), autoload_with=connection)
        rules = Table("default_security_group_rule", MetaData(), autoload_with=connection)
        assert connection.execute(select(port.c.port_security_enabled)).scalars().all() == [False]
        said = connection.execute(select(rules.c.direction, rules.c.ethertype, rules.c.remote_group_id))
        assert sorted(map(str, said)) == sorted(
            map(
                str,
                [
                    ("egress", "IPv4", None),
                    ("egress", "IPv6", None),
                    ("ingress", "IPv4", "PARENT"),
                    ("ingress", "IPv6", "PARENT"),
                ],
            )
        )
    db.close()
