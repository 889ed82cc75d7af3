"""Two hosts with a twin of one router each, a client inside and a server outside.

A host is a namespace with an underlay address, a run directory, the real switch and the real process that
copies connections. Which twin gets the traffic is decided by the ports of two bridges.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deuteron.agent.l3.switch import client, records
from deuteron.agent.l3.switch.records import Places
from deuteron.agent.system import netns

ROUTER = "11111111-2222-4333-8444-555555555555"
NUMBER = 77
CLIENT, SERVER = "10.0.0.5", "203.0.113.1"
CLIENT6, SERVER6 = "fd00::5", "fd01::1"
FLOATING = "203.0.113.20"
PUBLIC = "203.0.113.10"

RULES = f"""
table ip nat {{
  chain prerouting {{
    type nat hook prerouting priority dstnat
    ip daddr {FLOATING} dnat to {CLIENT}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat
    oifname qg meta l4proto {{ tcp, udp }} snat to {PUBLIC}:20000-60000 random
    oifname qg snat to {PUBLIC}
  }}
}}
table inet filter {{
  chain forward {{
    type filter hook forward priority filter
    ct state invalid drop
    ct state new tcp flags & (syn | ack) != syn drop
  }}
  chain input {{
    type filter hook input priority filter
    iifname qg meta l4proto tcp drop
  }}
}}
"""


def run(*commands: str, netns: str | None = None, stdin: str = "") -> str:
    output = ""
    for command in commands:
        words = [*(["ip", "netns", "exec", netns] if netns else []), *command.split()]
        done = subprocess.run(words, capture_output=True, text=True, check=False, input=stdin)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        output += done.stdout
    return output


def wait_for(condition: Callable[[], Any], seconds: float = 20, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)


class Host:
    """One of the two; `index` is 1 or 2."""

    def __init__(self, scene: "Scene", index: int) -> None:
        self.scene, self.index = scene, index
        self.namespace, self.router = scene.name(f"h{index}"), scene.name(f"r{index}")
        self.vtep, self.twin = f"10.98.0.{index}", f"10.98.0.{3 - index}"
        self.run_dir = scene.directory / str(index)
        self.places = Places(self.run_dir)
        self.places.make()
        self.sync: subprocess.Popen[bytes] | None = None
        self.switch: subprocess.Popen[bytes] | None = None
        scene.add(self.namespace)
        run(
            f"ip link add u{index} netns {scene.wires} type veth peer name eth0 netns {self.namespace}",
            f"ip -n {scene.wires} link set u{index} master under up",
            f"ip -n {self.namespace} link set eth0 up",
            f"ip -n {self.namespace} address add {self.vtep}/24 dev eth0",
        )

    def make_router(self) -> None:
        self.scene.add(self.router)
        for port, bridge, mac in (
            ("qr", "inside", "02:00:00:00:00:11"),
            ("qg", "outside", "02:00:00:00:00:12"),
        ):
            tap = f"{port}{self.index}"
            run(
                f"ip link add {tap} netns {self.scene.wires} type veth"
                f" peer name {port} address {mac} netns {self.router}",
                f"ip -n {self.scene.wires} link set {tap} master {bridge} addrgenmode none",
                f"ip -n {self.router} link set {port} addrgenmode none up",
                f"ip -n {self.router} address add fe80::1/64 dev {port} nodad",
            )
        run(
            f"ip -n {self.router} address add 10.0.0.1/24 dev qr",
            f"ip -n {self.router} address add {PUBLIC}/24 dev qg",
            f"ip -n {self.router} address add {FLOATING}/32 dev qg",
            f"ip -n {self.router} -6 address add fd00::fe/64 dev qr nodad",
            f"ip -n {self.router} -6 address add fd01::fe/64 dev qg nodad",
        )
        run(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
            " net.netfilter.nf_conntrack_tcp_be_liberal=1 net.netfilter.nf_conntrack_events=1",
            "nft -f -",
            netns=self.router,
            stdin=RULES,
        )

    def start_switch(self) -> None:
        self.switch = self._start("switch", "--run-dir", str(self.run_dir))
        wait_for(self._switch_answers, what="a switch that answers")

    def _switch_answers(self) -> bool:
        with contextlib.suppress(client.SwitchError):
            client.load(self.places)
            return True
        return False

    def start_sync(self, patch: str = "") -> None:
        """Start the copying; `patch` is Python that is run first, to make times shorter."""
        self.sync = self._start_sync(patch)
        self.wait_status(lambda status: True)

    def start_second_sync(self) -> "subprocess.Popen[bytes]":
        return self._start_sync("")

    def _start_sync(self, patch: str) -> "subprocess.Popen[bytes]":
        words = ("conntrack-sync", "--run-dir", str(self.run_dir), "--local-ip", self.vtep)
        return self._start(*words, patch=patch)

    def kill_sync(self) -> None:
        assert self.sync
        self.sync.kill()
        self.sync.wait()
        self.status_file.unlink(missing_ok=True)

    @property
    def status_file(self) -> Path:
        return self.run_dir / "conntrack" / "status.json"

    @property
    def status(self) -> dict[str, int]:
        try:
            status: dict[str, int] = json.loads(self.status_file.read_text())
        except FileNotFoundError:
            return {}
        return status

    def wait_status(self, condition: Callable[[dict[str, int]], object], what: str = "") -> dict[str, int]:
        wait_for(lambda: self.status and condition(self.status), 30, what or "a status")
        return self.status

    def _start(self, *words: str, patch: str = "") -> "subprocess.Popen[bytes]":
        code = f"import sys; {patch or 'pass'}; from deuteron.cli import main; sys.exit(main())"
        log = (self.run_dir / "log").open("ab")
        with netns.entered(self.namespace):
            process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=log, stderr=log)
        log.close()
        return process

    def set_gate(self, gate: str, twins: tuple[str, ...] | None = None) -> None:
        record = records.Router(
            id=ROUTER,
            number=NUMBER,
            netns=self.router,
            gate=gate,
            twins=(self.twin,) if twins is None else twins,
        )
        records.write(self.places.router(ROUTER), record)
        assert client.load(self.places, [ROUTER]) == {}

    def forget_router(self) -> None:
        self.places.router(ROUTER).unlink()
        assert client.load(self.places, [ROUTER]) == {}

    def entries(self, *words: str) -> list[str]:
        """Return the entries of the router's table that hold all these words."""
        text = run("conntrack -L -f ipv4", "conntrack -L -f ipv6", netns=self.router)
        return [line for line in text.splitlines() if all(word in line for word in words)]

    def seconds_left(self, *words: str) -> int:
        (entry,) = self.entries(*words)
        return int(entry.split()[2])

    def stop(self) -> None:
        for process in (self.sync, self.switch):
            if process:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


