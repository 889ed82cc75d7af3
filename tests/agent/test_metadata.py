import hashlib
import hmac
import http.server
import json
import threading
import time

import msgspec
import pytest

from deuteron.agent.metadata.legs import MAC
from deuteron.plan.units import Instance, InstanceAddress, Network, Port
from tests.agent.host import eventually
from tests.agent.scene import (
    FLAT,
    FLAT_NETWORK,
    NET,
    NETWORK,
    Scene,
    instance,
    mac,
    port,
    port_id,
    tap,
)

pytestmark = pytest.mark.lab
V4, V6 = "http://169.254.169.254", "http://[fe80::a9fe:a9fe%25eth0]"
NAME = "/latest/meta-data/hostname"
ON_LINK = "ip address add 10.1.0.{n}/24 dev eth0; ip route add 169.254.169.254 dev eth0"
BY_A_GATEWAY = (
    "ip address add 10.1.0.{n}/24 dev eth0; ip route add default via 10.1.0.1;"
    "ip neigh replace 10.1.0.1 lladdr 02:00:00:00:99:99 dev eth0"
)
ASK_AS = "ip -6 route replace fe80::a9fe:a9fe dev eth0 src {}"
LEG = f"meta{NET[:11]}"
SENDERS = "nft list map bridge deuteron_metadata senders"


def curl(scene: Scene, vm: str, path: str, options: str = "", url: str = V4) -> str:
    return scene.host.run(f"curl -g -sS -m 30 {options} '{url}{path}' 2>&1", vm, check=False)


def serve(here: Scene, *numbers: int, way: str = ON_LINK) -> list[str]:
    """Start the agent, plug instances and give them their addresses; return their namespaces."""
    here.server.put(NETWORK, *(unit for n in numbers for unit in (port(n), instance(n))))
    here.agent.start()
    here.settled()
    return [plugged(here, n, way) for n in numbers]


def plugged(here: Scene, number: int, way: str = ON_LINK) -> str:
    vm = here.plug(number)
    here.host.run(way.format(n=number), vm)
    return vm


@pytest.fixture
def served(here: Scene) -> tuple[Scene, str]:
    (vm,) = serve(here, 5)
    eventually(lambda: curl(here, vm, NAME) == "vm5")
    return here, vm


@pytest.mark.parametrize("way", [ON_LINK, BY_A_GATEWAY])
def test_an_instance_is_answered_whichever_way_it_takes(here: Scene, way: str) -> None:
    """There is no router and no DHCP server at all, and the gateway that is asked does not exist."""
    one, two = serve(here, 5, 6, way=way)
    for vm, name in ((one, "vm5"), (two, "vm6")):
        eventually(lambda: curl(here, vm, NAME) == name)  # noqa: B023
        eventually(lambda: curl(here, vm, NAME, url=V6) == name)  # noqa: B023
    assert not {"qrouter", "qdhcp"} & {name.partition("-")[0] for name in here.host.namespaces()}


def test_an_instance_reads_its_own_data_whatever_it_claims_to_be(served: tuple[Scene, str]) -> None:
    here, vm = served
    here.server.put(port(6), instance(6))
    here.settled()
    other = plugged(here, 6)
    lie = "-H 'X-Forwarded-For: 10.1.0.6' -H 'X-Deuteron-Network: other' -H 'X-Deuteron-Secret: x'"
    assert json.loads(curl(here, vm, "/openstack/latest/meta_data.json", lie))["uuid"] == "uuid-5"
    assert curl(here, vm, "/latest/user-data") == "hello\n"
    assert curl(here, vm, "/latest/meta-data/local-ipv4") == "10.1.0.5"
    assert curl(here, vm, "/nonsense", "-w '%{http_code}' -o /dev/null") == "404"
    assert curl(here, vm, "/latest", "-X POST -d x -w '%{http_code}' -o /dev/null") == "405"
    here.host.run("ip address add 10.1.0.77/24 dev eth0", vm)
    assert curl(here, vm, "/latest", "--interface 10.1.0.77 -w '%{http_code}' -o /dev/null") == "404"
    # Who takes another's address gets no answer: that goes to the port whose address it is.
    eventually(lambda: curl(here, other, NAME) == "vm6")
    here.host.run("ip address add 10.1.0.6/24 dev eth0; ip address add fe80::ff:fe00:6/64 dev eth0 nodad", vm)
    assert "vm6" not in curl(here, vm, NAME, "--interface 10.1.0.6 -m 2")
    here.host.run(ASK_AS.format("fe80::ff:fe00:6"), vm)
    assert "vm" not in curl(here, vm, NAME, "-m 2", V6)
    assert curl(here, other, NAME) == "vm6"


