"""What goes through a TCP connection between two places, and through a bridge with nothing else on it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deuteron.bench.processes import BenchError

SECONDS = 1.0
Enter = Callable[[Sequence[str]], list[str]]
"""Returns the command line that runs another one in some place."""


def measure(sender: Enter, receiver: Enter, address: str) -> float:
    """Return how many Gbit/s of payload go from one place to an address of another one. Raises BenchError."""
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("bulk.py"))]
    with subprocess.Popen(receiver([*program, "receive"]), stdout=subprocess.PIPE, text=True) as receiving:
        assert receiving.stdout
        try:
            receiving.stdout.readline()
            subprocess.run(sender([*program, "send", address, str(SECONDS)]), check=True, timeout=60)
            total, seconds = receiving.communicate(timeout=60)[0].split()
        except (subprocess.SubprocessError, ValueError) as error:
            raise BenchError(f"no TCP connection to {address}: {error}") from None
        finally:
            receiving.kill()
    return int(total) * 8 / float(seconds) / 1e9


@contextmanager
def plain() -> Iterator[tuple[Enter, Enter, str]]:
    """Make two hosts with nothing but a bridge, VXLAN and an instance in each, on one underlay.

    Yields how to run something in either instance, and the address of the second. Raises BenchError.
    """
    prefix = f"dplain-{os.getpid()}"
    names = {short: f"{prefix}-{short}" for short in ("wire", "host1", "host2", "vm1", "vm2")}

    def enter(short: str) -> Enter:
        return lambda argv: ["ip", "netns", "exec", names[short], *argv]

    try:
        _batch([f"netns add {name}" for name in names.values()])
        _batch(
            ["link add underlay type bridge forward_delay 0", "link set underlay up"], namespace=names["wire"]
        )
        for number in (1, 2):
            _host(names, number)
        yield enter("vm1"), enter("vm2"), "10.1.0.2"
    finally:
        _batch([f"netns delete {name}" for name in names.values()], force=True)


def _host(names: dict[str, str], number: int) -> None:
    host, guest = names[f"host{number}"], names[f"vm{number}"]
    wire = [
        f"link add u{number} type veth peer name eth0 netns {host}",
        f"link set u{number} master underlay up",
    ]
    bridge = [
        f"address add 10.20.0.{number}/24 dev eth0",
        "link set eth0 up",
        "link add bridge type bridge forward_delay 0",
        f"link add vxlan type vxlan id 1 dstport 4789 local 10.20.0.{number} remote 10.20.0.{3 - number}",
        f"link add tap mtu 1450 type veth peer name eth0 netns {guest}",
        "link set vxlan master bridge up",
        "link set tap master bridge up",
        "link set bridge up",
    ]
    inside = ["link set eth0 mtu 1450 up", f"address add 10.1.0.{number}/24 dev eth0"]
    for lines, namespace in ((wire, names["wire"]), (bridge, host), (inside, guest)):
        _batch(lines, namespace=namespace)


def _batch(lines: Sequence[str], *, namespace: str = "", force: bool = False) -> None:
    argv = ["ip", *(["-n", namespace] if namespace else []), *(["-force"] if force else []), "-batch", "-"]
    done = subprocess.run(argv, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    if done.returncode and not force:
        raise BenchError(f"ip: {done.stderr.strip()}")
