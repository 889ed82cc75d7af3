"""The hosts of a lab: started, asked, switched off. What a host is stands in init.py."""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deuteron.lab import wires
from deuteron.lab.init import MARKER, SERVER_FD
from deuteron.lab.state import Lab, Record, write
from deuteron.lab.topology import API_PORT, DEVICES, LabError, Service, Topology

KILL_SECONDS = 120.0
CONTROL_SECONDS = 15.0


def known(record: Record, host: str) -> str:
    """Return the host's name. Raises LabError when the lab has no such host."""
    if host not in record.topology.hosts:
        raise LabError(f"there is no host {host!r} in this lab (known: {', '.join(record.topology.hosts)})")
    return host


def pid(lab: Lab, host: str) -> int | None:
    """Return the pid of a host's process 1, or None when the host is off."""
    try:
        with _connection(lab, host) as connection:
            return _peer(connection)
    except OSError:
        return None


def ask(lab: Lab, host: str, what: str, **arguments: Any) -> dict[str, Any]:
    """Send a request to a host's process 1 and return its answer. Raises LabError."""
    try:
        with _connection(lab, host) as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
    except (ConnectionRefusedError, FileNotFoundError):
        raise LabError(f"host {host} is off") from None
    except (OSError, ValueError) as error:
        raise LabError(f"host {host} does not answer: {error}") from None
    if "error" in answer:
        raise LabError(f"host {host}: {answer['error']}")
    return answer


def start(lab: Lab, record: Record, names: Iterable[str]) -> None:
    """Start hosts that are off, plug them in and start their services. Raises LabError."""
    wanted = list(names)
    starters = {}
    for name in wanted:
        starters[name] = _launch(lab, record, name)
    pids = []
    for name, starter in starters.items():
        output, _ = starter.communicate()
        found = pid(lab, name)
        if not output.endswith("ready\n") or found is None:
            raise LabError(f"host {name} does not start: {output.strip() or 'it ended without a word'}")
        pids.append((name, found))
    wires.connect(lab.name, record.topology, pids)
    for name, found in pids:
        wires.configure(record.topology, name, found)
        ask(lab, name, "start")
        write(_ready_file(lab, name), b"")


def is_ready(lab: Lab, host: str) -> bool:
    """Tell whether a host that is on was started to the end."""
    return _ready_file(lab, host).exists()


def power_off(lab: Lab, host: str) -> None:
    """Take a host's power; return when nothing of it is left. Raises LabError.

    Its cables go dead first, because the kernel of a killed host forwards a while longer.
    """
    found = pid(lab, host)
    _ready_file(lab, host).unlink(missing_ok=True)
    if found is not None:
        if wires.exist(lab.name):
            plugged = lab.record().topology.hosts[host].networks
            there = wires.ports_up(lab.name)
            wires.cut(lab.name, host, [n for n in plugged if wires.port(n, host) in there])
        kill([found])
    wires.disconnect(lab.name, host)


def kill(pids: Iterable[int]) -> None:
    """Kill processes and wait for their end. Raises LabError."""
    waiting = []
    for number in pids:
        with contextlib.suppress(ProcessLookupError):
            waiting.append((number, os.pidfd_open(number)))
    for _, pidfd in waiting:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    for number, pidfd in waiting:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(pidfd)
        if not ended:
            raise LabError(f"process {number} was killed {KILL_SECONDS:.0f} s ago and still exists")


def find_all(lab: Lab) -> list[int]:
    """Return every process 1 of this lab's hosts, and those about to become one, by their environment."""
    mark = f"{MARKER}={lab.name}/".encode()
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            environment = (directory / "environ").read_bytes()
            if environment.startswith(mark) or b"\0" + mark in environment:
                found.append(int(directory.name))
    return found


def inner_process(init: int, inner: int) -> int | None:
    """Return the pid of a child of a host's process 1, given by its pid inside the host."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{init}/task/{init}/children").read_text().split():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{child}/status").read_text()
                line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
                if int(line.split()[-1]) == inner:
                    return int(child)
    return None


def log_tail(lab: Lab, host: str, service: str, lines: int = 5) -> str:
    """Return the last lines of a service's log."""
    try:
        path = lab.host_directory(host) / "disk" / "log" / f"{service}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _launch(lab: Lab, record: Record, name: str) -> "subprocess.Popen[str]":
    directory = lab.host_directory(name)
    (directory / "disk").mkdir(parents=True, exist_ok=True)
    (directory / "var-lib").mkdir(exist_ok=True)
    (directory / "control").unlink(missing_ok=True)
    _ready_file(lab, name).unlink(missing_ok=True)
    spec = record.topology.hosts[name]
    config: dict[str, Any] = {
        "name": name,
        "directory": str(directory),
        "environment": _settings(record.topology),
        "services": {service: _argv(record.topology, name, service) for service in spec.services},
    }
    with contextlib.ExitStack() as stack:
        descriptors = []
        if "server" in spec.services:
            listener = stack.enter_context(_listen(record.port))
            record.port = listener.getsockname()[1]
            lab.save(record)
            config["listen_fd"] = listener.fileno()
            descriptors.append(listener.fileno())
        write(directory / "init.json", json.dumps(config).encode())
        program = Path(__file__).with_name("init.py")
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), str(directory / "init.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=descriptors,
            env={**os.environ, MARKER: f"{lab.name}/{name}"},
        )


def _listen(port: int) -> socket.socket:
    """Return a listening socket of the machine; on the given port, if that can be."""
    for candidate in (port, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
        except OSError:  # taken by another since the host was switched off
            listener.close()
            continue
        listener.listen(256)
        return listener
    raise LabError("there is no free port on 127.0.0.1 for the API")


def _settings(topology: Topology) -> dict[str, str]:
    both = (("SERVER", topology.server), ("AGENT", topology.agent))
    return {f"DEUTERON_{part}__{key.upper()}": str(v) for part, values in both for key, v in values.items()}


def _argv(topology: Topology, host: str, service: Service) -> list[str]:
    deuteron = str(Path(sys.prefix) / "bin" / "deuteron")
    spec = topology.hosts[host]
    if service == "server":
        address = f"{topology.address(host, 'management')}:{API_PORT}"
        return [
            deuteron,
            "server",
            "--listen",
            address,
            "--allow-remote-noauth",
            "--listen-fd",
            str(SERVER_FD),
        ]
    if service == "switch":
        return [deuteron, "switch"]
    if service == "echo":
        return [sys.executable, "-I", "-S", str(Path(__file__).with_name("echo.py"))]
    server = topology.address(next(topology.with_service("server")), "management")
    argv = [deuteron, "agent", "--host", host, "--server", f"http://{server}:{API_PORT}"]
    argv += ["--local-ip", topology.address(host, "underlay"), "--roles", ",".join(spec.roles)]
    argv += ["--zone", spec.zone, "--agent-mode", spec.agent_mode]
    if "external" in spec.networks and not spec.external:
        argv += ["--bridge-mappings", f"external:{DEVICES['external']}"]
    return argv


def _ready_file(lab: Lab, host: str) -> Path:
    return lab.host_directory(host) / "ready"


@contextlib.contextmanager
def _connection(lab: Lab, host: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(CONTROL_SECONDS)
        connection.connect(str(lab.host_directory(host) / "control"))
        yield connection


def _peer(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    number: int = struct.unpack("3i", credentials)[0]
    return number