def test_who_asks_by_an_ipv6_address_not_of_its_mac_is_known(served: tuple[Scene, str]) -> None:
    here, vm = served
    here.host.run("ip -6 address flush dev eth0; ip address add fe80::1234:5678/64 dev eth0 nodad", vm)
    assert curl(here, vm, NAME, url=V6) == "vm5"


def test_nobody_answers_in_metadata_s_name(served: tuple[Scene, str]) -> None:
    """Neither another instance nor another host."""
    here, vm = served
    here.server.put(port(6), instance(6))
    here.settled()
    thief = plugged(here, 6)
    here.host.run(
        f"ip route delete 169.254.169.254; ip link set eth0 address {MAC};"
        "ip address add 169.254.169.254/32 dev eth0; ip address add fe80::a9fe:a9fe/64 dev eth0 nodad;"
        "arping -q -c 2 -U -I eth0 -s 169.254.169.254 169.254.169.254 || :",
        thief,
    )
    here.host.run("ip neigh flush all", vm)
    for url in (V4, V6):
        assert curl(here, vm, NAME, url=url) == "vm5"
    neighbours = here.host.json("ip -j neigh show", vm)
    assert {one["lladdr"] for one in neighbours if "169.254" in one["dst"] or "a9fe" in one["dst"]} == {MAC}


def test_nothing_of_it_leaves_the_host(served: tuple[Scene, str]) -> None:
    """What the VXLAN device was given to send does not grow while metadata is asked."""
    here, vm = served
    here.host.run("ping -c 1 -W 1 10.1.0.99 || :; ping -c 1 -W 1 fe80::99%eth0 || :", vm)

    def sent() -> int:
        return int(here.host.run("cat /sys/class/net/vxlan-7/statistics/tx_packets"))

    time.sleep(1.5)  # router solicitations of the guest's kernel, now and then
    counts = []
    for _ in range(5):
        before = sent()
        here.host.run("ip neigh flush all", vm)
        assert curl(here, vm, NAME) == "vm5"
        assert curl(here, vm, NAME, url=V6) == "vm5"
        counts.append(sent() - before)
    assert min(counts) == 0, counts


LISTENER = f"""
table netdev heard {{
  chain frames {{
    type filter hook ingress device far2 priority 0
    ether saddr {MAC} counter
    arp daddr ip 169.254.169.254 counter
    ip daddr 169.254.169.254 counter
    ip6 daddr ff02::1:fffe:a9fe counter
  }}
}}
"""


def test_nothing_passes_between_hosts(here: Scene) -> None:
    """On a network whose wire leads to another machine that has metadata's addresses too."""
    here.host.run(
        "ip netns add other; ip link set far2 netns other; ip -n other link set far2 up;"
        "ip -n other address add 10.1.0.9/24 dev far2;"
        "ip -n other address add 169.254.169.254/32 dev far2;"
        "ip -n other address add fe80::a9fe:a9fe/64 dev far2 nodad;"
        f"echo '{LISTENER}' | ip netns exec other nft -f -"
    )
    here.server.put(
        FLAT_NETWORK,
        msgspec.structs.replace(port(5), network=FLAT),
        msgspec.structs.replace(instance(5), network=FLAT),
    )
    here.agent.start()
    here.settled()
    vm = plugged(here, 5)
    here.host.run("ip -6 address add fe80::1234:5678/64 dev eth0 nodad", vm)
    eventually(lambda: here.host.run("ping -c 1 -W 1 10.1.0.9", vm, check=False).count("1 received"))
    for _ in range(5):
        here.host.run("arping -q -c 1 -U -I far2 -s 169.254.169.254 169.254.169.254 || :", "other")
        for url in (V4, V6):
            eventually(lambda: curl(here, vm, NAME, "-m 2", url=url) == "vm5")  # noqa: B023
        here.host.run(f"ip neigh flush all; ip -6 neigh flush all; {ASK_AS.format('fe80::1234:5678')}", vm)
        here.host.run("ip -n qmeta neigh flush nud reachable; ip -n qmeta neigh flush nud stale || :")
    heard = here.host.run("nft list table netdev heard", "other")
    assert heard.count("packets 0") == 4, heard
    here.host.run(
        "ip address delete 169.254.169.254/32 dev far2; ip route add 169.254.169.254 dev far2", "other"
    )
    assert "vm5" not in curl(here, "other", NAME, "-m 2 --interface 10.1.0.9")


