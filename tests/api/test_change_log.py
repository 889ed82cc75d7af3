"""Whoever follows the change log knows at any time what a whole look at the database would show."""

from typing import Any

import pytest

from deuteron.plan import loading
from deuteron.plan.rows import Row
from deuteron.plan.state import State
from deuteron.store import Database, Tx
from tests.api.conftest import Answer, Client, Topology

Rows = dict[tuple[type[Row], str], Row]


def _rows(state: State) -> Rows:
    kinds = [kind for kind, _ in loading.LOADERS.values()]
    return {(kind, id_): row for kind in kinds for id_, row in state.table(kind).rows.items()}


class Followed:
    """A client of the API that has what it changes followed."""

    def __init__(self, api: Client, db: Database) -> None:
        self._api, self._db = api, db
        state, self._cursor = db.read_now(loading.snapshot)
        self._known = _rows(state)

    def does(self, method: str, path: str, /, **body: Any) -> Answer:
        """Do what must work; then what was followed must be what there is."""
        answer = self._api.request(method, path, body or None)
        assert answer.status < 300, (method, path, answer)
        changed, self._cursor = self._db.read_now(self._changes)
        for one in changed:
            if one.row is None:
                self._known.pop((one.kind, one.id), None)
            else:
                self._known[one.kind, one.id] = one.row
        there = _rows(self._db.read_now(loading.snapshot)[0])
        differs = [key for key in there.keys() | self._known.keys() if there.get(key) != self._known.get(key)]
        assert not differs, (method, path, body)
        return answer

    def makes(self, path: str, kind: str, /, **values: Any) -> str:
        """Create something; return its id."""
        return str(self.does("POST", path, **{kind: values}).body[kind]["id"])

    def _changes(self, tx: Tx) -> Any:
        return loading.changes(tx, self._cursor)


@pytest.fixture
def followed(api: Client, db: Database, topology: Topology) -> Followed:
    assert topology.port
    return Followed(api, db)


def test_routers(followed: Followed, topology: Topology) -> None:
    path = f"/routers/{topology.router}"
    for changes in (
        {"enable_default_route_ecmp": True},
        {"enable_default_route_bfd": True, "name": "other"},
        {"enable_default_route_ecmp": False},
        {"routes": [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}]},
        {"admin_state_up": False},
    ):
        followed.does("PUT", path, router=changes)
    more = {"external_gateways": [{"network_id": topology.external}]}
    added = followed.does("PUT", f"{path}/add_external_gateways", router=more).body["router"]
    last = {"external_gateways": added["external_gateways"][-1:]}
    followed.does("PUT", f"{path}/remove_external_gateways", router=last)
    helper = {"helper": "ftp", "protocol": "tcp", "port": 21}
    made = followed.makes(f"{path}/conntrack_helpers", "conntrack_helper", **helper)
    followed.does("PUT", f"{path}/conntrack_helpers/{made}", conntrack_helper={"port": 2121})
    followed.does("DELETE", f"{path}/conntrack_helpers/{made}")
    log = followed.makes("/log/logs", "log", resource_type="snat", resource_id=topology.router)
    followed.does("PUT", f"/log/logs/{log}", log={"enabled": False})
    followed.does("DELETE", f"/log/logs/{log}")
    label = followed.makes("/metering/metering-labels", "metering_label", name="m")
    rule = {"metering_label_id": label, "direction": "egress", "source_ip_prefix": "10.0.0.0/24"}
    counted = followed.makes("/metering/metering-label-rules", "metering_label_rule", **rule)
    followed.does("DELETE", f"/metering/metering-label-rules/{counted}")
    followed.does("DELETE", f"/metering/metering-labels/{label}")


def test_policies(followed: Followed, topology: Topology) -> None:
    policy = followed.makes("/qos/policies", "policy", name="p")
    rules = f"/qos/policies/{policy}/dscp_marking_rules"
    rule = followed.makes(rules, "dscp_marking_rule", dscp_mark=8)
    followed.does("PUT", f"{rules}/{rule}", dscp_marking_rule={"dscp_mark": 10})
    gateway = {"network_id": topology.external, "qos_policy_id": policy}
    for held in (policy, None):
        for kind, id_ in (("network", topology.network), ("port", topology.port)):
            followed.does("PUT", f"/{kind}s/{id_}", **{kind: {"qos_policy_id": held}})
        info = {**gateway, "qos_policy_id": held}
        followed.does("PUT", f"/routers/{topology.router}", router={"external_gateway_info": info})
    followed.does("DELETE", f"{rules}/{rule}")
    followed.does("DELETE", f"/qos/policies/{policy}")


