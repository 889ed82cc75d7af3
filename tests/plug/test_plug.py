"""`deuteron plug` and `unplug`, on a host with a server and an agent."""

import pytest

from tests.plug.conftest import Machine

pytestmark = pytest.mark.lab


def test_two_namespaces_speak_to_each_other(machine: Machine) -> None:
    network = machine.network("blue")
    ports = [str(machine.api.make("port", network_id=network, name=f"p{n}")["id"]) for n in (1, 2)]
    for number, port in enumerate(ports, 1):
        said = machine.done(
            "plug", f"p{number}", "--netns", machine.namespace(f"n{number}"), "--host", _name(machine)
        )
        assert port in said
        shown = machine.port(port)
        assert (shown["status"], shown["binding:host_id"]) == ("ACTIVE", _name(machine))
    for fixed in machine.port(ports[1])["fixed_ips"]:
        machine.reaches("n1", fixed["ip_address"])
    link = machine.host.links("n1")["eth0"]
    assert (link["address"], link["mtu"]) == (machine.port(ports[0])["mac_address"], 1450)
    assert "default via 10.0.0.1 dev eth0" in machine.host.run("ip route", "n1")
    assert "default via 2001:db8::1 dev eth0" in machine.host.run("ip -6 route", "n1")

    there = machine.refused("plug", "p2", "--netns", "n1", "--interface", "eth1", "--host", _name(machine))
    assert "in use by device" in there
    assert "on host" in machine.refused("unplug", "p1", "--host", "elsewhere")
    machine.done("unplug", "p1", "--host", _name(machine))
    assert "eth0" not in machine.host.links("n1")
    shown = machine.port(ports[0])
    assert (shown["binding:host_id"], shown["device_id"], shown["status"]) == ("", "", "DOWN")
    assert "was not plugged" in machine.refused("unplug", "p1", "--host", _name(machine))


def test_a_tap_gets_its_name_back(machine: Machine) -> None:
    network = machine.network("green")
    port = str(machine.api.make("port", network_id=network)["id"])
    tap = f"tap{port[:11]}"
    machine.host.run("ip tuntap add vm1 mode tap")
    machine.done("plug", port, "--tap", "vm1", "--host", _name(machine))
    links = machine.host.links()
    assert links[tap]["master"] == machine.bridge(network)
    assert "vm1" not in links
    machine.done("unplug", port, "--host", _name(machine))
    links = machine.host.links()
    assert tap not in links
    assert "master" not in links["vm1"]
    assert not links["vm1"].get("ifalias")


def test_what_cannot_be_plugged_leaves_nothing(machine: Machine) -> None:
    network = machine.network("red")
    port = str(machine.api.make("port", network_id=network)["id"])
    full = machine.namespace("full")
    machine.host.run("ip link add eth0 type veth peer name eth9", full)
    machine.host.run("ip link add br9 type bridge; ip tuntap add vm2 mode tap; ip link set vm2 master br9")
    before = _devices(machine)
    for words, said in (
        (("--netns", "nowhere"), "there is no network namespace nowhere"),
        (("--netns", full), "File exists"),
        (("--netns", full, "--interface", "a name"), "without spaces"),
        (("--tap", "nothing"), "ip tuntap add nothing mode tap"),
        (("--tap", "vm2"), "vm2 is part of br9"),
    ):
        assert said in machine.refused("plug", port, *words, "--host", _name(machine)), words
        shown = machine.port(port)
        assert (shown["binding:host_id"], shown["device_owner"]) == ("", "")
    assert _devices(machine) == before


def _devices(machine: Machine) -> set[str]:
    """Return the names of the host's devices, but for those of networks, which come and go with ports."""
    return {name for name in machine.host.links() if not name.startswith(("brq", "vxlan-"))}


def _name(machine: Machine) -> str:
    return machine.host.name