def make_green(here: Scene) -> None:
    """Plan and plug an instance on another network, with the address of the one on the first."""
    green = "22222222-2222-3333-4444-555555555555"
    twin = msgspec.structs.replace(
        instance(5), id="55555555-green", network=green, mac=mac(0x55), instance_id="uuid-g", hostname="green"
    )
    here.server.put(
        Network(id=green, type="vxlan", mtu=1450, vni=8),
        Port(id=twin.id, network=green, mac=twin.mac, mtu=1450),
        twin,
    )
    here.settled()
    here.host.run(
        "ip netns add green; ip -n green link set lo up;"
        f"ip link add tap{twin.id[:11]} type veth peer name eth0 address {twin.mac} netns green;"
        "ip -n green link set eth0 up"
    )
    here.host.run(ON_LINK.format(n=5), "green")


def test_two_networks_with_the_same_addresses_do_not_mix(served: tuple[Scene, str]) -> None:
    here, vm = served
    make_green(here)
    eventually(lambda: curl(here, "green", NAME, "-m 2") == "green")
    eventually(lambda: curl(here, "green", NAME, "-m 2", V6) == "green")
    for _ in range(20):
        assert curl(here, vm, NAME) == "vm5"
        assert curl(here, "green", NAME) == "green"


def test_who_is_not_haproxy_gets_nothing(served: tuple[Scene, str]) -> None:
    here, _ = served
    headers = f"-H 'X-Forwarded-For: 10.1.0.5' -H 'X-Deuteron-Network: {NET}'"
    answer = here.host.run(f"curl -sS {headers} -w '%{{http_code}}' http://127.0.0.1:9697/latest/user-data")
    assert answer.endswith("403")
    assert "hello" not in answer
    assert here.host.run("stat -c %a /run/deuteron/metadata").strip() == "700"


def test_a_request_while_the_agent_restarts_is_late_not_lost(served: tuple[Scene, str]) -> None:
    here, vm = served
    workers = here.host.run("pgrep haproxy").split()
    here.agent.kill()
    client = here.host.popen(["curl", "-sS", "-m", "30", f"{V4}{NAME}"], vm, stdout=-1)
    time.sleep(0.5)
    here.agent.start()
    assert client.communicate(timeout=60)[0] == "vm5"
    assert here.host.run("pgrep haproxy").split() == workers


def test_it_heals(served: tuple[Scene, str]) -> None:
    """haproxy, the leg, its place on the bridge, the namespace: whatever is taken away comes back."""
    here, vm = served
    here.host.run("kill -9 $(pgrep haproxy)")
    eventually(lambda: curl(here, vm, NAME, "-m 2") == "vm5")
    for harm in (f"ip link delete {LEG}", f"ip link set {LEG} nomaster"):
        here.host.run(harm)
        eventually(lambda: curl(here, vm, NAME, "-m 2") == "vm5", what=harm)
        eventually(lambda: curl(here, vm, NAME, "-m 2", V6) == "vm5", what=harm)
    here.host.run("ip netns delete qmeta; nft delete table bridge deuteron_metadata")
    here.agent.kill()
    here.agent.start()
    eventually(lambda: here.host.run("nft list table bridge deuteron_metadata && ls /run/netns/qmeta"))
    eventually(lambda: curl(here, vm, NAME, "-m 2") == "vm5")


def test_deletes_leave_nothing_behind(served: tuple[Scene, str]) -> None:
    here, vm = served
    here.server.put(port(6), instance(6))
    here.settled()
    here.host.run(f"ip -n qmeta neigh show 10.1.0.6 | grep {mac(6)}")
    assert tap(6) in here.host.run(SENDERS)
    here.server.delete(port(6).key, instance(6).key)
    here.settled()
    assert "10.1.0.6" not in here.host.run("ip -n qmeta neigh show")
    assert tap(6) not in here.host.run(SENDERS)
    assert tap(5) in here.host.run(SENDERS)
    here.server.delete(port(5).key, instance(5).key, NETWORK.key)
    here.settled()
    eventually(lambda: not any("haproxy" in process for process in here.processes()))
    assert here.host.namespaces() == {"vm5"}
    assert LEG not in here.host.links()
    assert "metadata" not in here.host.run("nft list ruleset")
    assert not here.host.run("ls /run/deuteron/metadata | grep haproxy || :")
    here.server.put(NETWORK, port(5), instance(5))
    eventually(lambda: curl(here, vm, NAME, "-m 2") == "vm5")


def test_what_was_deleted_while_the_agent_was_away_goes_too(served: tuple[Scene, str]) -> None:
    here, _ = served
    here.agent.kill()
    here.server.delete(port(5).key, instance(5).key, NETWORK.key)
    here.agent.start()
    here.settled()
    assert "qmeta" not in here.host.namespaces()
    assert LEG not in here.host.links()
    assert not any("haproxy" in process for process in here.processes())


