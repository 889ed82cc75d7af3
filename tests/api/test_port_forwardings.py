"""Port forwardings: what may be forwarded where, and what they hold on to."""

from typing import Any

import pytest

from deuteron.resources import router
from deuteron.store import Database
from tests.api.conftest import Answer, Client, Topology


def _floating(api: Client, topology: Topology) -> dict[str, Any]:
    return api.make("floatingip", floating_network_id=topology.external)


def _port(api: Client, topology: Topology) -> dict[str, Any]:
    return api.make("port", network_id=topology.network)


def _post(api: Client, floating: dict[str, Any], port: dict[str, Any], **more: Any) -> Answer:
    body = {
        "protocol": "tcp",
        "internal_port_id": port["id"],
        "internal_ip_address": port["fixed_ips"][0]["ip_address"],
        **more,
    }
    return api.post(f"/floatingips/{floating['id']}/port_forwardings", {"port_forwarding": body})


def _made(api: Client, floating: dict[str, Any], port: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = _post(api, floating, port, **more)
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.body["port_forwarding"]
    return made


def test_one_is_made_changed_and_deleted(api: Client, topology: Topology) -> None:
    floating, port = _floating(api, topology), _port(api, topology)
    made = _made(api, floating, port, external_port=2222, internal_port=22, description="ssh")
    path = f"/floatingips/{floating['id']}/port_forwardings/{made['id']}"
    assert made == {
        "id": made["id"],
        "protocol": "tcp",
        "internal_port_id": port["id"],
        "internal_ip_address": port["fixed_ips"][0]["ip_address"],
        "internal_port": 22,
        "internal_port_range": "22:22",
        "external_port": 2222,
        "external_port_range": "2222:2222",
        "description": "ssh",
    }
    shown = api.shown("floatingip", floating["id"])
    assert (shown["router_id"], shown["status"], shown["port_id"]) == (topology.router, "ACTIVE", None)
    assert shown["port_forwardings"] == [
        {k: made[k] for k in made if k != "description" and not k.endswith("range")}
    ]
    changed = api.put(path, {"port_forwarding": {"external_port": 2223}}).body["port_forwarding"]
    assert (changed["external_port"], changed["external_port_range"]) == (2223, "2223:2223")
    assert api.get(path).body["port_forwarding"] == changed
    assert api.delete(path).status == 204
    assert api.get(path).error == "PortForwardingNotFound"
    shown = api.shown("floatingip", floating["id"])
    assert (shown["router_id"], shown["status"], shown["port_forwardings"]) == (None, "DOWN", [])


def test_ranges(api: Client, topology: Topology) -> None:
    floating, port = _floating(api, topology), _port(api, topology)
    ranges = {"external_port_range": "8000:8009", "internal_port_range": "9000:9009"}
    made = _made(api, floating, port, **ranges)
    assert (made["external_port"], made["internal_port"]) == (None, None)
    assert made["external_port_range"] == "8000:8009"
    to_one = _made(api, floating, port, external_port_range="7000:7009", internal_port=80)
    assert (to_one["internal_port"], to_one["internal_port_range"]) == (80, "80:80")
    wrong: list[dict[str, Any]] = [
        {"external_port_range": "1:3", "internal_port_range": "1:2"},
        {"external_port": 8005, "internal_port": 1},
        {"external_port": 1, "internal_port": 9009},
        {"external_port_range": "7009:7010", "internal_port_range": "1:2"},
        {"external_port_range": "5:4", "internal_port": 1},
        {"external_port_range": "1:2:3", "internal_port": 1},
        {"external_port": 0, "internal_port": 1},
        {"external_port": 65536, "internal_port": 1},
        {"external_port": 1, "external_port_range": "2:2", "internal_port": 1},
        {"external_port": 1},
        {"internal_port": 1},
        {"external_port": 1, "internal_port": 1, "protocol": "icmp"},
        {"external_port": 1, "internal_port": 1, "internal_ip_address": "10.0.0.250"},
    ]
    for body in wrong:
        assert _post(api, floating, port, **body).status == 400, body
    assert _post(api, floating, port, external_port=8005, internal_port=9005, protocol="udp").status == 201


def test_they_are_listed_with_filters_and_pages(api: Client, topology: Topology) -> None:
    floating, port = _floating(api, topology), _port(api, topology)
    other = _floating(api, topology)
    for number in (3, 1, 2):
        _made(api, floating, port, external_port=number, internal_port=number)
    _made(api, other, port, external_port=1, internal_port=4)
    path = f"/floatingips/{floating['id']}/port_forwardings"

    def listed(query: str = "") -> list[int]:
        return [one["external_port"] for one in api.get(path + query).body["port_forwardings"]]

    assert sorted(listed()) == [1, 2, 3]
    assert listed("?external_port=2") == [2]
    assert listed("?protocol=udp") == []
    assert listed("?sort_key=external_port&sort_dir=desc&limit=2") == [3, 2]
    assert api.get(path + "?fields=protocol&external_port=1").body["port_forwardings"] == [
        {"protocol": "tcp"}
    ]
    assert api.get("/floatingips/nothing/port_forwardings").error == "FloatingIPNotFound"
    one = api.get(f"/floatingips/{other['id']}/port_forwardings").body["port_forwardings"][0]
    assert api.get(f"{path}/{one['id']}").error == "PortForwardingNotFound"


def test_a_floating_ip_is_either_forwarded_or_a_ports_own(api: Client, topology: Topology) -> None:
    floating, port, taken = _floating(api, topology), _port(api, topology), _port(api, topology)
    own = api.make("floatingip", floating_network_id=topology.external, port_id=taken["id"])
    assert _post(api, floating, taken, external_port=1, internal_port=1).error == "PortHasBindingFloatingIP"
    assert _post(api, own, port, external_port=1, internal_port=1).error == "FloatingIPPortAlreadyAssociated"
    _made(api, floating, port, external_port=1, internal_port=1)
    path = f"/floatingips/{floating['id']}"
    assert api.put(path, {"floatingip": {"port_id": taken["id"]}}).error == "FipInUseByPortForwarding"
    kept = api.put(path, {"floatingip": {"port_id": None, "description": "x"}}).body["floatingip"]
    assert (kept["router_id"], kept["status"]) == (topology.router, "ACTIVE")
    assert api.delete(path).error == "FipInUseByPortForwarding"


def test_what_leads_to_it_stays_as_long_as_it_does(api: Client, topology: Topology) -> None:
    floating, port = _floating(api, topology), _port(api, topology)
    _made(api, floating, port, external_port=1, internal_port=1)
    removed = api.put(f"/routers/{topology.router}/remove_router_interface", {"subnet_id": topology.subnet})
    assert removed.error == "RouterInterfaceInUseByFloatingIP"
    cleared = api.put(f"/routers/{topology.router}", {"router": {"external_gateway_info": None}})
    assert cleared.error == "RouterExternalGatewayInUseByFloatingIp"


@pytest.mark.parametrize("deleted", [True, False])
def test_it_goes_with_its_port_or_address(api: Client, topology: Topology, deleted: bool) -> None:
    floating, port = _floating(api, topology), _port(api, topology)
    _made(api, floating, port, external_port=1, internal_port=1)
    if deleted:
        assert api.delete(f"/ports/{port['id']}").status == 204
    else:
        body = {"port": {"fixed_ips": [{"ip_address": "10.0.0.222"}]}}
        assert api.put(f"/ports/{port['id']}", body).status == 200
    shown = api.shown("floatingip", floating["id"])
    assert (shown["router_id"], shown["port_forwardings"]) == (None, [])


def test_it_needs_a_router_on_the_way(api: Client, topology: Topology) -> None:
    floating = _floating(api, topology)
    network = api.make("network")["id"]
    api.make("subnet", network_id=network, ip_version=4, cidr="10.9.0.0/24")
    port = api.make("port", network_id=network)
    answer = _post(api, floating, port, external_port=1, internal_port=1)
    assert (answer.status, answer.error) == (400, "BadRequest")
    assert "not reachable" in answer.message


@pytest.mark.parametrize("distributed", [True, False])
def test_a_forwarded_port_has_no_floating_ip_of_a_distributed_router(
    db: Database, api: Client, topology: Topology, distributed: bool
) -> None:
    one, port = _floating(api, topology), _port(api, topology)
    _made(api, one, port, external_port=1, internal_port=1)
    change = router.resource.table.update().values(distributed=distributed)
    db.write_now(lambda tx: tx.execute(change))
    other = _floating(api, topology)
    answer = api.put(f"/floatingips/{other['id']}", {"floatingip": {"port_id": port["id"]}})
    assert answer.error == ("PortHasPortForwarding" if distributed else "")
