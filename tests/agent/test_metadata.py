import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest

from deuteron.plan.units import Dhcp, Router, RouterPort
from tests.agent.host import eventually
from tests.agent.scene import DHCP, NET, NETWORK, Scene, instance, lease, port

pytestmark = pytest.mark.lab
URL = "http://169.254.169.254"


@pytest.fixture
def served(here: Scene) -> tuple[Scene, str]:
    here.server.put(NETWORK, DHCP, port(5), lease(5), instance(5))
    here.agent.start()
    here.settled()
    vm = here.plug(5)
    here.host.run("ip address add 10.1.0.5/24 dev eth0; ip route add 169.254.169.254 via 10.1.0.2", vm)
    eventually(lambda: curl(here, vm, "/latest/meta-data/hostname") == "vm5")
    return here, vm


def curl(scene: Scene, vm: str, path: str, options: str = "") -> str:
    return scene.host.run(f"curl -sS -m 30 {options} '{URL}{path}' 2>&1", vm, check=False)


def test_an_instance_reads_its_own_data_whatever_it_claims_to_be(served: tuple[Scene, str]) -> None:
    here, vm = served
    here.server.put(instance(6))
    here.settled()
    lie = "-H 'X-Forwarded-For: 10.1.0.6' -H 'X-Deuteron-Namespace: qdhcp-other' -H 'X-Deuteron-Secret: x'"
    assert json.loads(curl(here, vm, "/openstack/latest/meta_data.json", lie))["uuid"] == "uuid-5"
    assert curl(here, vm, "/latest/user-data") == "hello\n"
    assert curl(here, vm, "/latest/meta-data/local-ipv4") == "10.1.0.5"
    assert curl(here, vm, "/nonsense", "-w '%{http_code}' -o /dev/null") == "404"
    assert curl(here, vm, "/latest", "-X POST -d x -w '%{http_code}' -o /dev/null") == "405"
    here.host.run("ip address add 10.1.0.77/24 dev eth0", vm)
    assert curl(here, vm, "/latest", "--interface 10.1.0.77 -w '%{http_code}' -o /dev/null") == "404"


def test_who_is_not_haproxy_gets_nothing(served: tuple[Scene, str]) -> None:
    here, _ = served
    headers = f"-H 'X-Forwarded-For: 10.1.0.5' -H 'X-Deuteron-Namespace: qdhcp-{NET}'"
    answer = here.host.run(f"curl -sS {headers} -w '%{{http_code}}' http://127.0.0.1:9697/latest/user-data")
    assert answer.endswith("403")
    assert "hello" not in answer
    assert here.host.run("stat -c %a /run/deuteron/metadata").strip() == "700"


def test_a_request_while_the_agent_restarts_is_late_not_lost(served: tuple[Scene, str]) -> None:
    here, vm = served
    here.agent.kill()
    client = here.host.popen(["curl", "-sS", "-m", "30", f"{URL}/latest/meta-data/hostname"], vm, stdout=-1)
    time.sleep(0.5)
    here.agent.start()
    assert client.communicate(timeout=60)[0] == "vm5"


def make_router(here: Scene, name: str) -> None:
    here.host.run(
        f"ip netns add {name}; ip -n {name} link set lo up alias deuteron;"
        f"ip link add tapr type veth peer name qr address 02:00:00:00:09:01 netns {name};"
        f"ip link set tapr master brq11111111-22 up;"
        f"ip -n {name} address add 10.1.0.1/24 dev qr; ip -n {name} link set qr up"
    )


def test_every_namespace_answers_and_stops_to(served: tuple[Scene, str]) -> None:
    here, vm = served
    workers = here.host.run("pgrep -o haproxy").split()
    router = Router(
        id="rrrrrrrr-1",
        number=9,
        interfaces=(
            RouterPort(id="rp", network=NET, mac="02:00:00:00:09:01", mtu=1450, addresses=("10.1.0.1/24",)),
        ),
    )
    name = f"qrouter-{router.id}"
    here.server.put(router)
    here.settled()
    assert "waits for the namespace" in here.server.problems[router.key]
    make_router(here, name)
    eventually(lambda: here.server.problems == {}, 60)
    here.host.run("ip route replace 169.254.169.254 via 10.1.0.1", vm)
    eventually(lambda: curl(here, vm, "/latest/meta-data/hostname") == "vm5")
    assert here.host.run("pgrep -o haproxy").split() == workers

    # A namespace of the same name that was made anew is not the same.
    here.host.run(f"ip netns delete {name}")
    here.host.run("ip link delete tapr 2>/dev/null || :")
    make_router(here, name)
    here.agent.kill()
    here.agent.start()
    eventually(lambda: curl(here, vm, "/latest/meta-data/hostname", "-m 2") == "vm5")

    isolated = Dhcp(
        id=NET, port=DHCP.port, mac=DHCP.mac, mtu=1450, addresses=DHCP.addresses, subnets=DHCP.subnets
    )
    here.server.put(isolated)
    here.settled()
    here.host.run("ip route replace 169.254.169.254 via 10.1.0.2", vm)
    eventually(lambda: "vm5" not in curl(here, vm, "/latest/meta-data/hostname", "-m 2"))
    assert "169.254" not in here.host.run("ip -br address", f"qdhcp-{NET}")
    here.server.delete(router.key)
    here.settled()
    eventually(lambda: not any("haproxy" in process for process in here.processes()))


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
    here.server.put(NETWORK, DHCP, port(5), lease(5), instance(5))
    here.agent.start()
    here.settled()
    vm = here.plug(5)
    here.host.run("ip address add 10.1.0.5/24 dev eth0; ip route add 169.254.169.254 via 10.1.0.2", vm)
    eventually(lambda: "nova" in curl(here, vm, "/"))
    seen.clear()
    answer = curl(here, vm, "/openstack/latest/meta_data.json?x=1", "-H 'X-Instance-ID: uuid-6'")
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


def test_a_hundred_namespaces_cost_little(here: Scene) -> None:
    names = [f"qrouter-{n:08d}-r" for n in range(100)]
    here.host.run("; ".join(f"ip netns add {name}" for name in names))
    here.server.put(*(Router(id=f"{n:08d}-r", number=n + 1) for n in range(100)))
    here.agent.start()
    begin = time.monotonic()
    here.settled(60)
    took = time.monotonic() - begin
    memory = here.host.run(
        "for p in $(pgrep haproxy); do awk '/^Pss:/ {print $2}' /proc/$p/smaps_rollup; done"
    ).split()
    print(f"100 namespaces: {took:.2f} s, haproxy {sum(map(int, memory))} kB PSS")
    assert sum(map(int, memory)) < 60_000
