"""Hosts as process trees under their own namespaces, on an underlay and an external network, for tests."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from deuteron.plan import units

_INIT = """
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/deuteron; mount --make-rshared /run
ip link set lo up; hostname $1; echo 1 >/proc/sys/net/ipv4/ip_forward; echo ok; exec sleep infinity
"""
SOURCE = Path(__file__).parents[3]


class Host:
    """One host: 10.99.0.<index>/24 on the underlay (eth-under), eth-ext on the external network."""

    def __init__(self, cloud: "Cloud", index: int) -> None:
        self.cloud, self.index = cloud, index
        self.name = f"net{index}"
        self.vtep = f"10.99.0.{index}"
        words = ["unshare", "--net", "--mount", "--propagation", "private", "--uts", "--pid", "--fork"]
        self._unshare = subprocess.Popen(
            [*words, "--kill-child", "sh", "-c", _INIT, "init", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._unshare.stdout
        assert self._unshare.stdout.readline() == "ok\n"
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        self.init = int(children.split()[0])
        for network in ("under", "ext"):
            port = f"{network}{index}"
            self.cloud.switch(
                f"ip link add {port} type veth peer name eth-{network} netns {self.init}",
                f"ip link set {port} master {network} up",
            )
            self.run(f"ip link set eth-{network} up")
        self.run(f"ip addr add {self.vtep}/24 dev eth-under")

    def argv(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self.init), "-n", "-m", "-u", "-p", *command]

    def run(self, command: str, check: bool = True, stdin: str = "") -> str:
        done = subprocess.run(
            self.argv("sh", "-c", command), capture_output=True, text=True, check=False, input=stdin
        )
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {command}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(self.argv(*command), text=True, start_new_session=True, **options)

    def deuteron(self, *words: str, log: str = "/dev/null") -> int:
        """Start a verb in the background; return its pid as the host sees it."""
        program = Path(sys.executable).with_name("deuteron")
        command = f"{program} {' '.join(words)} </dev/null >>{log} 2>&1 & echo $!"
        return int(self.run(command))

    def power_off(self) -> None:
        self.cloud.switch(f"ip link set under{self.index} down", f"ip link set ext{self.index} down")
        self.kill()

    def kill(self, wait: bool = True) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init, signal.SIGKILL)
        if wait:
            self._unshare.wait(30)


class Agent:
    """Managers of routers and elections in a host, driven from here."""

    def __init__(self, host: Host, *rooms: str, **environment: str) -> None:
        self.process = host.start(
            sys.executable,
            str(Path(__file__).with_name("driver.py")),
            host.name,
            host.vtep,
            *rooms,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(SOURCE / ".driver.log").open("a") if os.environ.get("DRIVER_LOG") else None,
            env={**os.environ, **environment},
        )

    def _ask(self, line: bytes) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line.decode() + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the driver died"
        return msgspec.json.decode(answer)

    def put(self, *wanted: units.Unit) -> None:
        for unit in wanted:
            self._ask(msgspec.json.encode(units.Put(unit=unit)))

    def delete(self, *keys: str) -> None:
        for key in keys:
            self._ask(msgspec.json.encode(units.Delete(key=key)))

    def apply(self) -> dict[str, str]:
        """Apply; return the problems."""
        answer: dict[str, str] = self._ask(b'{"op": "apply"}')
        return answer

    def recheck(self) -> None:
        self._ask(b'{"op": "recheck"}')

    def elections(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask(b'{"op": "elections"}')
        return answer

    def ports_up(self) -> list[str]:
        answer: list[str] = self._ask(b'{"op": "ports"}')
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Cloud:
    """Several hosts and the switch between them, in a namespace of its own."""

    def __init__(self, hosts: int) -> None:
        self.namespace = f"Stest-{uuid.uuid4().hex[:8]}"
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        self.hosts: list[Host] = []
        self.agents: list[Agent] = []
        try:
            for network in ("under", "ext"):
                self.switch(
                    f"ip link add {network} type bridge mcast_snooping 0 forward_delay 0",
                    f"ip link set {network} up",
                )
            self.hosts += [Host(self, index) for index in range(1, hosts + 1)]
        except BaseException:
            self.close()
            raise

    def __getitem__(self, index: int) -> Host:
        return self.hosts[index]

    def agent(self, host: Host, *rooms: str) -> Agent:
        """Start the managers of routers on a host, and those of `rooms` besides."""
        self.agents.append(Agent(host, *rooms))
        return self.agents[-1]

    def switch(self, *commands: str) -> None:
        for command in commands:
            subprocess.run(["ip", "netns", "exec", self.namespace, *command.split()], check=True)

    def close(self) -> None:
        for agent in self.agents:
            agent.stop()
        for host in self.hosts:
            host.kill(wait=False)
        for host in self.hosts:
            host.kill()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False)


@contextlib.contextmanager
def cloud(hosts: int) -> Iterator[Cloud]:
    made = Cloud(hosts)
    try:
        yield made
    finally:
        made.close()


def wait_for(condition: Callable[[], Any], seconds: float = 20, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


_vrids = itertools.count(1)


def election(hosts: list[Host], at: int, name: str, vrid: int, advert_ms: int = 20) -> units.Election:
    """Return the unit of an election among hosts, in this order, at the host with the index `at`."""

    def mac(host: Host) -> str:
        return f"fa:16:3e:0a:00:{host.index:02x}"

    me = hosts[at]
    return units.Election(
        id=name,
        ha_network="0a0a0a0a-1111-4222-8333-444444444444",
        vni=4001,
        mtu=1450,
        vrid=vrid,
        priority=250 - 50 * at,
        advert_ms=advert_ms,
        mac=mac(me),
        address=f"169.254.192.{me.index}/18",
        peers=tuple(
            units.Peer(host=h.name, address=f"169.254.192.{h.index}", mac=mac(h), vtep=h.vtep)
            for h in sorted(hosts, key=lambda h: h.name)
            if h is not me
        ),
    )