class Scene:
    """See above. The twin on the first host gets the traffic and is open."""

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex[:6]
        self._directory = tempfile.TemporaryDirectory(prefix="Ctest-")
        self.directory = Path(self._directory.name)
        self._namespaces: list[str] = []
        self.hosts: list[Host] = []
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        self.wires, self.client, self.server = (self.name(n) for n in ("wires", "client", "server"))
        self.add(self.wires, self.client, self.server)
        for bridge in ("under", "inside", "outside"):
            run(
                f"ip -n {self.wires} link add {bridge} type bridge mcast_snooping 0 forward_delay 0",
                f"ip -n {self.wires} link set {bridge} up",
            )
        self._make_end(self.client, "inside", CLIENT, CLIENT6)
        self._make_end(self.server, "outside", SERVER, SERVER6)
        run(
            f"ip -n {self.client} route add default via 10.0.0.1",
            f"ip -n {self.client} -6 route add default via fd00::fe",
            f"ip -n {self.server} -6 route add default via fd01::fe",
        )
        self.hosts += [Host(self, 1), Host(self, 2)]
        for host in self.hosts:
            host.make_router()
            host.start_switch()
        self.give_traffic_to(self.hosts[0])
        self.hosts[0].set_gate("open")
        self.hosts[1].set_gate("closed")

    def _make_end(self, namespace: str, bridge: str, address: str, address6: str) -> None:
        run(
            f"ip link add e{bridge} netns {self.wires} type veth peer name eth0 netns {namespace}",
            f"ip -n {self.wires} link set e{bridge} master {bridge} up",
            f"ip -n {namespace} link set eth0 up",
            f"ip -n {namespace} address add {address}/24 dev eth0",
            f"ip -n {namespace} -6 address add {address6}/64 dev eth0 nodad",
        )

    def name(self, what: str) -> str:
        return f"Ctest-{self._id}-{what}"

    def add(self, *namespaces: str) -> None:
        for namespace in namespaces:
            run(f"ip netns add {namespace}", f"ip -n {namespace} link set lo up")
            self._namespaces.append(namespace)

    def give_traffic_to(self, host: Host) -> None:
        """Cut the other twin off and connect this one."""
        for port in ("qr", "qg"):
            run(
                f"ip -n {self.wires} link set {port}{3 - host.index} down",
                f"ip -n {self.wires} link set {port}{host.index} up",
            )

    def fail_over(self) -> None:
        self.give_traffic_to(self.hosts[1])
        self.hosts[0].set_gate("closed")
        self.hosts[1].set_gate("open")

    def fail_back(self) -> None:
        self.give_traffic_to(self.hosts[0])
        self.hosts[1].set_gate("closed")
        self.hosts[0].set_gate("open")

    def socket(self, where: str, kind: socket.SocketKind, family: int = socket.AF_INET) -> socket.socket:
        with netns.entered(where):
            made = socket.socket(family, kind)
        made.settimeout(10)
        return made

    def close(self) -> None:
        for host in self.hosts:
            host.stop()
            if "SHOW_LOGS" in os.environ and host.switch:
                print(f"host {host.index}:", (host.run_dir / "log").read_text())
        for namespace in set(self._namespaces):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
        self._directory.cleanup()


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    made = Scene()
    try:
        yield made
    finally:
        made.close()
