"""A database from before RBAC policies: what its networks said, policies say."""

from alembic import command
from sqlalchemy import MetaData, Table, select

from deuteron.resources import registry
from deuteron.settings import ServerSettings
from deuteron.store import Database
from deuteron.store.migrate import configuration, prepare
from tests.api.conftest import serve

BEFORE = "0006"
IDS = {
    (shared, external): f"{number:032x}"
    for number, (shared, external) in enumerate([(False, False), (True, False), (False, True), (True, True)])
}


def test_networks_stay_shared_and_external(empty_database_url: str) -> None:
    registry.load()
    db = Database(empty_database_url)
    with db.migrating() as connection:
        command.upgrade(configuration(connection), BEFORE)
        network = Table("network", MetaData(), autoload_with=connection)
        connection.execute(network.insert(), [_row(*kind) for kind in IDS])
    prepare(db)
    for api in serve(db, ServerSettings()):
        networks = {one["id"]: one for one in api.get("/networks").body["networks"]}
        assert {
            kind: (networks[id_]["shared"], networks[id_]["router:external"]) for kind, id_ in IDS.items()
        } == {kind: kind for kind in IDS}
        policies = api.get("/rbac-policies").body["rbac_policies"]
        assert {(one["object_id"], one["action"], one["target_tenant"]) for one in policies} == {
            (IDS[True, False], "access_as_shared", "*"),
            (IDS[False, True], "access_as_external", "*"),
            (IDS[True, True], "access_as_shared", "*"),
            (IDS[True, True], "access_as_external", "*"),
        }
    with db.migrating() as connection:
        assert "shared" not in Table("network", MetaData(), autoload_with=connection).c
        assert connection.execute(select(Table("quota", MetaData(), autoload_with=connection))).all() == []
    db.close()


def _row(shared: bool, external: bool) -> dict[str, object]:
    return {
        "id": IDS[shared, external],
        "name": "n",
        "description": "",
        "project_id": "p",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "revision_number": 1,
        "admin_state_up": True,
        "status": "ACTIVE",
        "shared": shared,
        "router_external": external,
        "is_default": False,
        "mtu": 1450,
        "port_security_enabled": True,
        "dns_domain": "",
        "availability_zone_hints": "[]",
        "provider_network_type": "vxlan",
        "provider_physical_network": None,
        "provider_segmentation_id": 2 * shared + external + 1,
    }
