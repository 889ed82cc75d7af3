"""What routers do besides: conntrack helpers, NDP proxies, metering; and where floating IPs can come from."""

from typing import Any

import pytest

from tests.api.conftest import Answer, Client, Topology


def _helper(api: Client, topology: Topology, **body: Any) -> Answer:
    wanted = {"protocol": "tcp", "port": 21, "helper": "ftp", **body}
    return api.post(f"/routers/{topology.router}/conntrack_helpers", {"conntrack_helper": wanted})


def test_conntrack_helpers(api: Client, topology: Topology) -> None:
    before = api.shown("router", topology.router)
    assert before["conntrack_helpers"] == []
    made = _helper(api, topology).body["conntrack_helper"]
    assert made == {"id": made["id"], "protocol": "tcp", "port": 21, "helper": "ftp"}
    assert _helper(api, topology).status == 400
    assert _helper(api, topology, helper="irc", port=6667).status == 201
    path = f"/routers/{topology.router}/conntrack_helpers/{made['id']}"
    assert api.put(path, {"conntrack_helper": {"helper": "irc", "port": 6667}}).status == 400
    changed = api.put(path, {"conntrack_helper": {"port": 2121}}).body["conntrack_helper"]
    assert changed["port"] == 2121
    shown = api.shown("router", topology.router)
    assert shown["conntrack_helpers"] == [
        {"protocol": "tcp", "port": 2121, "helper": "ftp"},
        {"protocol": "tcp", "port": 6667, "helper": "irc"},
    ]
    assert shown["revision_number"] > before["revision_number"]
    listed = api.get(f"/routers/{topology.router}/conntrack_helpers?helper=irc")
    assert [one["port"] for one in listed.body["conntrack_helpers"]] == [6667]
    assert api.delete(path).status == 204
    assert api.get(path).error == "ConntrackHelperNotFound"


def test_helpers_that_cannot_be(api: Client, topology: Topology) -> None:
    assert _helper(api, topology, helper="quake").error == "ConntrackHelperNotAllowed"
    assert _helper(api, topology, protocol="udp").error == "InvalidProtocolForHelper"
    assert _helper(api, topology, protocol="smoke").status == 400
    assert _helper(api, topology, port=0).status == 400


class Six:
    """A router whose two sides have IPv6 subnets of one address scope, and a port inside."""

    def __init__(self, api: Client) -> None:
        named = {"name": "six", "ip_version": 6}
        scope = api.post("/address-scopes", {"address_scope": named}).body["address_scope"]["id"]
        pool = api.make(
            "subnetpool", name="six", prefixes=["2001:db8::/32"], default_prefixlen=64, address_scope_id=scope
        )["id"]
        self.external = api.make("network", router__external=True)["id"]
        api.make("subnet", network_id=self.external, ip_version=4, cidr="203.0.113.0/24")
        api.make("subnet", network_id=self.external, ip_version=6, subnetpool_id=pool)
        self.network = api.make("network")["id"]
        self.subnet = api.make("subnet", network_id=self.network, ip_version=6, subnetpool_id=pool)["id"]
        self.router = api.make("router", external_gateway_info={"network_id": self.external})["id"]
        added = api.put(f"/routers/{self.router}/add_router_interface", {"subnet_id": self.subnet})
        assert added.status == 200, added
        self.port = api.make("port", network_id=self.network)


def _enable(api: Client, router: str, on: bool = True) -> Answer:
    return api.put(f"/routers/{router}", {"router": {"enable_ndp_proxy": on}})


def _proxy(api: Client, six: Six, **more: Any) -> Answer:
    wanted = {"router_id": six.router, "port_id": six.port["id"], **more}
    return api.post("/ndp_proxies", {"ndp_proxy": wanted})


def test_ndp_proxies(api: Client) -> None:
    six = Six(api)
    address = six.port["fixed_ips"][0]["ip_address"]
    assert _proxy(api, six).error == "RouterNDPProxyNotEnable"
    assert _enable(api, six.router).body["router"]["enable_ndp_proxy"] is True
    made = _proxy(api, six, name="web").body["ndp_proxy"]
    assert (made["ip_address"], made["name"]) == (address, "web")
    assert _proxy(api, six).status == 409
    assert _proxy(api, six, ip_address="2001:db8:9::9").error == "InvalidAddress"
    renamed = api.put(f"/ndp_proxies/{made['id']}", {"ndp_proxy": {"name": "www"}}).body["ndp_proxy"]
    assert renamed["name"] == "www"
    assert api.put(f"/ndp_proxies/{made['id']}", {"ndp_proxy": {"ip_address": "::1"}}).status == 400
    detached = api.put(f"/routers/{six.router}/remove_router_interface", {"subnet_id": six.subnet})
    assert detached.error == "RouterInterfaceInUseByNDPProxy"
    cleared = api.put(f"/routers/{six.router}", {"router": {"external_gateway_info": None}})
    assert cleared.error == "RouterGatewayInUseByNDPProxy"
    assert api.delete(f"/ports/{six.port['id']}").status == 204
    assert api.get(f"/ndp_proxies/{made['id']}").error == "NDPProxyNotFound"
    cleared = api.put(f"/routers/{six.router}", {"router": {"external_gateway_info": None}})
    assert cleared.body["router"]["enable_ndp_proxy"] is False


