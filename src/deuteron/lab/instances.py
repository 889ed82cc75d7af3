"""Instances: namespaces, plugged into a host as a hypervisor does, that boot as a machine does."""

import base64
import contextlib
import ipaddress
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from deuteron.lab import enter, hosts
from deuteron.lab.client import ApiError, Client
from deuteron.lab.lab import client, locate
from deuteron.lab.state import Instance, Lab, Record, locked
from deuteron.lab.topology import LabError

ACTIVE_SECONDS = 30.0
SETUP_SECONDS = 10.0
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")

# Process "1" of an instance: namespaces, a /run and a resolv.conf of its own; then it answers on port 7.
# /etc/resolv.conf may be a link into /run, which is empty here.
_HOLD = """
set -e
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
echo "$1" > /proc/sys/kernel/hostname
ip link set lo up
: > /run/resolv.conf
resolv=$(readlink -m /etc/resolv.conf)
case $resolv in /run/*) mkdir -p "${resolv%/*}"; [ -e "$resolv" ] || : > "$resolv" ;; esac
[ ! -e "$resolv" ] || [ "$resolv" = /run/resolv.conf ] || mount --bind /run/resolv.conf "$resolv"
: > /run/instance-is-set-up
exec "$2" -I -S "$3"
"""


class Booted(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance came up. All times in seconds."""

    instance: Instance
    total_seconds: float
    """From the first API call to the last step."""
    plug_seconds: float
    """Port made, namespace made, device plugged."""
    active_seconds: float
    """From then until the port was ACTIVE, when a hypervisor starts a machine."""
    leased_after_seconds: float | None
    """From the first API call to the lease."""
    machine: dict[str, Any]
    """What machine.py says."""


def boot(
    lab: Lab,
    name: str,
    host: str,
    *,
    network: str | None = None,
    port: str | None = None,
    user_data: bytes | None = None,
    metadata_v6: bool = False,
) -> Booted:
    """Boot an instance on a host, with a new port on a network or an existing port. Raises LabError.

    With `metadata_v6` it asks for metadata by IPv6 too.
    """
    begin = time.monotonic()
    api = client(lab)
    with locked(lab):
        record = lab.record()
        _check(lab, record, name, host)
        instance, steps = _bind(api, name, host, network, port, user_data)
        lab.save_instance(instance)
        _plug(lab, instance)
    plugged = time.monotonic()
    _wait_active(api, instance)
    active = time.monotonic()
    machine = _run_machine(lab, name, {**steps, "metadata_v6": metadata_v6})
    if "error" in machine:
        raise LabError(f"instance {name}: {machine['error']}")
    lease = machine.get("lease_seconds")
    return Booted(
        instance=instance,
        total_seconds=time.monotonic() - begin,
        plug_seconds=plugged - begin,
        active_seconds=active - plugged,
        leased_after_seconds=None if lease is None else active - begin + lease,
        machine=machine,
    )


def describe(booted: Booted) -> str:
    """Return how it came up, in one line."""
    machine = booted.machine
    parts = [f"plugged in {booted.plug_seconds:.2f} s", f"port active {booted.active_seconds:.2f} s later"]
    if "lease_seconds" in machine:
        parts.append(f"lease in {machine['lease_seconds']:.2f} s from {machine['dhcp_server']}")
    if "slaac_seconds" in machine:
        parts.append(f"IPv6 address in {machine['slaac_seconds']:.2f} s")
    if "metadata_seconds" in machine:
        parts.append(f"metadata in {machine['metadata_seconds']:.2f} s")
    if "metadata_v6_seconds" in machine:
        parts.append(f"by IPv6 in {machine['metadata_v6_seconds']:.2f} s")
    addresses = " ".join(booted.instance.addresses)
    where = f"{booted.instance.name} on {booted.instance.host}: {addresses}"
    return f"{where}; {', '.join(parts)}; {booted.total_seconds:.2f} s in all"


def destroy(lab: Lab, name: str) -> None:
    """Switch an instance off and remove it, with its port when `boot` made that. Raises LabError."""
    with locked(lab):
        instance = lab.instances().get(name)
        if instance is None:
            raise LabError(f"there is no instance {name!r} in this lab")
        if hosts.pid(lab, instance.host) is not None:
            _unplug(lab, instance)
        api = client(lab)
        _release_port(api, instance)
        with _unless_gone():
            api.delete(f"/v1/instances/{instance.device_id}")
        lab.forget_instance(name)


def _check(lab: Lab, record: Record, name: str, host: str) -> None:
    if not _NAME.fullmatch(name):
        raise LabError(f"instance {name!r}: a name is 1 to 32 lower case letters, digits and hyphens")
    if name in record.topology.hosts:
        raise LabError(f"{name} is the name of a host")
    if name in lab.instances():
        raise LabError(f"there is an instance {name} already: `deuteron lab destroy {name}` removes it")
    if hosts.pid(lab, hosts.known(record, host)) is None:
        raise LabError(f"host {host} is off")


def _bind(
    api: Client, name: str, host: str, network: str | None, port: str | None, user_data: bytes | None
) -> tuple[Instance, dict[str, bool]]:
    """Make or take the port as a compute service does; return the instance and the steps of its boot."""
    device_id = str(uuid.uuid4())
    binding = {"device_id": device_id, "device_owner": "compute:nova", "binding:host_id": host}
    if port:
        found = api.find("port", port)
        if found["device_id"]:
            raise LabError(f"port {port} is in use by device {found['device_id']}")
        found = api.put(f"/v2.0/ports/{found['id']}", {"port": binding})["port"]
    else:
        on = api.find("network", network or "")
        found = api.create("port", network_id=on["id"], name=name, admin_state_up=True, **binding)
    instance = Instance(
        name=name,
        host=host,
        network=found["network_id"],
        port=found["id"],
        device_id=device_id,
        mac=found["mac_address"],
        addresses=tuple(ip["ip_address"] for ip in found["fixed_ips"]),
        mtu=api.get(f"/v2.0/networks/{found['network_id']}")["network"]["mtu"],
        own_port=not port,
    )
    try:
        api.put(f"/v1/instances/{device_id}", _metadata(name, user_data))
        return instance, _steps(api, found)
    except LabError:
        _release_port(api, instance)
        raise


def _metadata(name: str, user_data: bytes | None) -> dict[str, str]:
    told = {"name": name}
    if user_data is not None:
        told["user_data"] = base64.b64encode(user_data).decode()
    return told


def _release_port(api: Client, instance: Instance) -> None:
    path = f"/v2.0/ports/{instance.port}"
    with _unless_gone():
        if instance.own_port:
            api.delete(path)
        else:
            api.put(path, {"port": {"device_id": "", "device_owner": "", "binding:host_id": ""}})


def _steps(api: Client, port: dict[str, Any]) -> dict[str, bool]:
    steps = {"dhcp": False, "slaac": False, "metadata": True}
    for fixed in port["fixed_ips"]:
        subnet = api.get(f"/v2.0/subnets/{fixed['subnet_id']}")["subnet"]
        if ipaddress.ip_address(fixed["ip_address"]).version == 4:
            steps["dhcp"] |= subnet["enable_dhcp"]
        elif subnet["ipv6_address_mode"] in ("slaac", "dhcpv6-stateless"):
            steps["slaac"] |= subnet["ipv6_ra_mode"] is not None
    if not steps["dhcp"] and not steps["slaac"]:
        steps["metadata"] = False  # without an address there is nobody to ask
    return steps


def _plug(lab: Lab, instance: Instance) -> None:
    program = str(Path(__file__).with_name("echo.py"))
    argv = ["unshare", "--net", "--mount", "--uts", "--propagation", "slave"]
    argv += ["sh", "-c", _HOLD, "sh", instance.name, sys.executable, program]
    inner = hosts.ask(lab, instance.host, "hold", name=instance.name, argv=argv)["pid"]
    deadline = time.monotonic() + SETUP_SECONDS
    while not _is_set_up(lab, instance):
        if time.monotonic() > deadline:
            log = hosts.log_tail(lab, instance.host, f"instance-{instance.name}")
            raise LabError(f"instance {instance.name} does not start: {log}")
        time.sleep(0.005)
    device = tap(instance)
    lines = [
        f"link add {device} mtu {instance.mtu} type veth peer name eth0 address {instance.mac} netns {inner}",
        f"link set {device} up",
    ]
    _ip_batch(lab, instance.host, lines)


def tap(instance: Instance) -> str:
    """Return the name of the instance's device in its host, as Neutron and its hypervisors build it."""
    return f"tap{instance.port[:11]}"


def _is_set_up(lab: Lab, instance: Instance) -> bool:
    with contextlib.suppress(LabError):
        return Path(f"/proc/{locate(lab, instance.name)}/root/run/instance-is-set-up").exists()
    return False


def _unplug(lab: Lab, instance: Instance) -> None:
    with contextlib.suppress(LabError):  # it is off
        space = Path(f"/proc/{locate(lab, instance.name)}/ns/net").readlink()
        while inside := _processes_in(space):
            hosts.kill(inside)
    with contextlib.suppress(LabError):  # the device went with the namespace
        _ip_batch(lab, instance.host, [f"link delete {tap(instance)}"])


def _processes_in(space: Path) -> list[int]:
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                if (directory / "ns" / "net").readlink() == space:
                    found.append(int(directory.name))
    return found


def _ip_batch(lab: Lab, host: str, lines: Sequence[str]) -> None:
    done = subprocess.run(
        enter.command(locate(lab, host), ["ip", "-batch", "-"]),
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"host {host}: `{'; '.join(lines)}` failed: {done.stderr.strip()}")


def _wait_active(api: Client, instance: Instance) -> None:
    def active() -> bool:
        return bool(api.get(f"/v2.0/ports/{instance.port}", fields="status")["port"]["status"] == "ACTIVE")

    if not _until(active, ACTIVE_SECONDS):
        raise LabError(
            f"port {instance.port} of instance {instance.name} did not become ACTIVE within"
            f" {ACTIVE_SECONDS:.0f} s: is the agent on {instance.host} alive?"
        )


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _run_machine(lab: Lab, name: str, steps: dict[str, bool]) -> dict[str, Any]:
    program = str(Path(__file__).with_name("machine.py"))
    argv = [sys.executable, "-I", program, json.dumps(steps)]
    done = subprocess.run(
        enter.command(locate(lab, name), argv),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise LabError(
            f"instance {name} did not boot: {(done.stderr or done.stdout).strip()[-500:]}"
        ) from None
    return result


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status != 404:
            raise