def test_floating_ips(followed: Followed, topology: Topology, api: Client) -> None:
    floating = followed.makes("/floatingips", "floatingip", floating_network_id=topology.external)
    path, port = f"/floatingips/{floating}", api.shown("port", topology.port)
    forwarding = {
        "protocol": "tcp",
        "external_port": 2222,
        "internal_port": 22,
        "internal_port_id": port["id"],
        "internal_ip_address": port["fixed_ips"][0]["ip_address"],
    }
    made = followed.makes(f"{path}/port_forwardings", "port_forwarding", **forwarding)
    followed.does("PUT", f"{path}/port_forwardings/{made}", port_forwarding={"external_port": 2223})
    followed.does("DELETE", f"{path}/port_forwardings/{made}")
    policy = followed.makes("/qos/policies", "policy", name="p")
    for changes in ({"port_id": port["id"]}, {"qos_policy_id": policy}, {"port_id": None}):
        followed.does("PUT", path, floatingip=changes)
    followed.does("DELETE", path)


def test_ports_and_what_they_are_part_of(followed: Followed, topology: Topology) -> None:
    path, guest = f"/ports/{topology.port}", {"device_id": "i", "device_owner": "compute:nova"}
    group = followed.makes("/security-groups", "security_group", name="g")
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp"}
    followed.makes("/security-group-rules", "security_group_rule", **rule)
    for changes in (
        {"allowed_address_pairs": [{"ip_address": "192.0.2.0/24"}]},
        {"extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1400"}]},
        {"security_groups": [group]},
        {"security_groups": [], "allowed_address_pairs": [], "port_security_enabled": False},
        {"admin_state_up": False},
        {**guest, "binding:host_id": "one"},
    ):
        followed.does("PUT", path, port=changes)
    child = followed.makes("/ports", "port", network_id=topology.network)
    sub = {"port_id": child, "segmentation_type": "vlan", "segmentation_id": 7}
    parent = followed.makes("/ports", "port", network_id=topology.network, **guest)
    trunk = followed.makes("/trunks", "trunk", port_id=parent, sub_ports=[sub])
    followed.does("PUT", f"/ports/{parent}", port={"binding:host_id": "one"})
    followed.does("POST", f"/ports/{parent}/bindings", binding={"host": "two"})
    followed.does("PUT", f"/ports/{parent}/bindings/two/activate", binding={})
    followed.does("PUT", f"/trunks/{trunk}/remove_subports", sub_ports=[{"port_id": child}])
    followed.does("DELETE", f"/ports/{parent}/bindings/two")
    followed.does("PUT", f"/trunks/{trunk}/add_subports", sub_ports=[sub])
    followed.does("DELETE", f"/trunks/{trunk}")
    local = followed.makes("/local_ips", "local_ip", network_id=topology.network)
    led = {"fixed_port_id": topology.port}
    followed.does("POST", f"/local_ips/{local}/port_associations", port_association=led)
    followed.does("DELETE", f"/local_ips/{local}/port_associations/{topology.port}")
    followed.does("DELETE", f"/local_ips/{local}")


def test_networks_and_subnets(followed: Followed, topology: Topology) -> None:
    for changes in ({"mtu": 1400}, {"port_security_enabled": False}):
        followed.does("PUT", f"/networks/{topology.network}", network=changes)
    for route in (
        {"dns_nameservers": ["192.0.2.53"]},
        {"host_routes": [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}]},
        {"enable_dhcp": False},
    ):
        followed.does("PUT", f"/subnets/{topology.subnet}", subnet=route)
    names = followed.makes("/address-groups", "address_group", name="a", addresses=["192.0.2.1/32"])
    path = f"/address-groups/{names}"
    followed.does("PUT", f"{path}/add_addresses", address_group={"addresses": ["192.0.2.2/32"]})
    followed.does("DELETE", path)
