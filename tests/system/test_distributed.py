"""Distributed routers on the wire: who reaches whom, by which address, and what a move or a death costs."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deuteron.lab import lab as labs
from deuteron.lab.probing import Prober, alone
from deuteron.lab.scene import INTERNET
from tests.system import land as lands
from tests.system.cloud import Cloud, Flow, lab, until
from tests.system.guest import Guest
from tests.system.land import BEHIND_IT, NEXT_HOP, Land

pytestmark = pytest.mark.lab
MOST_MS = 1000.0
"""Ten times what nobody is to hear of a guest for that moves: this machine does much else."""
VIP = "10.1.0.77"


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    file = tmp_path_factory.mktemp("lab") / "lab.toml"
    file.write_text(lands.HOSTS)
    with lab(f"d{uuid.uuid4().hex[:6]}", Path(file)) as cloud:
        yield lands.build(cloud)


def no_problems(cloud: Cloud) -> None:
    for host in ("net1", "net2", "compute1", "compute2", "compute3"):
        until(lambda: not cloud.problems(host), f"{host} has no problem: {cloud.problems(host)}")  # noqa: B023


def test_between_subnets_networks_and_routers(land: Land) -> None:
    """On one host and on two, one of them without the external network; IPv4 and IPv6; by another router."""
    for source, target in (("vm1", "vm2"), ("vm1", "vm3"), ("vm4", "vm3"), ("vm2", "vm4")):
        for address in land.addresses[target]:
            land.reaches(source, address)
    land.reaches("vm1", land.addresses["vm6"][0])
    land.reaches("vm6", land.addresses["vm4"][0])
    assert not land.cloud.pings("vm2", land.addresses["vm6"][0]), "nobody told r the way to grey"
    land.reaches("vm2", INTERNET)
    no_problems(land.cloud)


def test_from_floating_ip_to_floating_ip(land: Land) -> None:
    """Between routers on one host, on two, between distributed and central ones; by whose address is seen."""
    served = {name: (land.location(name)["served"], land.location(name)["host"]) for name in lands.FLOATING}
    assert {served[name] for name in ("vm1", "vm3", "vm6")} == {
        ("distributed", "compute1"), ("distributed", "compute2")
    }  # fmt: skip
    assert served["vm4"][0] == served["vm5"][0] == "central"
    assert "dvr_no_external" in land.location("vm4")["reason"]
    for name in lands.FLOATING:
        land.reaches("outside", land.floating_ip(name))
        land.reaches(name, *(land.floating_ip(other) for other in lands.FLOATING))
    for source, target in (("vm3", "vm6"), ("vm6", "vm1"), ("vm1", "vm5"), ("vm5", "vm3"), ("vm4", "vm6")):
        assert land.sees(source, target) == land.floating_ip(source), (source, target)
    no_problems(land.cloud)


def test_an_instance_on_two_networks_and_on_two_subnets(land: Land) -> None:
    """vm2 (red) has another port on blue, and vm6's network gets another subnet, on the same ports."""
    cloud = land.cloud
    second = lands.second_port(land, "vm2", "blue")
    for source in ("vm1", "vm3", "vm4"):
        land.reaches(source, land.addresses["vm2"][0], second)
    more = cloud.subnet(land.networks["red"], "10.12.0.0/24")
    cloud.attach(land.routers["r"], more)
    fixed = [{"subnet_id": one} for one in (land.subnets["red"][0], more)]
    fixed[0]["ip_address"] = land.addresses["vm3"][0]
    v6 = [one for one in cloud.port(land.ports["vm3"])["fixed_ips"] if ":" in one["ip_address"]]
    port = cloud.api.put(f"/v2.0/ports/{land.ports['vm3']}", {"port": {"fixed_ips": [*fixed, *v6]}})["port"]
    (address,) = (one["ip_address"] for one in port["fixed_ips"] if one["subnet_id"] == more)
    cloud.sh("vm3", f"ip address add {address}/24 dev eth0")
    for source in ("vm1", "vm2", "vm4"):
        land.reaches(source, address, land.addresses["vm3"][0])
    land.reaches("vm3", INTERNET)


