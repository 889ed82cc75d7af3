import signal
import time
from pathlib import Path

import msgspec
import pytest

from deuteron.plan.units import Network, Remote
from tests.agent.host import eventually
from tests.agent.scene import FLAT_NETWORK, NET, NETWORK, Scene, mac, port, port_id, scene, tap

pytestmark = pytest.mark.lab


def test_networks_ports_and_forwarding_entries(here: Scene) -> None:
    fixed = Remote(id="fixed", network=NET, mac=mac(8), vtep="10.0.0.2")
    moving = Remote(id="moving", network=NET, mac=mac(9), vtep="10.0.0.2", moves=True)
    here.server.put(NETWORK, FLAT_NETWORK, port(1), fixed, moving)
    here.agent.start()
    here.settled()
    assert here.server.problems == {}
    links = here.host.links()
    assert links["vxlan-7"]["master"] == "brq11111111-22"
    assert links["eth2"]["master"] == "brqffffffff-22"
    assert links["brq11111111-22"]["mtu"] == 1450
    assert "NOARP" in links["brq11111111-22"]["flags"]
    entries = here.host.run("bridge fdb show dev vxlan-7")
    assert "00:00:00:00:00:00 dst 10.0.0.2 self permanent" in entries
    assert f"{mac(8)} dst 10.0.0.2 self permanent" in entries
    assert f"{mac(9)} dst 10.0.0.2 self \n" in entries

    assert here.server.ports_up == set()
    here.plug(1)
    assert here.host.links()[tap(1)]["mtu"] == 1450
    addresses = here.host.run("ip -6 -br address")
    assert "brq" not in addresses
    assert "tap" not in addresses
    here.host.run(f"ip link set {tap(1)} nomaster")
    eventually(lambda: here.host.links()[tap(1)].get("master") == "brq11111111-22")
    here.host.run(f"ip link delete {tap(1)}")
    eventually(lambda: port_id(1) not in here.server.ports_up)


def test_learned_entries_outlive_a_restart_and_give_way_to_the_plan(here: Scene) -> None:
    moving = Remote(id="moving", network=NET, mac=mac(9), vtep="10.0.0.2", moves=True)
    here.server.put(NETWORK, moving)
    here.agent.start()
    here.settled()
    here.host.run(f"bridge fdb replace {mac(9)} dev vxlan-7 dst 10.0.0.3 self dynamic")
    here.agent.kill()
    here.server.put(Network(id=NET, type="vxlan", mtu=1450, vni=7, vteps=("10.0.0.2", "10.0.0.3")))
    here.agent.start()
    here.settled()
    entries = here.host.run("bridge fdb show dev vxlan-7")
    assert f"{mac(9)} dst 10.0.0.3 self" in entries
    assert "00:00:00:00:00:00 dst 10.0.0.3 self permanent" in entries
    here.server.put(Remote(id="moving", network=NET, mac=mac(9), vtep="10.0.0.4", moves=True))
    here.settled()
    assert f"{mac(9)} dst 10.0.0.4 self" in here.host.run("bridge fdb show dev vxlan-7")


def test_deletes_leave_nothing_behind(here: Scene) -> None:
    before = set(here.host.links())
    here.agent.start()
    here.server.put(NETWORK, FLAT_NETWORK, port(1), Remote(id="r", network=NET, mac=mac(8), vtep="10.0.0.2"))
    here.settled()
    here.plug(1)
    here.server.delete(*here.server.units)
    here.settled()
    assert set(here.host.links()) == before | {tap(1)}
    assert "master" not in here.host.links()[tap(1)]
    assert "master" not in here.host.links()["eth2"]
    assert here.server.ports_up == set()
    assert here.server.problems == {}


def test_what_was_deleted_while_the_agent_was_away_goes_when_it_is_back(here: Scene) -> None:
    before = set(here.host.links())
    here.agent.start()
    here.server.put(NETWORK)
    here.settled()
    here.agent.kill()
    here.server.delete(NETWORK.key)
    here.agent.start()
    here.settled()
    assert set(here.host.links()) == before


