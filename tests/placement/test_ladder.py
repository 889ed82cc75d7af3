"""A router climbs from central to distributed and back, in all pairs of modes, by plans that hosts follow."""

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from deuteron.placement import conversions, planned
from deuteron.plan.units import Dhcp, DistributedRouter, Election, FloatingIP, Neighbour, Remote, Router
from deuteron.resources import operations, owners, port_forwarding
from deuteron.resources.conversion import MODES
from deuteron.resources.l3_errors import RouterCannotBeConverted
from tests.placement.cloud import Cloud
from tests.placement.steps import active, open_on, routers_of

COMPUTE = ("compute1", "compute2")


class Site:
    """Two networks with an instance each on a compute host, and a router with a gateway between."""

    def __init__(self, cloud: Cloud, **router: Any) -> None:
        self.cloud = cloud
        external = cloud.external()
        self.networks = [cloud.network(f"10.{number}.0.0/24")["id"] for number in (1, 2)]
        gateway = {"network_id": external["id"]}
        self.router = str(cloud.create("routers", external_gateway_info=gateway, **router)["id"])
        for subnet in cloud.list("subnets"):
            if subnet["network_id"] in self.networks:
                cloud.action("routers", self.router, "add_router_interface", subnet_id=subnet["id"])
        self.ports = [
            cloud.create("ports", network_id=network, device_owner="compute:x", **{"binding:host_id": host})
            for network, host in zip(self.networks, COMPUTE, strict=True)
        ]
        floating = cloud.create(
            "floatingips", floating_network_id=external["id"], port_id=self.ports[0]["id"]
        )
        self.floating_ip = str(floating["id"])

    def convert(self, mode: Any) -> list[list[str]]:
        """Convert the router; return what nobody served, each time anybody looked."""
        self.cloud.call(lambda call: planned.convert(call, self.router, mode))
        seen: list[list[str]] = []

        def ended() -> bool:
            seen.append(self.unserved())
            return not self.conversions()[0]["running"]

        self.cloud.until(ended)
        return [one for one in seen if one]

    def conversions(self) -> list[dict[str, Any]]:
        return self.cloud.call(lambda call: planned.conversions_of(call, self.router))

    def parts(self) -> dict[str, DistributedRouter]:
        found = {n: a.units(DistributedRouter).get(self.router) for n, a in self.cloud.agents.items()}
        return {name: unit for name, unit in found.items() if unit}

    def unserved(self) -> list[str]:
        """What no host would do for instances just now, by the plans that the hosts know."""
        parts, twins = self.parts(), routers_of(self.cloud, self.router)
        hears = {
            host
            for host in open_on(self.cloud, self.router)
            if twins[host].interfaces and not (host in parts and parts[host].open)
        }
        found = []
        for port, host in zip(self.ports, COMPUTE, strict=True):
            if host in parts and parts[host].open:
                if {id_ for id_, _ in parts[host].central} != {p.id for p in parts[host].interfaces}:
                    found.append(f"{host}: no way to the central part")
            elif not hears:
                found.append(f"{host}: {port['id']} has no gateway")
        local = self.cloud.agents[COMPUTE[0]].units(FloatingIP).get(self.floating_ip)
        central = [h for h in open_on(self.cloud, self.router) if self._serves(h)]
        if not (local or central):
            found.append("the floating IP is nowhere")
        return found + self.left_behind(twins)

    def left_behind(self, twins: Mapping[str, Router]) -> list[str]:
        """Who would take over in an election that the host that is open has left."""
        held = {id_ for host in open_on(self.cloud, self.router) for id_ in self._elections(host)}
        riding = {host: twin.election for host, twin in twins.items() if twin.gate == "election"}
        return [f"{host} stands by for nobody" for host, election in riding.items() if election not in held]

    def _elections(self, host: str) -> set[str]:
        return set(self.cloud.agents[host].units(Election))

    def _serves(self, host: str) -> bool:
        unit = self.cloud.agents[host].units(FloatingIP).get(self.floating_ip)
        return unit is not None and not unit.distributed

    def is_of(self, mode: str) -> bool:
        """Whether hosts are told what a router of this mode is, and nothing else."""
        redundant, distributed = MODES[mode]  # type: ignore[index]
        twins, parts = routers_of(self.cloud, self.router), self.parts()
        local = self.cloud.agents[COMPUTE[0]].units(FloatingIP).get(self.floating_ip)
        inside = {port for unit in twins.values() for port in unit.interfaces}
        remotes = self.cloud.agents[COMPUTE[0]].units(Remote)
        owner = owners.of_interface(ha=redundant, distributed=distributed)
        mine = [p for p in self.cloud.list("ports") if p["device_id"] == self.router]
        return (
            len(twins) == (3 if redundant else 1)
            and all(unit.distributed == distributed for unit in twins.values())
            and set(parts) == ({*COMPUTE, *self.serving()} if distributed else set())
            and all(unit.open for unit in parts.values())
            and bool(local and local.distributed) == distributed
            and len(inside) == (0 if distributed else 2)
            and any(port["device_owner"] == owners.ROUTER_SNAT for port in mine) == distributed
            and len([p for p in mine if p["device_owner"] == owner]) == 2
            and any(p["id"] in remotes for p in mine if p["device_owner"] == owner) != distributed
            and bool(self.cloud.agents[COMPUTE[0]].units(Neighbour)) == distributed
        )

    def serving(self) -> set[str]:
        """The hosts that serve DHCP."""
        return {name for name, agent in self.cloud.agents.items() if agent.units(Dhcp)}


