"""What routers do besides forwarding, on the wire."""

import json
from collections.abc import Iterator

import pytest

from deuteron.agent.l3 import services
from deuteron.plan.units import FloatingIP, Forwarding, Helper, Meter, MeterRule, Services
from tests.agent.l3.hosts import wait_for
from tests.agent.l3.scene import ROUTER, Scene, scene

pytestmark = pytest.mark.lab

SHARED = "203.0.113.51"
"""A floating IP of which ports lead to vm."""


@pytest.fixture(scope="module")
def built() -> Iterator[Scene]:
    with scene() as made:
        made.build()
        yield made


def forwarded(**ports: int) -> FloatingIP:
    """Return the floating IP with these ports leading to vm: `p` and the external one = the internal one."""
    return FloatingIP(
        id="f10a0002-0000-4000-8000-00000000000a",
        router=ROUTER,
        floating_ip=SHARED,
        forwardings=tuple(
            Forwarding(
                protocol="tcp",
                external=(int(name[1:]), int(name[1:])),
                fixed_ip="10.0.0.5",
                internal=(to, to),
            )
            for name, to in ports.items()
        ),
    )


def everywhere(made: Scene, floating_ip: FloatingIP) -> None:
    for agent in made.agents.values():
        agent.put(floating_ip)
        assert agent.apply() == {}


def serving(made: Scene, **wanted: object) -> dict[str, str]:
    """Have the router do this besides, on all its carriers; return what failed on the last one."""
    failed: dict[str, str] = {}
    for host in made.carriers:
        made.agents[host.name].put(made.twin(host, services=Services(**wanted)))  # type: ignore[arg-type]
        failed = made.agents[host.name].apply()
    return failed


def peer_seen_at(made: Scene, port: int) -> str:
    """Return whom vm sees when the outside connects to a port of the shared address; "" if nobody answers."""
    program = (
        "import socket\n"
        f"connection = socket.create_connection(('{SHARED}', {port}), 2)\n"
        "print(connection.recv(100).decode())"
    )
    return made.outside.run("python3 -", stdin=program, check=False).strip()


ACTIVE_FTP_SERVER = """
import re, socket
with socket.create_server(("", 21)) as listening:
    while True:
        client, _ = listening.accept()
        client.recv(100)
        client.sendall(b"331 go on\\r\\n")
        found = re.findall(rb"[0-9]+", client.recv(100))
        address, port = b".".join(found[:4]).decode(), int(found[4]) * 256 + int(found[5])
        try:
            with client, socket.create_connection((address, port), 2) as data:
                data.sendall(address.encode())
        except OSError:
            continue
"""
ACTIVE_FTP_CLIENT = """
import socket, sys
with socket.create_server(("", 0)) as listening, socket.create_connection(("203.0.113.1", 21), 5) as control:
    listening.settimeout(float(sys.argv[1]))
    port = listening.getsockname()[1]
    own = control.getsockname()[0].replace(".", ",")
    control.sendall(b"USER me\\r\\n")
    control.recv(100)
    control.sendall(f"PORT {own},{port >> 8},{port & 255}\\r\\n".encode())
    data, _ = listening.accept()
    print(data.recv(100).decode())
"""
FTP = Helper(name="ftp", protocol="tcp", port=21)


def data_comes_to(made: Scene, seconds: float = 10) -> str:
    """Return the address to which an FTP server outside connects when vm2 asks it to; "" when none came."""
    found = made.compute.run(f"ip netns exec vm2 python3 - {seconds}", stdin=ACTIVE_FTP_CLIENT, check=False)
    return found.strip()


def test_a_helper_translates_what_is_said_inside_of_a_connection(built: Scene) -> None:
    built.outside.start("python3", "-c", ACTIVE_FTP_SERVER)
    assert data_comes_to(built, 0.5) == ""
    unknown = Helper(name="gopher", protocol="tcp", port=70)
    problems = serving(built, helpers=(FTP, unknown))
    assert "conntrack helper gopher of tcp is not there" in problems[f"router/{ROUTER}"]
    assert data_comes_to(built) == "203.0.113.10"
    assert serving(built, helpers=(FTP,)) == {}
    assert serving(built) == {}
    assert data_comes_to(built, 0.5) == ""


def test_a_router_answers_for_those_that_it_proxies_and_counts(built: Scene) -> None:
    for name, address in (("vm", "2001:db8:1::5"), ("vm2", "2001:db8:1::6")):
        built.compute.run(f"ip -n {name} address add {address}/64 dev eth0 nodad")
        built.compute.run(f"ip -n {name} -6 route replace default via 2001:db8:1::1")
    meter = Meter(id="m", rules=(MeterRule(direction="ingress", destination="2001:db8:1::5/128"),))
    assert outside_reaches(built, "2001:db8:1::6")  # by a route of the outside
    assert serving(built, ndp_proxy=True, proxied=("2001:db8:1::5",), meters=(meter,)) == {}
    assert not outside_reaches(built, "2001:db8:1::6", 1)
    built.outside.run("ip -6 route replace 2001:db8:1::/64 dev eth-ext; ip -6 neigh flush dev eth-ext")
    assert outside_reaches(built, "2001:db8:1::5")
    assert not outside_reaches(built, "2001:db8:1::6", 1)
    counted = counters(built)
    assert counted["label-m"] > 0
    more = Meter(id="n", rules=(MeterRule(direction="egress", source="10.0.0.0/24"),))
    assert serving(built, ndp_proxy=True, proxied=("2001:db8:1::5",), meters=(meter, more)) == {}
    assert built.pings("vm2", "203.0.113.1")
    assert counters(built).items() >= counted.items()
    assert counters(built)["label-n"] > 0
    assert serving(built) == {}
    assert counters(built) == {}
    built.outside.run("ip -6 neigh flush dev eth-ext")
    assert not outside_reaches(built, "2001:db8:1::5", 1)


def outside_reaches(made: Scene, address: str, seconds: int = 5) -> bool:
    return bool(made.outside.run(f"ping -n -q -c 1 -W {seconds} {address} >&2 && echo yes", check=False))


def counters(made: Scene) -> dict[str, int]:
    """Return the packets that the active twin has counted."""
    inside = f"ip netns exec qrouter-{ROUTER}"
    text = made.net1.run(f"{inside} nft -j list counters table inet {services.METERS}", check=False)
    found = json.loads(text or "{}").get("nftables", [])
    return {item["counter"]["name"]: item["counter"]["packets"] for item in found if "counter" in item}


def test_forwarded_ports_survive_changes_and_a_failover(built: Scene) -> None:
    """The last test: net1 has no power afterwards."""
    everywhere(built, forwarded(p7007=7007))
    kept = built.connect(built.outside, None, SHARED)
    everywhere(built, forwarded(p7007=7007, p8000=7008))
    assert peer_seen_at(built, 8000) == "203.0.113.1"
    everywhere(built, forwarded(p8000=7008))
    assert kept.echo()
    everywhere(built, forwarded(p7007=7007, p8000=7008))
    built.net1.power_off()
    built.wait_until(built.net2, "active")
    assert kept.echo()
    wait_for(lambda: peer_seen_at(built, 8000) == "203.0.113.1")
    assert peer_seen_at(built, 8001) == ""
