"""Every way through networks and routers."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deuteron.lab import enter
from deuteron.lab import lab as labs
from deuteron.lab.client import ApiError
from deuteron.lab.scene import INTERNET
from tests.agent.qos import flow
from tests.system.cloud import GATEWAY_V6, INTERNET_V6, Cloud, Flow, Json, until

pytestmark = pytest.mark.lab
FLOW = str(flow.__file__)


@dataclass(frozen=True)
class Site:
    """An external network of both families and a tenant network with two instances."""

    cloud: Cloud
    external: str
    network: str
    subnets: list[str]
    router: str
    ports: dict[str, str]
    addresses: dict[str, str]


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Site:
    external = cloud.external(v6=True)
    network, subnets = cloud.network("blue", "10.1.0.0/24", "2001:db8:1::/64")
    router = cloud.router("router", external, subnets)
    found = Site(cloud, external, network, subnets, router, {}, {})
    for name, host in (("vm1", "compute1"), ("vm2", "compute2")):
        instance = cloud.boot(name, host, network).instance
        found.ports[name], found.addresses[name] = instance.port, instance.addresses[0]
        cloud.reaches(name, INTERNET)
    return found


def gateway(cloud: Cloud, router: str, version: int) -> str:
    """The address of a router on the external network."""
    info = cloud.api.get(f"/v2.0/routers/{router}")["router"]["external_gateway_info"]
    addresses: list[str] = [fixed["ip_address"] for fixed in info["external_fixed_ips"]]
    return next(address for address in addresses if (":" in address) == (version == 6))


@pytest.fixture
def routed(site: Site) -> Iterator[str]:
    """The outside host knows the way to the tenant's IPv6 addresses; the value is vm1's."""
    cloud = site.cloud
    via = gateway(cloud, site.router, 6)
    cloud.sh("outside", f"ip -6 route replace 2001:db8:1::/64 via {via}")
    own = cloud.port(site.ports["vm1"])["fixed_ips"]
    yield next(fixed["ip_address"] for fixed in own if ":" in fixed["ip_address"])
    cloud.sh("outside", "ip -6 route delete 2001:db8:1::/64")


def test_ipv6_by_advertisements_also_after_a_power_cut(site: Site, routed: str) -> None:
    """An instance gets its port's address by RA and reaches the outside by IPv6, also after a power cut."""
    cloud = site.cloud
    assert f"inet6 {routed}/64" in cloud.sh("vm1", "ip -6 address show dev eth0 scope global")
    for target in (GATEWAY_V6, INTERNET_V6):
        cloud.reaches("vm1", target)
    cloud.reaches("outside", routed)
    victim = cloud.settled(site.router)
    flows = [Flow("out", "vm2", INTERNET_V6), Flow("in", "outside", routed)]
    with cloud.probing(*flows, after=3.0) as traffic:
        labs.power_off(cloud.lab, victim)
    assert traffic.broken == {}
    assert all(0 < gap < 1000 for gap in traffic.longest_gap_ms.values()), traffic.longest_gap_ms
    cloud.power_cycle(victim)
    assert cloud.settled(site.router) != victim


def test_without_snat_addresses_go_out_as_they_are(site: Site) -> None:
    """enable_snat=false: an instance is seen with its own address, and true again with the router's."""
    cloud, own = site.cloud, site.addresses["vm1"]
    assert not cloud.pings("outside", own)
    info = {"network_id": site.external, "enable_snat": False}
    path = f"/v2.0/routers/{site.router}"
    via = gateway(cloud, site.router, 4)
    cloud.api.put(path, {"router": {"external_gateway_info": info}})
    cloud.sh("outside", f"ip route replace 10.1.0.0/24 via {via}")
    try:
        cloud.reaches("outside", own)
        cloud.reaches("vm1", INTERNET)
    finally:
        cloud.sh("outside", "ip route delete 10.1.0.0/24")
    until(lambda: not cloud.pings("vm1", INTERNET), "nobody knows the way back")
    cloud.api.put(path, {"router": {"external_gateway_info": {**info, "enable_snat": True}}})
    cloud.reaches("vm1", INTERNET)


def test_an_extra_route_leads_through_an_instance(site: Site) -> None:
    """Extra routes: what is behind an instance is reached through it, until the route goes."""
    cloud, via = site.cloud, site.addresses["vm2"]
    cloud.sh("vm2", "ip address add 192.0.2.1/32 dev lo")
    pairs = [{"ip_address": "192.0.2.0/24"}]
    cloud.api.put(f"/v2.0/ports/{site.ports['vm2']}", {"port": {"allowed_address_pairs": pairs}})
    path = f"/v2.0/routers/{site.router}"
    routes = [{"destination": "192.0.2.0/24", "nexthop": via}]
    cloud.api.put(path, {"router": {"routes": routes}})
    cloud.reaches("vm1", "192.0.2.1")
    cloud.api.put(path, {"router": {"routes": []}})
    until(lambda: not cloud.pings("vm1", "192.0.2.1"), "the route is gone")