@pytest.fixture
def site(cloud: Cloud) -> Site:
    for name in ("net1", "net2", "net3"):
        host(cloud, name, "dvr_snat")
    for name in COMPUTE:
        host(cloud, name, "dvr", ("l2", "l3"))
    return Site(cloud, ha=False)


def host(cloud: Cloud, name: str, mode: str, roles: tuple[str, ...] = ("l2", "l3", "dhcp")) -> None:
    agent = cloud.agent(name, roles)
    agent.report = msgspec.structs.replace(agent.report, agent_mode=mode)
    agent.step()


def test_all_ways_from_mode_to_mode(site: Site) -> None:
    """Each of the 12, with somebody who serves whenever anybody looks."""
    site.cloud.until(lambda: site.is_of("legacy") and not site.unserved())
    where = active(site.cloud, site.router)
    for mode in _tour():
        assert site.convert(mode) == [], (mode, site.conversions()[0])
        assert site.conversions()[0]["phase"] == "done"
        site.cloud.until(lambda mode=mode: site.is_of(mode))  # type: ignore[misc]
        assert active(site.cloud, site.router) == where, "the central part goes nowhere"


def _tour() -> list[str]:
    """Return modes one after the other, from legacy on, by which each pair comes once."""
    left, tour = set(itertools.permutations(MODES, 2)), ["legacy"]

    def walk() -> bool:
        if not left:
            return True
        for pair in sorted(pair for pair in left if pair[0] == tour[-1]):
            left.remove(pair)
            tour.append(pair[1])
            if walk():
                return True
            tour.pop()
            left.add(pair)
        return False

    assert walk()
    return tour[1:]


def test_where_ports_cannot_be_routed_nothing_moves(site: Site) -> None:
    host(site.cloud, "old", "legacy", ("l2",))
    site.cloud.update("ports", site.ports[1]["id"], **{"binding:host_id": "old"})
    with pytest.raises(RouterCannotBeConverted, match="ports of its networks are on old"):
        site.cloud.call(lambda call: planned.convert(call, site.router, "dvr"))
    assert site.conversions() == []


def test_without_a_host_for_the_central_part_nothing_moves(three: Cloud) -> None:
    site = Site(three, ha=True)
    with pytest.raises(RouterCannotBeConverted, match="needs a living host of agent_mode dvr_snat"):
        three.update("routers", site.router, distributed=True)
    assert not three.list("routers")[0]["distributed"]


def test_a_host_that_does_not_follow_leads_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.cloud.until(lambda: site.is_of("legacy") and not site.unserved())
    step = conversions.next_step

    def next_step(facts: conversions.Facts) -> conversions.Step | None:
        """Wait long for all but the one that will never follow."""
        monkeypatch.setattr(conversions, "PATIENCE", 0.3 if facts.awaited == {"compute2"} else 300.0)
        return step(facts)

    monkeypatch.setattr(conversions, "next_step", next_step)
    stuck = site.cloud.agents["compute2"]
    stuck.report = msgspec.structs.replace(
        stuck.report, problems={f"distributedrouter/{site.router}": "no such device"}
    )
    assert site.convert("dvr-ha") == [], site.conversions()
    (told,) = site.conversions()
    assert told["phase"] == "failed"
    assert "compute2 did not follow" in told["detail"]
    site.cloud.until(lambda: site.is_of("legacy"))


def test_created_distributed_it_is_so_at_once(cloud: Cloud) -> None:
    for name in ("net1", "net2", "net3"):
        host(cloud, name, "dvr_snat")
    for name in COMPUTE:
        host(cloud, name, "dvr", ("l2", "l3"))
    site = Site(cloud, ha=True, distributed=True)
    cloud.until(lambda: site.is_of("dvr-ha") and not site.unserved())
    assert site.convert("legacy") == []
    cloud.until(lambda: site.is_of("legacy"))


def test_a_port_with_a_floating_ip_and_forwarded_ports_keeps_its_router_central(site: Site) -> None:
    external = next(one["id"] for one in site.cloud.list("networks") if one["router:external"])
    other = site.cloud.create("floatingips", floating_network_id=external)
    inner = site.ports[1]
    forwarding = {
        "internal_port_id": inner["id"],
        "internal_ip_address": inner["fixed_ips"][0]["ip_address"],
        "internal_port": 22,
        "external_port": 2222,
        "protocol": "tcp",
    }
    kind = port_forwarding.resource
    site.cloud.call(lambda call: operations.create(call, kind, forwarding, other["id"]))
    assert site.cloud.call(lambda call: planned.convert(call, site.router, "dvr", dry_run=True))
    site.cloud.create("floatingips", floating_network_id=external, port_id=inner["id"])
    with pytest.raises(RouterCannotBeConverted, match="have forwarded ports, too"):
        site.cloud.call(lambda call: planned.convert(call, site.router, "dvr"))