def test_foreign_things_are_reported_and_left_alone(here: Scene) -> None:
    here.host.run(f"ip link add {LEG} type veth peer name mine")
    serve(here, 5)
    eventually(lambda: "not ours" in here.server.problems.get(f"metadata/{NET}", ""))
    assert "mine" in here.host.links()
    make_green(here)
    eventually(lambda: curl(here, "green", NAME, "-m 2") == "green", 5, "others are served all the same")
    here.host.run(f"ip link delete {LEG}")
    eventually(lambda: curl(here, "vm5", NAME, "-m 2") == "vm5", 60)
    assert here.server.problems == {}


def test_a_foreign_namespace_is_reported_and_left_alone(here: Scene) -> None:
    here.host.run("ip netns add qmeta")
    serve(here, 5)
    eventually(lambda: "not ours" in here.server.problems.get("agent/metadata", ""))
    here.server.delete(port(5).key, instance(5).key)
    eventually(lambda: here.server.problems == {}, 60)
    assert "qmeta" in here.host.namespaces()


def test_nova_is_asked_with_a_signature(here: Scene) -> None:
    seen: list[dict[str, str]] = []

    class Nova(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({**dict(self.headers), "path": self.path})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"from": "nova"}')

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("", 0), Nova, bind_and_activate=False)
    server.socket.close()
    server.socket = here.host.listen(8775)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    here.agent.environment(
        DEUTERON_AGENT__NOVA_METADATA_HOST="127.0.0.1", DEUTERON_AGENT__METADATA_PROXY_SHARED_SECRET="shared"
    )
    (vm,) = serve(here, 5)
    for url in (V4, V6):
        eventually(lambda: "nova" in curl(here, vm, "/", url=url))  # noqa: B023
        seen.clear()
        answer = curl(here, vm, "/openstack/latest/meta_data.json?x=1", "-H 'X-Instance-ID: uuid-6'", url)
        assert json.loads(answer) == {"from": "nova"}
        assert seen[0]["path"] == "/openstack/latest/meta_data.json?x=1"
        assert seen[0]["X-Instance-ID"] == "uuid-5"
        assert seen[0]["X-Tenant-ID"] == "project"
        assert seen[0]["X-Forwarded-For"] == "10.1.0.5"
        signature = hmac.new(b"shared", b"uuid-5", hashlib.sha256).hexdigest()
        assert seen[0]["X-Instance-ID-Signature"] == signature
    server.shutdown()
    server.server_close()
    assert curl(here, vm, "/latest", "-w '%{http_code}' -o /dev/null") == "502"


def test_a_machine_of_several_ports_is_told_of_all(here: Scene) -> None:
    here.agent.environment(DEUTERON_AGENT__ZONE="east")
    second = msgspec.structs.replace(instance(6), instance_id="uuid-5")
    here.server.put(port(6), second)
    (vm,) = serve(here, 5)
    here.server.put(second)
    eventually(lambda: curl(here, vm, NAME) == "vm5")
    told = json.loads(curl(here, vm, "/openstack/latest/network_data.json"))
    assert [link["ethernet_mac_address"] for link in told["links"]] == [mac(5), mac(6)]
    assert json.loads(curl(here, vm, "/openstack/latest/meta_data.json"))["availability_zone"] == "east"


def test_a_hundred_networks_cost_little(here: Scene) -> None:
    ids = [f"{n:08d}-net" for n in range(100)]
    address = InstanceAddress(address="10.1.0.5/24")
    here.server.put(
        *(Network(id=id_, type="vxlan", mtu=1450, vni=100 + n) for n, id_ in enumerate(ids)),
        *(
            Instance(
                id=port_id(n),
                network=id_,
                mac="02:00:00:00:00:05",
                mtu=1450,
                addresses=(address,),
                instance_id=f"uuid-{n}",
                project_id="p",
                hostname=f"vm{n}",
            )
            for n, id_ in enumerate(ids)
        ),
        *(Port(id=port_id(n), network=id_, mac=mac(5), mtu=1450) for n, id_ in enumerate(ids)),
    )
    here.agent.start()
    begin = time.monotonic()
    here.settled(60)
    took = time.monotonic() - begin
    for n in (0, 57, 99):
        here.host.run(
            f"ip netns add v{n}; ip link add {tap(n)} type veth peer name eth0 address {mac(5)} netns v{n};"
            f"ip -n v{n} link set eth0 up"
        )
        here.host.run(ON_LINK.format(n=5), f"v{n}")
        eventually(lambda: curl(here, f"v{n}", NAME, "-m 2") == f"vm{n}")  # noqa: B023
    memory = here.host.run(
        "for p in $(pgrep haproxy); do awk '/^Pss:/ {print $2}' /proc/$p/smaps_rollup; done"
    ).split()
    print(f"100 networks: {took:.2f} s, haproxy {sum(map(int, memory))} kB PSS")
    assert sum(map(int, memory)) < 60_000