def test_floating_ips_to_each_other_and_moved(site: Site) -> None:
    """Floating IP to floating IP works, to one's own too; one that is moved leads to the other port."""
    cloud = site.cloud
    made = {name: cloud.floating_ip(site.external, port) for name, port in site.ports.items()}
    address = {name: one["floating_ip_address"] for name, one in made.items()}
    cloud.reaches("vm1", address["vm2"])
    cloud.reaches("vm2", address["vm1"])
    cloud.reaches("vm1", address["vm1"])
    for name in ("vm1", "vm2"):
        cloud.reaches("outside", address[name])
    cloud.api.delete(f"/v2.0/floatingips/{made['vm2']['id']}")
    until(lambda: not cloud.pings("outside", address["vm2"]), "the floating IP is gone")
    path = f"/v2.0/floatingips/{made['vm1']['id']}"
    cloud.api.put(path, {"floatingip": {"port_id": site.ports["vm2"]}})
    cloud.reaches("outside", address["vm1"])
    cloud.sh("vm2", "ip link set eth0 down")
    assert not cloud.pings("outside", address["vm1"])
    cloud.sh("vm2", "ip link set eth0 up; ip route replace default via 10.1.0.1")
    cloud.reaches("outside", address["vm1"])
    cloud.api.delete(path)
    for name in ("vm1", "vm2"):
        cloud.reaches(name, INTERNET)