def test_ndp_proxies_need_a_scope_in_common(api: Client, topology: Topology) -> None:
    assert _enable(api, topology.router).error == "RouterGatewayNotValid"
    six = Six(api)
    waiting = api.make("router", enable_ndp_proxy=True)
    assert waiting["enable_ndp_proxy"] is False
    path, info = f"/routers/{waiting['id']}", {"network_id": topology.external}
    assert api.put(path, {"router": {"external_gateway_info": info}}).error == "RouterGatewayNotValid"
    info = {"network_id": six.external}
    given = api.put(f"{path}/add_external_gateways", {"router": {"external_gateways": [info]}})
    assert given.body["router"]["enable_ndp_proxy"] is True
    _enable(api, six.router)
    network = api.make("network")["id"]
    subnet = api.make("subnet", network_id=network, ip_version=6, cidr="2001:db9::/64")["id"]
    port = api.make("port", network_id=network)
    assert _proxy(api, six, port_id=port["id"]).error == "PortUnreachableRouter"
    api.put(f"/routers/{six.router}/add_router_interface", {"subnet_id": subnet})
    assert _proxy(api, six, port_id=port["id"]).error == "AddressScopeConflict"


def _rule(api: Client, label: str, **body: Any) -> Answer:
    wanted = {"metering_label_id": label, "direction": "egress", **body}
    return api.post("/metering/metering-label-rules", {"metering_label_rule": wanted})


def test_metering(api: Client) -> None:
    answer = api.post("/metering/metering-labels", {"metering_label": {"name": "web", "shared": True}})
    label = answer.body["metering_label"]
    assert {**label, "id": "", "project_id": "", "tenant_id": ""} == {
        "id": "",
        "name": "web",
        "description": "",
        "shared": True,
        "project_id": "",
        "tenant_id": "",
    }
    path = f"/metering/metering-labels/{label['id']}"
    assert api.put(path, {"metering_label": {"name": "x"}}).status in (404, 405)
    rule = _rule(api, label["id"], remote_ip_prefix="10.0.0.0/24").body["metering_label_rule"]
    assert (rule["excluded"], rule["source_ip_prefix"]) == (False, None)
    overlap = _rule(api, label["id"], remote_ip_prefix="10.0.0.0/25")
    assert (overlap.status, overlap.error) == (409, "MeteringLabelRuleOverlaps")
    assert _rule(api, label["id"], remote_ip_prefix="10.0.0.0/25", excluded=True).status == 201
    both = {"source_ip_prefix": "10.0.0.0/8", "destination_ip_prefix": "192.0.2.0/24"}
    assert _rule(api, label["id"], **both).status == 201
    assert _rule(api, label["id"]).status == 400
    assert (
        _rule(api, label["id"], remote_ip_prefix="10.1.0.0/24", source_ip_prefix="10.2.0.0/24").status == 400
    )
    assert _rule(api, label["id"], source_ip_prefix="::/0", destination_ip_prefix="10.2.0.0/24").status == 400
    listed = api.get(f"/metering/metering-label-rules?metering_label_id={label['id']}&excluded=true")
    assert len(listed.body["metering_label_rules"]) == 1
    assert api.delete(f"/metering/metering-label-rules/{rule['id']}").status == 204
    assert api.delete(path).status == 204
    assert api.get(path).error == "MeteringLabelNotFound"
    assert api.get("/metering/metering-label-rules").body["metering_label_rules"] == []


def test_pools_of_floating_ips(api: Client, topology: Topology) -> None:
    pools = api.get("/floatingip-pools").body["floatingip_pools"]
    assert [(one["network_id"], one["subnet_id"]) for one in pools] == [
        (topology.external, topology.external_subnet)
    ]
    assert set(pools[0]) == {"subnet_id", "subnet_name", "network_id", "cidr", "project_id", "tenant_id"}
    assert api.get("/floatingip-pools?cidr=10.0.0.0/24").body["floatingip_pools"] == []


@pytest.mark.parametrize("used", [True, False])
def test_floating_ips_of_networks_that_are_external_no_more(api: Client, used: bool) -> None:
    external = api.make("network", router__external=True)["id"]
    api.make("subnet", network_id=external, ip_version=4, cidr="203.0.113.0/24")
    floating = api.make("floatingip", floating_network_id=external)
    if used:
        api.make("router", external_gateway_info={"network_id": external})
    answer = api.put(f"/networks/{external}", {"network": {"router:external": False}})
    assert answer.status == (409 if used else 200)
    assert api.get(f"/floatingips/{floating['id']}").status == (200 if used else 404)