def test_extra_routes(land: Land) -> None:
    """By an instance, between hosts and back; by a next hop on the external network, centrally and not."""
    cloud = land.cloud
    behind, behind6 = "10.99.0.1", "fd00:99::1"
    cloud.sh("vm3", f"ip address add {behind}/32 dev lo; ip address add {behind6}/128 dev lo")
    pairs = [{"ip_address": "10.99.0.0/24"}, {"ip_address": "fd00:99::/64"}]
    cloud.api.put(f"/v2.0/ports/{land.ports['vm3']}", {"port": {"allowed_address_pairs": pairs}})
    inside = {"destination": "10.99.0.0/24", "nexthop": land.addresses["vm3"][0]}
    inside6 = {"destination": "fd00:99::/64", "nexthop": land.addresses["vm3"][1]}
    outside = {"destination": "192.0.2.0/24", "nexthop": NEXT_HOP}
    to_grey = {"destination": "10.4.0.0/24", "nexthop": "10.1.0.254"}
    assert not cloud.pings("vm1", BEHIND_IT)
    routes = {"routes": [inside, inside6, outside, to_grey]}
    cloud.api.put(f"/v2.0/routers/{land.routers['r']}", {"router": routes})
    back = {"routes": [{"destination": "10.2.0.0/24", "nexthop": "10.1.0.1"}]}
    cloud.api.put(f"/v2.0/routers/{land.routers['d']}", {"router": back})
    land.reaches("vm2", land.addresses["vm6"][0])
    for source in ("vm1", "vm2", "vm4"):
        land.reaches(source, behind, behind6, BEHIND_IT)
    assert not cloud.pings("vm6", BEHIND_IT), "another router of the same host does not know the way"
    land.reaches("vm1", INTERNET, land.floating_ip("vm3"), land.floating_ip("vm6"))
    cloud.api.put(f"/v2.0/routers/{land.routers['r']}", {"router": {"routes": [inside]}})
    until(lambda: not cloud.pings("vm1", BEHIND_IT), "the route is gone")
    land.reaches("vm1", behind, INTERNET)
    rules = cloud.sh("compute1", "ip -n $(ip netns list | grep -o 'fip-[^ ]*') rule")
    assert "fpr-" not in rules
    no_problems(cloud)


def test_an_address_that_goes_from_instance_to_instance(land: Land) -> None:
    """A port that is bound nowhere has it and a floating IP: vm1 has it first, then vm4 on another host."""
    cloud, subnet = land.cloud, land.subnets["blue"][0]
    fixed = [{"subnet_id": subnet, "ip_address": VIP}]
    port = cloud.api.create("port", network_id=land.networks["blue"], fixed_ips=fixed)["id"]
    floating = cloud.floating_ip(land.external, port)
    for name in ("vm1", "vm4"):
        pairs = {"allowed_address_pairs": [{"ip_address": VIP}]}
        cloud.api.put(f"/v2.0/ports/{land.ports[name]}", {"port": pairs})
    location = cloud.api.get(f"/v1/floatingips/{floating['id']}/location")
    assert (location["served"], location["allowed_on"]) == ("central", ["compute1", "compute3"])
    cloud.sh("vm1", f"ip address add {VIP}/24 dev eth0")
    outer = floating["floating_ip_address"]
    for source, target in (("outside", outer), ("vm3", VIP), ("vm4", VIP), ("vm6", outer)):
        land.reaches(source, target)
    time.sleep(1.1)  # a kernel believes no other answer for a second
    with alone():
        probers = [Prober(cloud.lab, "outside", [f"udp:{outer}"]), Prober(cloud.lab, "vm3", [f"udp:{VIP}"])]
        for prober in probers:
            prober.wait_ready()
        cloud.sh("vm1", f"ip address delete {VIP}/24 dev eth0")
        cloud.sh("vm4", f"ip address add {VIP}/24 dev eth0; arping -q -U -c 1 -I eth0 {VIP}")
        time.sleep(0.5)
        gaps = [prober.stop()[0]["longest_gap_ms"] for prober in probers]
    print(f"an address moves: {gaps}")
    assert max(gaps) < MOST_MS
    cloud.api.delete(f"/v2.0/floatingips/{floating['id']}")


