"""Process 1 of a lab host: `python init.py CONFIG.json`.

Started on the machine, it makes the host's namespaces and runs itself again inside as process 1. That one
mounts what a host has of its own, reaps orphans, keeps the host's services running, and obeys requests on a
unix socket: one JSON object a connection, answered by one JSON object (`{"error": ...}` when it was refused).

Standard library only and little of it: there is one of these for each host.

CONFIG: `name`, `directory` (on the machine: `disk/` is the host's /var/lib/deuteron, `control` the socket),
`services` (name -> argv), `listen_fd` (the API's socket, passed to the service "server" as descriptor 3).
"""

import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

MARKER = "DEUTERON_LAB_INIT"
"""In the environment of a host's process 1: LAB/HOST. That is how a lab's hosts are found without a file."""

LONGEST_BACKOFF = 5.0
STOP_SECONDS = 5.0
SERVER_FD = 3
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
_NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x20000000 | 0x40000000  # mount, UTS, PID, network

# What a host has of its own: /proc, /sys, /run, /var/lib/deuteron (its disk) and its name. /var/lib is
# covered by a directory that leads to the machine's entries, so that nothing need be made on the machine.
# sysfs must be mounted anew: the old one shows the machine's links.
_MOUNTS = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
cd "$1/var-lib"
mount -t tmpfs -o mode=755 tmpfs .
cd "$1/var-lib"
mkdir .machine deuteron
mount --rbind /var/lib .machine
for entry in .machine/*; do
    name=${entry#.machine/}
    [ "$name" = deuteron ] || ln -s "$entry" "$name"
done
mount --bind "$1/disk" deuteron
cd /
mount --move "$1/var-lib" /var/lib
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns /run/lock
mount --make-rshared /run
echo "$2" > /proc/sys/kernel/hostname
ip link set lo up
"""


class Service:
    """A process that runs as long as it is wanted."""

    def __init__(self, name: str, argv: list[str]) -> None:
        self.name = name
        self.argv = argv
        self.wanted = False
        self.pid = 0
        self.starts = 0
        self.started = 0.0
        self.not_before = 0.0
        self.backoff = 0.1
        self.last_exit: int | None = None

    def ended(self, status: int, now: float) -> None:
        """Note that its process has ended and when it may start again."""
        self.pid = 0
        self.last_exit = os.waitstatus_to_exitcode(status)
        self.backoff = 0.1 if now - self.started > 10 else min(self.backoff * 2, LONGEST_BACKOFF)
        self.not_before = now + self.backoff


class Init:
    """The state of process 1."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.environment = {k: os.environ[k] for k in _KEPT_ENVIRONMENT if k in os.environ}
        self.environment.update(config["environment"], PYTHONUNBUFFERED="1")
        self.listen_fd: int | None = config.get("listen_fd")
        self.services = {name: Service(name, argv) for name, argv in config["services"].items()}
        self.instances: dict[str, int] = {}
        self.frozen = False

    def start_due(self, now: float) -> float:
        """Start what is wanted and may start; return the seconds until something else may."""
        pause = 3600.0
        for service in self.services.values():
            if not service.wanted or service.pid or self.frozen:
                continue
            if service.not_before > now:
                pause = min(pause, service.not_before - now)
                continue
            service.started = now
            service.starts += 1
            try:
                service.pid = self.spawn(service.argv, service.name)
            except OSError as error:  # a full disk, a program that is not there
                print(f"{service.name}: cannot start: {error}", flush=True)
                service.ended(127 << 8, now)
                pause = min(pause, service.backoff)
        return pause

    def spawn(self, argv: list[str], log: str) -> int:
        """Start a process in a session of its own, its output appended to a log on the host's disk."""
        path = f"/var/lib/deuteron/log/{log}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, path, flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        if log == "server" and self.listen_fd is not None:
            actions.append((os.POSIX_SPAWN_DUP2, self.listen_fd, SERVER_FD))
        return os.posix_spawnp(
            argv[0],
            argv,
            self.environment,
            file_actions=actions,
            setsid=True,
            setsigdef=[signal.SIGPIPE],
            setsigmask=[],
        )

    def reap(self) -> None:
        """Collect every process that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for service in self.services.values():
                if service.pid == pid:
                    service.ended(status, time.monotonic())
            self.instances = {name: held for name, held in self.instances.items() if held != pid}

    def stop(self, service: Service) -> None:
        """End a service's own process; what it left running, such as daemons, lives on."""
        service.wanted = False
        deadline = time.monotonic() + STOP_SECONDS
        if service.pid:
            os.kill(service.pid, signal.SIGTERM)
        while service.pid:
            if time.monotonic() > deadline:
                os.kill(service.pid, signal.SIGKILL)
            time.sleep(0.005)
            self.reap()
        service.not_before, service.backoff = 0.0, 0.1

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of the host but this one."""
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return

    def status(self) -> dict[str, Any]:
        """Tell what runs."""
        return {
            "frozen": self.frozen,
            "instances": self.instances,
            "services": {
                s.name: {
                    "state": "running" if s.pid else ("restarting" if s.wanted else "stopped"),
                    "pid": s.pid,
                    "starts": s.starts,
                    "last_exit": s.last_exit,
                }
                for s in self.services.values()
            },
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks for."""
        what, name = request.get("do"), request.get("name", "")
        if what == "status":
            return self.status()
        if what in ("freeze", "thaw"):
            self.frozen = what == "freeze"
            self.signal_all(signal.SIGSTOP if self.frozen else signal.SIGCONT)
            return {}
        if what == "hold":
            return self.hold(name, request["argv"])
        if what == "release":
            if name in self.instances:
                os.kill(self.instances[name], signal.SIGKILL)
            return {}
        if what in ("start", "stop", "restart"):
            if name and name not in self.services:
                return {"error": f"no service {name!r} here (known: {', '.join(self.services) or 'none'})"}
            for service in self.services.values():
                if name in ("", service.name):
                    if what != "start":
                        self.stop(service)
                    service.wanted = what != "stop"
            return {}
        return {"error": f"unknown request {what!r}"}

    def hold(self, name: str, argv: list[str]) -> dict[str, Any]:
        """Start the process that holds an instance's namespaces; it is not started again when it ends."""
        if name in self.instances:
            return {"error": f"instance {name} is already running on this host"}
        self.instances[name] = self.spawn(argv, f"instance-{name}")
        return {"pid": self.instances[name]}


def run(config: dict[str, Any]) -> None:
    """Be process 1: never returns."""
    control = socket.socket(socket.AF_UNIX)
    control.bind(f"{config['directory']}/control")
    _mount(config)
    os.makedirs("/var/lib/deuteron/log", exist_ok=True)  # noqa: PTH103  # pathlib costs a megabyte
    # listen() here and not earlier: its credentials tell the lab which process is this host's process 1.
    control.listen(16)
    wake_read, wake_write = socket.socketpair()
    for end in (wake_read, wake_write):
        end.setblocking(False)
    signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    init = Init(config)
    print("ready", flush=True)
    _to_log()
    while True:
        init.reap()
        pause = init.start_due(time.monotonic())
        readable, _, _ = select.select([control, wake_read], [], [], pause)
        if wake_read in readable:
            wake_read.recv(4096)
        if control in readable:
            _serve(init, control)


def _serve(init: Init, control: socket.socket) -> None:
    connection, _ = control.accept()
    with connection:
        connection.settimeout(1)
        try:
            with connection.makefile("rwb") as stream:
                line = stream.readline()
                if not line:  # somebody only asked who listens
                    return
                try:
                    reply = init.answer(json.loads(line))
                except Exception as error:  # noqa: BLE001  # a request must not end the host
                    reply = {"error": f"{type(error).__name__}: {error}"}
                stream.write(json.dumps(reply).encode() + b"\n")
        except OSError as error:  # the one who asked has gone
            print(f"control: {error}", flush=True)


def _mount(config: dict[str, Any]) -> None:
    argv = ["sh", "-c", _MOUNTS, "sh", config["directory"], config["name"]]
    pid = os.posix_spawnp("sh", argv, os.environ)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        sys.exit(f"{config['name']}: mounting its own file systems failed (exit status {code})")


def _to_log() -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    log = os.open("/var/lib/deuteron/log/init.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)


def _become_host(config: dict[str, Any]) -> None:
    import ctypes  # only here: process 1 itself stays without it

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NAMESPACES) != 0:
        sys.exit(f"{config['name']}: cannot make namespaces: {os.strerror(ctypes.get_errno())}")
    if os.fork():
        os._exit(0)
    os.setsid()
    if config.get("listen_fd") is not None:
        os.set_inheritable(config["listen_fd"], True)
    os.execv(sys.executable, [sys.executable, "-I", "-S", *sys.argv])


def main() -> None:
    """Read the configuration; become the host's process 1, or be it."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123  # pathlib costs a megabyte
        config = json.load(file)
    if os.getpid() != 1:
        _become_host(config)
    if config.get("listen_fd") is not None:
        os.set_inheritable(config["listen_fd"], False)
    run(config)


if __name__ == "__main__":
    main()
