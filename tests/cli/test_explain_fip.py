"""Where a floating IP is served, as people are told."""

import json
import re

from deuteron.resources import operations, registry
from tests.cli.conftest import Command
from tests.placement.cloud import Cloud


def build(cloud: Cloud) -> dict[str, str]:
    """A distributed router, an instance each on a host with it and without it, and floating IPs to both."""
    cloud.agent("net1", agent_mode="dvr_snat")
    cloud.agent("compute1", roles=("l2", "l3"), agent_mode="dvr")
    cloud.agent("old", roles=("l2",))
    inside, external = cloud.network(), cloud.external()
    gateway = {"network_id": external["id"]}
    router = cloud.create("routers", name="r1", distributed=True, external_gateway_info=gateway)["id"]
    (subnet,) = inside["subnets"] or cloud.list("networks")[0]["subnets"]
    cloud.action("routers", router, "add_router_interface", subnet_id=subnet)
    made = {}
    for name in ("compute1", "old"):
        values = {"network_id": inside["id"], "device_owner": "compute:nova", "binding:host_id": name}
        port = cloud.create("ports", **values)["id"]
        floating = cloud.create("floatingips", floating_network_id=external["id"], port_id=port)
        made[name] = floating["floating_ip_address"]
    vip = cloud.create("ports", network_id=inside["id"])
    (address,) = (one["ip_address"] for one in vip["fixed_ips"])
    pair = {"allowed_address_pairs": [{"ip_address": address}]}
    instance = next(one for one in cloud.list("ports") if one["binding:host_id"] == "compute1")
    cloud.update("ports", instance["id"], **pair)
    floating = cloud.create("floatingips", floating_network_id=external["id"], port_id=vip["id"])
    made["shared"] = floating["floating_ip_address"]
    floating = cloud.create("floatingips", floating_network_id=external["id"])
    forwarding = {"protocol": "tcp", "internal_port": 80, "external_port": 8080}
    other = cloud.create("ports", network_id=inside["id"])
    forwarding |= {
        "internal_port_id": other["id"],
        "internal_ip_address": other["fixed_ips"][0]["ip_address"],
    }
    resource = registry.load().resources["port_forwardings"]
    cloud.call(lambda call: operations.create(call, resource, forwarding, parent=floating["id"]))
    made["forwarded"] = floating["floating_ip_address"]
    made["free"] = cloud.create("floatingips", floating_network_id=external["id"])["floating_ip_address"]
    return made


def test_where_a_floating_ip_is_served_and_why(cloud: Cloud, deuteron: Command) -> None:
    made = build(cloud)
    cloud.until(lambda: "distributed part" in deuteron("explain", "fip", made["compute1"]).out)
    said = deuteron("explain", "fip", made["compute1"])
    assert said.status == 0
    assert said.out.startswith(
        f"{made['compute1']} is served on compute1, by the distributed part of router r1"
    )
    for words in ("its port is on compute1", "qrouter-", "10.0.0."):
        assert words in said.out
    said = deuteron("explain", "fip", made["old"])
    assert said.out.startswith(f"{made['old']} is served on net1, by the central part of router r1")
    assert "old has no agent with the role l3" in said.out
    assert "snat-" in said.out
    said = deuteron("explain", "fip", made["shared"])
    assert said.out.startswith(f"{made['shared']} is served on net1, by the central part of router r1")
    assert "its port is not bound to any host" in said.out
    assert "who has that address of ports on compute1" in said.out
    said = deuteron("explain", "fip", made["forwarded"])
    assert "it has forwarded ports" in said.out
    assert re.search(r"leads to +tcp 8080 to 10\.0\.0\.\d+:80", said.out)
    said = deuteron("explain", "fip", made["free"])
    assert (said.status, said.out) == (1, f"{made['free']} is served nowhere: it leads to no port\n")
    assert deuteron("explain", "fip", "203.0.113.250").status == 2
    answer = json.loads(deuteron("explain", "fip", "--json", made["compute1"]).out)
    assert (answer["served"], answer["host"]) == ("distributed", "compute1")
    by_id = json.loads(deuteron("explain", "fip", "--json", answer["id"]).out)
    assert by_id == answer
    wrong = json.loads(deuteron("status", "--json").out)["wrong"]
    assert any("instances are not routed on old (without the role l3)" in one["text"] for one in wrong)