def _kilobits(cloud: Cloud, sender: str, receiver: str, address: str) -> float:
    """Return how many kilobits a second one TCP connection carries, after its first second."""
    sink = subprocess.Popen(
        enter.command(labs.locate(cloud.lab, receiver), [sys.executable, "-I", FLOW, "sink", "5001", "2"]),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sink.stdout is not None
    assert sink.stdout.readline() == "ready\n"
    cloud.run(sender, sys.executable, "-I", FLOW, "source", address, "5001")
    return float(sink.communicate(timeout=60)[0])


def test_qos_policies_limit_ports_and_floating_ips(site: Site) -> None:
    """A network's policy limits what its ports send; a floating IP's what it receives, on any host."""
    cloud, api = site.cloud, site.cloud.api
    policy = api.post("/v2.0/qos/policies", {"policy": {"name": "p"}})["policy"]["id"]
    rules = f"/v2.0/qos/policies/{policy}/bandwidth_limit_rules"
    slow = {"max_kbps": 4000, "max_burst_kbps": 400}
    rule = api.post(rules, {"bandwidth_limit_rule": slow})["bandwidth_limit_rule"]["id"]
    api.put(f"/v2.0/networks/{site.network}", {"network": {"qos_policy_id": policy}})
    until(lambda: "tbf" in cloud.sh("compute1", "tc qdisc show"), "the port is limited")
    assert 1000 < _kilobits(cloud, "vm1", "vm2", site.addresses["vm2"]) < 5000
    api.put(f"/v2.0/networks/{site.network}", {"network": {"qos_policy_id": None}})
    api.put(f"{rules}/{rule}", {"bandwidth_limit_rule": {"direction": "ingress"}})
    made = cloud.floating_ip(site.external, site.ports["vm1"])
    api.put(f"/v2.0/floatingips/{made['id']}", {"floatingip": {"qos_policy_id": policy}})
    active = cloud.settled(site.router)
    look = f"ip netns exec qrouter-{site.router} tc qdisc show"
    until(lambda: "htb" in cloud.sh(active, look), "the floating IP is limited")
    until(lambda: "tbf" not in cloud.sh("compute1", "tc qdisc show"), "the port is limited no more")
    assert 1000 < _kilobits(cloud, "outside", "vm1", made["floating_ip_address"]) < 5000
    api.delete(f"/v2.0/floatingips/{made['id']}")
    until(lambda: "htb" not in cloud.sh(active, look), "the floating IP is gone")


def test_a_second_network_and_two_subnets_on_a_router(site: Site) -> None:
    """A second network on a router, a second subnet of the first: all reach each other and the outside.

    Who had his lease before the second subnet came answers by the router, though he is asked directly.
    """
    cloud = site.cloud
    green, subnets = cloud.network("green", "10.2.0.0/24")
    second = cloud.subnet(site.network, "10.1.1.0/24")
    for subnet in (*subnets, second):
        cloud.attach(site.router, subnet)
    port = cloud.api.create("port", network_id=site.network, fixed_ips=[{"subnet_id": second}])
    on_green = cloud.boot("vm3", "compute1", green).instance
    on_second = cloud.boot("vm4", "compute2", port=port["id"]).instance
    for here, there in (("vm3", on_second), ("vm4", on_green)):
        cloud.reaches(here, there.addresses[0])
        cloud.reaches(here, site.addresses["vm1"])
        cloud.reaches(here, INTERNET)
    cloud.destroy("vm3", "vm4")
    cloud.api.delete(f"/v2.0/ports/{port['id']}")
    for subnet in (*subnets, second):
        cloud.detach(site.router, subnet)
    cloud.api.delete(f"/v2.0/subnets/{second}")
    cloud.reaches("vm1", INTERNET)


def test_two_routers_on_one_network(site: Site) -> None:
    """A second router on a network, with an address of its own: both lead out, one redundant, one legacy."""
    cloud = site.cloud
    other = cloud.router("other", site.external, [], ha=False)
    wanted = [{"subnet_id": site.subnets[0], "ip_address": "10.1.0.254"}]
    port = cloud.api.create("port", network_id=site.network, fixed_ips=wanted)
    cloud.api.put(f"/v2.0/routers/{other}/add_router_interface", {"port_id": port["id"]})
    cloud.reaches("vm1", "10.1.0.254")
    cloud.sh("vm1", f"ip route add {INTERNET} via 10.1.0.254")
    cloud.reaches("vm1", INTERNET)
    cloud.reaches("vm2", INTERNET)
    cloud.api.put(f"/v2.0/routers/{other}/remove_router_interface", {"port_id": port["id"]})
    cloud.api.delete(f"/v2.0/routers/{other}")
    until(lambda: not cloud.pings("vm1", INTERNET), "the other router is gone")
    cloud.sh("vm1", f"ip route delete {INTERNET}")
    cloud.reaches("vm1", INTERNET)


def test_what_changes_while_a_host_stands_by_is_there_when_it_takes_over(site: Site) -> None:
    """A router is changed while its twins stand by: whoever takes over knows."""
    cloud = site.cloud
    floating_ip = cloud.floating_ip(site.external, site.ports["vm1"])
    address = floating_ip["floating_ip_address"]
    green, subnets = cloud.network("green", "10.2.0.0/24")
    cloud.attach(site.router, subnets[0])
    on_green = cloud.boot("vm3", "compute1", green).instance
    cloud.reaches("outside", address)
    cloud.reaches("vm2", on_green.addresses[0])
    victim = cloud.settled(site.router)
    flows = [Flow("floating IP", "outside", address), Flow("east-west", "vm2", on_green.addresses[0])]
    with cloud.probing(*flows, after=3.0) as traffic:
        labs.power_off(cloud.lab, victim)
    assert traffic.broken == {}
    assert all(0 < gap < 1000 for gap in traffic.longest_gap_ms.values()), traffic.longest_gap_ms
    cloud.power_cycle(victim)
    cloud.settled(site.router)
    cloud.destroy("vm3")
    cloud.detach(site.router, subnets[0])
    cloud.api.delete(f"/v2.0/floatingips/{floating_ip['id']}")
    cloud.api.delete(f"/v2.0/networks/{green}")
    cloud.reaches("vm1", INTERNET)


NAMES = ["two\nlines", "quo'te\"s", "nul\0byte", "ünïcödé ☃", "a,b;c#d $(reboot) `x`", "{ } %s \\n"]


def created(site: Site, **attributes: str) -> Json | None:
    """Return a new port, or None when the API refuses it as bad input."""
    try:
        return site.cloud.api.create("port", network_id=site.network, **attributes)
    except ApiError as error:
        if error.status != 400:
            raise
        return None


@pytest.mark.parametrize("name", NAMES)
def test_a_strange_name_harms_nobody(site: Site, name: str) -> None:
    """Strings with newlines and NUL in fields that reach a configuration file: refused, or harmless."""
    cloud = site.cloud
    assert created(site, dns_name=name) is None  # no DNS name has these
    for field in ("name", "description"):
        if port := created(site, **{field: name}):
            assert port[field] == name
            cloud.api.delete(f"/v2.0/ports/{port['id']}")
    port = created(site, name=name) or cloud.api.create("port", network_id=site.network)
    booted = cloud.boot("vm9", "compute2", port=port["id"])
    assert booted.machine["address"] in booted.instance.addresses
    cloud.destroy("vm9")
    cloud.api.delete(f"/v2.0/ports/{port['id']}")