def test_foreign_devices_are_told_and_left_alone(here: Scene) -> None:
    here.host.run(
        "ip link add brq11111111-22 type bridge; ip link add vxlan-9 type vxlan id 9 dstport 4789;"
        "ip link add veth9 type veth peer name veth8; ip link set veth9 master brq11111111-22"
    )
    other = Network(id="22222222-2222", type="vxlan", mtu=1450, vni=8)
    here.server.put(NETWORK, port(1), other)
    here.agent.start()
    here.settled()
    assert "not ours" in here.server.problems[NETWORK.key]
    assert other.key not in here.server.problems
    links = here.host.links()
    assert "vxlan-9" in links
    assert "vxlan-8" in links
    assert "NOARP" not in links["brq11111111-22"]["flags"]
    here.host.run("ip link delete brq11111111-22")
    eventually(lambda: here.server.problems == {})
    assert here.host.links()["vxlan-7"]["master"] == "brq11111111-22"


def test_a_bridge_that_a_hypervisor_made_first_becomes_ours(here: Scene) -> None:
    bridge = "brq11111111-22"
    here.host.run(
        f"ip link add {bridge} type bridge; ip link set {bridge} up;"
        f"ip link add {tap(1)} type veth peer name far1; ip link set {tap(1)} master {bridge} up"
    )
    here.server.put(NETWORK, port(1))
    here.agent.start()
    here.settled()
    eventually(lambda: port_id(1) in here.server.ports_up)
    assert here.server.problems == {}
    links = here.host.links()
    assert links[tap(1)]["master"] == links["vxlan-7"]["master"] == bridge
    assert links[bridge]["mtu"] == 1450
    assert "NOARP" in links[bridge]["flags"]
    here.server.delete(port(1).key, NETWORK.key)
    eventually(lambda: bridge not in here.host.links())
    assert tap(1) in here.host.links()


def test_a_guest_that_waits_is_connected_and_told_again_when_it_has_come(here: Scene) -> None:
    def told() -> int:
        return sum(port_id(1) in report.ports_up for report in here.server.reports if not report.full)

    waiting = msgspec.structs.replace(port(1), waiting=True)
    here.server.put(NETWORK, waiting)
    here.agent.start()
    here.settled()
    here.host.run(f"ip link add {tap(1)} type veth peer name far1")
    eventually(lambda: here.host.links()[tap(1)].get("master") == "brq11111111-22")
    eventually(lambda: told() == 1)
    here.server.put(port(1))
    eventually(lambda: told() == 2)
    here.server.put(waiting)
    eventually(lambda: told() == 3)
    assert here.host.links()[tap(1)]["master"] == "brq11111111-22"


def test_an_address_on_the_physical_device_is_not_lost(here: Scene) -> None:
    here.host.run("ip address add 192.0.2.1/24 dev eth2; ip link set eth2 up")
    here.server.put(FLAT_NETWORK)
    here.agent.start()
    here.settled()
    assert "192.0.2.1/24" in here.server.problems[FLAT_NETWORK.key]
    assert "192.0.2.1/24" in here.host.run("ip -br address show eth2")


def test_a_bridge_that_somebody_deleted_is_made_again(here: Scene) -> None:
    here.server.put(NETWORK, port(1))
    here.agent.start()
    here.settled()
    here.plug(1)
    here.host.run("ip link delete brq11111111-22")
    eventually(lambda: here.host.links().get(tap(1), {}).get("master") == "brq11111111-22")
    eventually(lambda: here.host.links()["vxlan-7"].get("master") == "brq11111111-22")


def test_two_hundred_networks(here: Scene) -> None:
    networks = [
        Network(id=f"{n:08d}-1", type="vxlan", mtu=1450, vni=n, vteps=("10.0.0.2", "10.0.0.3"))
        for n in range(1, 201)
    ]
    here.agent.start()
    here.server.put(*networks)
    begin = time.monotonic()
    here.settled(60)
    built = time.monotonic() - begin
    here.agent.kill()
    told = len(here.server.reports)
    begin = time.monotonic()
    here.agent.start()
    eventually(lambda: any(r.revision for r in here.server.reports[told:]), 30)
    resync = time.monotonic() - begin
    assert sum(name.startswith("vxlan-") for name in here.host.links()) == 200
    print(f"200 networks: built in {built:.2f} s, resync after a restart {resync:.2f} s")
    assert built < 30
    assert resync < 30


