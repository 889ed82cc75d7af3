"""A virtual machine that can go from host to host, as seen by its port's devices."""

import subprocess
import sys
import uuid
from collections.abc import Sequence

from deuteron.lab import echo
from deuteron.lab import lab as labs
from tests.system.cloud import Cloud, Json

# What a hypervisor does when the guest goes on at the target: its cable is another one, and it says so.
_ARRIVE = """
import socket, subprocess, sys
old, new, mac = sys.argv[1:4]
announcer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
announcer.bind(("eth0", 0))
lines = f"link set {old} nomaster\\nlink set {new} master eth0\\n"
subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
if len(sys.argv) > 4:
    sender = bytes.fromhex(mac.replace(":", ""))
    head = b"\\xff" * 6 + sender + bytes.fromhex("8035" "0001" "0800" "06" "04" "0003")
    announcer.send(head + 2 * (sender + bytes(4)) + bytes(18))
"""


class Guest:
    """A machine outside of all hosts, with a cable to each host that it has been on or goes to.

    Its network device is a bridge with one cable in it: so it keeps its connections when the cable changes,
    as a virtual machine does.
    """

    def __init__(self, cloud: Cloud, port: Json, gateways: Sequence[str] = ()) -> None:
        self.cloud, self.port = cloud, port
        self.name = f"guest-{uuid.uuid4().hex[:6]}"
        self.addresses = [fixed["ip_address"] for fixed in port["fixed_ips"]]
        self.tap = f"tap{port['id'][:11]}"
        _ip(f"netns add {self.name}")
        mac = port["mac_address"]
        own = [f"{one}/64 nodad" if ":" in one else f"{one}/24" for one in self.addresses]
        self._ip(
            f"link add eth0 address {mac} mtu 1450 type bridge forward_delay 0 mcast_snooping 0",
            *(f"address add {address} dev eth0" for address in own),
            "link set eth0 up",
            *(f"route add default via {gateway}" for gateway in gateways),
        )
        self._echo = subprocess.Popen(["ip", "netns", "exec", self.name, sys.executable, echo.__file__])

    @property
    def address(self) -> str:
        """Its first address."""
        return str(self.addresses[0])

    def close(self) -> None:
        self._echo.kill()
        self._echo.wait()
        _ip(f"netns delete {self.name}")

    def cable(self, host: str) -> None:
        """Plug it in at a host, as a hypervisor does before the guest comes."""
        pid = labs.locate(self.cloud.lab, host)
        _ip(f"link add {self.tap} netns {pid} type veth peer name {host} mtu 1450 netns {self.name}")
        self._ip(f"link set {host} up")
        self.cloud.sh(host, f"ip link set {self.tap} up")

    def use(self, host: str) -> None:
        """Speak by the cable to a host."""
        self._ip(f"link set {host} master eth0")

    def uncable(self, host: str) -> None:
        """Take its device away from a host."""
        self.cloud.sh(host, f"ip link delete {self.tap}")

    def connected(self, host: str) -> bool:
        """Tell whether its device is on its network's bridge, at a host."""
        return "master brq" in self.cloud.sh(host, f"ip -o link show {self.tap}")

    def arrive(self, old: str, new: str, *, announced: bool) -> None:
        """Go on at another host."""
        words = [old, new, self.port["mac_address"], *(["announced"] if announced else [])]
        argv = ["ip", "netns", "exec", self.name, sys.executable, "-I", "-S", "-c", _ARRIVE, *words]
        subprocess.run(argv, check=True)

    def _ip(self, *lines: str) -> None:
        _ip(*lines, namespace=self.name)


def _ip(*lines: str, namespace: str = "") -> None:
    argv = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    subprocess.run(argv, input="\n".join(lines) + "\n", text=True, check=True)