def test_an_isolated_network_has_dhcp_and_metadata(land: Land) -> None:
    network, _ = land.cloud.network("isolated", "10.66.0.0/24")
    machine = land.cloud.boot("vm8", "compute3", network).machine
    assert machine["address"].startswith("10.66.0.")
    assert machine["metadata"]["name"] == "vm8"
    land.cloud.destroy("vm8")


@pytest.fixture(scope="module")
def guest(land: Land) -> Iterator[Guest]:
    """A guest on blue, on compute1, with a floating IP."""
    cloud = land.cloud
    binding = {"device_id": str(uuid.uuid4()), "device_owner": "compute:nova", "binding:host_id": "compute1"}
    port = cloud.api.create("port", network_id=land.networks["blue"], **binding)
    port["fixed_ips"].sort(key=lambda one: ":" in one["ip_address"])
    with contextlib.closing(Guest(cloud, port, gateways=("10.1.0.1", "fd00:1::1"))) as found:
        found.cable("compute1")
        found.use("compute1")
        until(lambda: cloud.port(port["id"])["status"] == "ACTIVE", "the port is up")
        yield found


def is_served_for(cloud: Cloud, floating: str, host: str) -> bool:
    """Tell whether a floating IP is where it is to be when its guest is on a host."""
    location = cloud.api.get(f"/v1/floatingips/{floating}/location")
    if host == "compute3":
        return bool(location["served"] == "central")
    return (location["served"], location["host"]) == ("distributed", host)


@pytest.mark.parametrize(
    ("source", "target"), [("compute1", "compute2"), ("compute2", "compute3"), ("compute3", "compute1")]
)
def test_a_guest_with_a_floating_ip_moves(land: Land, guest: Guest, source: str, target: str) -> None:
    """It is probed from another network on two hosts, IPv4 and IPv6, and from outside.

    On compute3 its floating IP is served centrally.
    """
    cloud, id_ = land.cloud, guest.port["id"]
    path, found = f"/v2.0/ports/{id_}/bindings", cloud.list("floatingip", port_id=id_)
    floating = found[0] if found else cloud.floating_ip(land.external, id_)
    until(lambda: is_served_for(cloud, floating["id"], source), "its floating IP is where it belongs")
    v4, v6 = guest.addresses
    flows = [Flow("from compute1", "vm2", v4), Flow("from compute2", "vm3", v4), Flow("IPv6", "vm3", v6)]
    flows.append(Flow("floating IP", "outside", floating["floating_ip_address"]))
    for flow in flows:
        cloud.reaches(flow.place, flow.address)
    with cloud.probing(*flows) as traffic:
        cloud.api.post(path, {"binding": {"host": target}})
        guest.cable(target)
        until(lambda: guest.connected(target), "the target is prepared")
        time.sleep(0.5)
        guest.arrive(source, target, announced=True)
        cloud.api.put(f"{path}/{target}/activate", None)
        until(lambda: cloud.port(id_)["status"] == "ACTIVE", "the port is up at the target")
        until(lambda: is_served_for(cloud, floating["id"], target), "its floating IP has followed")
        cloud.api.delete(f"{path}/{source}")
        guest.uncable(source)
    print(f"{source} -> {target}: gaps {traffic.longest_gap_ms}, lost {traffic.lost}, {traffic.tcp}")
    assert traffic.broken == {}
    assert max(traffic.longest_gap_ms.values()) < MOST_MS
    no_problems(cloud)