def test_the_agent_keeps_away_from_what_it_does_not_know(here: Scene, tmp_path: Path) -> None:
    here.server.put(NETWORK)
    here.agent.start()
    here.settled()
    here.agent.kill()
    here.server.stop()
    for damage in ("", "nonsense\n"):
        (tmp_path / "plan.ndjson").write_text(damage)
        here.agent.start()
        eventually(lambda: "waiting for the server" in here.agent.words())
        time.sleep(0.3)
        assert "vxlan-7" in here.host.links()
        here.agent.kill()
    here.server.serve(here.host.listen(9696))
    here.agent.start()
    eventually(lambda: here.server.reports[-1].full or True)
    here.settled()
    assert "vxlan-7" in here.host.links()


def test_without_the_server_the_agent_works_from_its_last_plan(here: Scene) -> None:
    here.server.put(NETWORK, port(1))
    here.agent.start()
    here.settled()
    here.agent.kill()
    here.server.stop()
    here.host.run("ip link delete vxlan-7; ip link delete brq11111111-22")
    here.agent.start()
    eventually(lambda: here.host.links().get("vxlan-7", {}).get("master") == "brq11111111-22")
    requests = len(here.server.requests)
    here.server.serve(here.host.listen(9696))
    eventually(lambda: len(here.server.requests) > requests)
    assert f"since={here.server.revision}" in here.server.requests[-1]


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        disk = tmp_path / "disk"
        disk.mkdir()
        here.host.run(f"mount -t tmpfs -o size=8k tmpfs {disk}; head -c 8k /dev/zero >{disk}/ballast || :")
        here.agent.options("--state-dir", str(disk))
        here.server.put(NETWORK)
        here.agent.start()
        here.settled()
        assert "cannot be kept" in here.server.problems["agent/plan"]
        assert "vxlan-7" in here.host.links()
        here.host.run(f"rm {disk}/ballast")
        here.server.put(port(1))
        eventually(lambda: here.server.problems == {})
        assert "plan.ndjson" in here.host.run(f"ls {disk}")


def test_a_silent_stream_is_left_and_taken_up_again(here: Scene) -> None:
    here.server.put(NETWORK)
    here.agent.start()
    here.settled()
    here.server.silent = True
    here.server.put(port(1))
    asked = len(here.server.requests)
    eventually(lambda: len(here.server.requests) > asked, 60)
    assert here.server.applied != here.server.revision
    here.server.silent = False
    here.settled()


def test_a_second_agent_refuses_and_sigterm_ends_the_first(here: Scene) -> None:
    here.agent.start()
    here.server.put(NETWORK)
    here.settled()
    second = here.host.run(f"{here.agent.command} --local-ip 10.0.0.1 2>&1; echo status $?", check=False)
    assert "another agent runs" in second
    assert "status 1" in second
    assert here.agent.kill(signal.SIGTERM) == 0
    assert "vxlan-7" in here.host.links()


def test_what_the_host_lacks_is_named(here: Scene) -> None:
    said = here.host.run(
        f"PATH=/nowhere {here.agent.command} --local-ip 10.0.0.9 --roles l2,l3,dhcp 2>&1; echo status $?"
    )
    assert "dnsmasq is missing: apt-get install dnsmasq-base" in said
    assert "keepalived is missing" in said
    assert "status 1" in said
    said = here.host.run(f"{here.agent.command} --local-ip 10.0.0.9 2>&1; echo status $?")
    assert "no device of this host has the address 10.0.0.9" in said
    assert "status 1" in said
    said = here.host.run(f"{here.agent.command} --roles l5 --local-ip 10.0.0.1 2>&1; echo status $?")
    assert "l2,l3,dhcp,metadata" in said
    assert "status 2" in said
