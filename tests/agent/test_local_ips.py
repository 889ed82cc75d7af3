"""Local IPs on the wire: an address that leads to a port of the same host."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l2 import local_rules
from deuteron.agent.system import netns, nft
from deuteron.plan.units import Limit, LocalIP, Qos
from tests.agent.firewall.scene import Guarded, eventually, group, guarded, port, rule, v4
from tests.agent.scene import NET, Scene, mac, port_id, tap

LOCAL, LOCAL_MAC = "10.1.0.50", "02:00:00:00:00:50"
ALL = (rule(protocol=6), rule(protocol=17), rule(protocol=1))


def leads_to(number: int, address: str = LOCAL, **more: str) -> LocalIP:
    wanted = {"fixed_ip": v4(number), "mac": LOCAL_MAC, **more}
    id_ = f"{number:08d}-eeee-3333-4444-{address.replace('.', '0').zfill(12)}"
    return LocalIP(id=id_, network=NET, address=address, port=port_id(number), port_mac=mac(number), **wanted)


@given(st.permutations([leads_to(1), leads_to(2), leads_to(2, "10.1.0.51"), leads_to(3)]))
def test_an_address_leads_to_one_port(found: list[LocalIP]) -> None:
    assert local_rules.chosen(found) == [leads_to(1), leads_to(2, "10.1.0.51")]


def test_the_port_itself_has_to_ask() -> None:
    assert local_rules.known([leads_to(1)], port_id(1)) == {}
    assert local_rules.known([leads_to(1)], port_id(2)) == {LOCAL: LOCAL_MAC}


GOLDEN = Path(__file__).with_name("golden") / "local_ips.nft"
THROUGH = msgspec.structs.replace(leads_to(2, "10.1.0.52", fixed_ip=""), id="through")
LEADS = (leads_to(1), leads_to(1, "10.1.0.51"), THROUGH)
STALE = leads_to(3, "10.1.0.53")


def test_golden() -> None:
    chains = {"sent", "received", f"from-{NET}", f"to-{NET}", "from-gone"}
    sets = {"from", "to", f"flows-{STALE.id}", f"echoes-{STALE.id}", f"flows-{LEADS[0].id}"}
    ports = {NET: [port_id(1), port_id(2), port_id(9)]}
    assert local_rules.render(LEADS, ports, chains, sets) == GOLDEN.read_text()


@pytest.mark.lab
def test_nft_takes_it_over_what_was_there() -> None:
    name = f"f-lip-{uuid.uuid4().hex[:8]}"
    ports = {NET: [port_id(1)]}
    netns.create(name)
    try:
        with netns.entered(name):
            nft.apply(local_rules.render([STALE], ports, set(), set()))
            nft.apply(local_rules.render(LEADS, ports, *nft.contents("bridge", local_rules.TABLE)))
            chains, sets = nft.contents("bridge", local_rules.TABLE)
            assert chains == {"sent", "received", f"from-{NET}", f"to-{NET}"}
            flows = {f"{kind}-{one.id}" for one in LEADS[:2] for kind in ("flows", "echoes")}
            assert sets == {"from", "to", *flows}
            nft.apply(local_rules.EMPTY)
            assert nft.contents("bridge", local_rules.TABLE) == (set(), set())
    finally:
        netns.delete(name)


@pytest.fixture
def at(here: Scene) -> Iterator[Guarded]:
    with guarded(here) as found:
        yield found


def neighbours(at: Guarded, number: int) -> dict[str, str]:
    shown = json.loads(at.scene.host.run(f"ip -j -n vm{number} neigh show"))
    return {one["dst"]: one.get("lladdr", "") for one in shown}


@pytest.mark.lab
def test_who_asks_reaches_the_port_of_its_host(at: Guarded) -> None:
    shaped = Qos(id=port_id(1), mtu=1450, bandwidth=(Limit(direction="egress", rate=100_000),))
    at.plan(group(1, *ALL), port(1, 1), port(2, 1), leads_to(2), shaped)
    at.machine(1)
    at.machine(2)
    at.serves(2, 80)
    for number in (1, 9):
        assert at.pings(number, LOCAL)
        assert at.does(number, "tcp", LOCAL, "80")
        assert at.does(number, "udp", LOCAL, "80")
        assert neighbours(at, number)[LOCAL] == LOCAL_MAC
        assert at.does(number, "tcp", v4(2), "80"), "its own address is as it was"
        assert at.does(number, "udp", v4(2), "80")
        assert at.pings(number, v4(2))
    held = at.starts(1, "hold", LOCAL, "80")
    assert at.does(1, "udp", LOCAL, "80", "5000")
    assert at.does(1, "udp", v4(2), "80", "5000"), "with the same numbers"
    assert at.does(1, "udp", LOCAL, "80", "5000")
    assert not at.pings(2, LOCAL), "nobody else has the address"
    at.scene.agent.kill()
    at.scene.agent.start()
    at.scene.settled()
    assert held.asked() == "true", "connections outlive the agent"
    at.scene.host.run(f"ip link delete {tap(1)}; ip netns delete vm1")
    at.machine(1)
    eventually(lambda: at.pings(1, LOCAL))


@pytest.mark.lab
def test_rules_are_those_of_the_port(at: Guarded) -> None:
    at.plan(group(1, rule(protocol=6, port_min=22, port_max=22)), port(2, 1), leads_to(2))
    at.machine(2)
    for where in (22, 80):
        at.serves(2, where)
    assert at.does(9, "tcp", LOCAL, "22")
    assert not at.does(9, "tcp", LOCAL, "80")


@pytest.mark.lab
def test_it_goes_and_another_port_takes_its_place(at: Guarded) -> None:
    at.plan(port(1, filtered=False), port(2, filtered=False), leads_to(1), leads_to(2, "10.1.0.51"))
    at.machine(1)
    at.machine(2)
    at.serves(1, 81)
    at.serves(2, 82)
    assert at.does(9, "tcp", LOCAL, "81")
    assert at.does(9, "tcp", "10.1.0.51", "82")
    at.scene.server.delete(leads_to(1).key)
    at.plan(leads_to(2))
    assert at.does(9, "tcp", LOCAL, "82")
    assert not at.does(9, "tcp", LOCAL, "81")
    at.scene.host.run("ip -n vm2 address add 10.1.0.52/24 dev eth0")
    through = leads_to(2, "10.1.0.52", fixed_ip="")
    at.plan(msgspec.structs.replace(through, id="pass"))
    assert at.does(9, "tcp", "10.1.0.52", "82"), "nothing is translated"
    assert neighbours(at, 9)["10.1.0.52"] == LOCAL_MAC
    for unit in (leads_to(2), leads_to(2, "10.1.0.51"), msgspec.structs.replace(through, id="pass")):
        at.scene.server.delete(unit.key)
    at.scene.settled()
    assert "deuteron_local_ip" not in at.ruleset()
    assert "bpf" not in at.scene.host.run(f"tc filter show dev {tap(9)} ingress")
    at.scene.host.run("ip -n vm9 neigh flush dev eth0")
    assert not at.pings(9, LOCAL)