def test_a_host_with_instances_gets_another_mode(land: Land) -> None:
    """compute2: without floating IPs; as a network host; without distributed parts; and as it was."""
    cloud = land.cloud

    def served() -> str:
        return str(land.location("vm3")["served"])

    def carriers(router: str) -> list[str]:
        agents = cloud.api.get(f"/v2.0/routers/{router}/l3-agents")["agents"]
        return [agent["host"] for agent in agents]

    with land.other_mode("compute2", "dvr_no_external"):
        until(lambda: served() == "central", "its floating IP is served centrally")
        land.reaches("outside", land.floating_ip("vm3"))
        land.reaches("vm1", *land.addresses["vm3"])
        until(lambda: "fip-" not in cloud.sh("compute2", "ip netns list"), "nothing is left of it here")
    with land.other_mode("compute2", "dvr_snat"):
        until(lambda: served() == "distributed", "it is served here again")
        until(lambda: "compute2" in carriers(land.routers["r"]), "it stands by for SNAT")
        land.reaches("outside", land.floating_ip("vm3"))
    with land.other_mode("compute2", "legacy"):
        until(lambda: served() == "central", "its floating IP is served centrally")
        part = f"qrouter-{land.routers['r']}"
        until(lambda: part not in cloud.sh("compute2", "ip netns list"), "no part is left here")
        wrong = [one["text"] for one in cloud.api.get("/v1/status")["wrong"]]
        assert any("compute2" in text for text in wrong), wrong
        land.reaches("vm1", land.addresses["vm2"][0])
    until(lambda: served() == "distributed", "all is as it was")
    for router in land.routers.values():
        until(lambda: "compute2" not in carriers(router), "no central part is here")  # noqa: B023
    land.reaches("outside", land.floating_ip("vm3"))
    land.reaches("vm1", *land.addresses["vm3"])
    land.reaches("vm3", INTERNET)
    no_problems(cloud)


def ways(land: Land) -> list[Flow]:
    """Every way past the distributed parts, and by the central one."""
    flows = [
        Flow("one host", "vm1", land.addresses["vm2"][0]),
        Flow("two hosts", "vm4", land.addresses["vm2"][0]),
        Flow("SNAT", "vm2", INTERNET),
        Flow("floating IP", "outside", land.floating_ip("vm1")),
        Flow("central floating IP", "outside", land.floating_ip("vm4")),
    ]
    for flow in flows:
        land.cloud.reaches(flow.place, flow.address)
    return flows


def test_the_central_part_moves_and_its_host_dies(land: Land) -> None:
    """The one costs nothing, the other what it costs a central router, and nothing past it."""
    cloud, router = land.cloud, land.routers["r"]
    flows, first = ways(land), cloud.settled(router, 2)
    other = "net2" if first == "net1" else "net1"
    with cloud.probing(*flows) as traffic:
        cloud.api.post(f"/v1/routers/{router}/move", {"host": other})
        until(lambda: cloud.settled(router, 2) == other, f"it is active on {other}")
    assert (traffic.lost, traffic.broken) == ({}, {})
    with cloud.probing(*flows, after=2.0) as traffic:
        labs.power_off(cloud.lab, other)
    print(f"{other} dies: gaps {traffic.longest_gap_ms}")
    assert set(traffic.lost) == {"SNAT", "central floating IP"}
    assert traffic.broken == {}
    assert max(traffic.longest_gap_ms.values()) < MOST_MS
    cloud.power_cycle(other)
    no_problems(cloud)


def test_a_compute_host_dies_and_nobody_else_notices(land: Land) -> None:
    cloud, flows = land.cloud, ways(land)
    with cloud.probing(*flows, after=2.0) as traffic:
        labs.power_off(cloud.lab, "compute2")
    assert traffic.lost == {}
    assert traffic.broken == {}
    assert not cloud.pings("vm1", land.addresses["vm3"][0])
