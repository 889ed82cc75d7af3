"""No two ports get the same address, also from several controllers at once."""

import threading

from deuteron.resources import network, operations, port, subnet
from deuteron.resources.call import Call
from deuteron.resources.l2_errors import IpAddressGenerationFailure
from deuteron.resources.resource import Item, Resource
from deuteron.settings import ServerSettings
from deuteron.store import Database

SETTINGS = ServerSettings()


def _create(db: Database, resource: Resource, body: Item) -> Item:
    return db.write_now(
        lambda tx: operations.create(Call(tx=tx, settings=SETTINGS, project_id="p"), resource, body)
    )


def _subnet(db: Database, cidr: str) -> str:
    network_id = _create(db, network.resource, {})["id"]
    _create(db, subnet.resource, {"network_id": network_id, "ip_version": 4, "cidr": cidr})
    return str(network_id)


def test_two_controllers_share_a_pool_to_its_end(database_url: str) -> None:
    """Each has its own idea of what is free next; the database decides."""
    controllers = [Database(database_url), Database(database_url)]
    network_id = _subnet(controllers[0], "10.0.0.0/26")
    found: list[str] = []
    failed: list[str] = []

    def take(db: Database) -> None:
        while True:
            try:
                created = _create(db, port.resource, {"network_id": network_id})
            except IpAddressGenerationFailure:
                return
            except Exception as error:  # noqa: BLE001 - shown by the assertion below
                failed.append(repr(error))
                return
            found.append(created["fixed_ips"][0]["ip_address"])

    threads = [threading.Thread(target=take, args=(db,)) for db in controllers for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for db in controllers:
        db.close()
    assert failed == []
    assert sorted(found) == sorted(f"10.0.0.{number}" for number in range(2, 63))


def test_a_restarted_controller_finds_what_is_free(database_url: str) -> None:
    db = Database(database_url)
    network_id = _subnet(db, "10.0.0.0/24")
    ports = [_create(db, port.resource, {"network_id": network_id}) for _ in range(5)]
    db.write_now(lambda tx: operations.delete(Call(tx=tx, settings=SETTINGS), port.resource, ports[1]["id"]))
    db.close()
    again = Database(database_url)
    created = [_create(again, port.resource, {"network_id": network_id}) for _ in range(2)]
    again.close()
    assert [one["fixed_ips"][0]["ip_address"] for one in created] == ["10.0.0.3", "10.0.0.7"]


def test_concurrent_subnets_of_a_network_do_not_overlap(db: Database) -> None:
    network_id = _create(db, network.resource, {})["id"]
    outcomes: list[str] = []

    def create() -> None:
        try:
            _create(db, subnet.resource, {"network_id": network_id, "ip_version": 4, "cidr": "10.0.0.0/24"})
        except Exception as error:  # noqa: BLE001 - the assertion below looks at it
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("created")

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["InvalidInput"] * 5 + ["created"]
