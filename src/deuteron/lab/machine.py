"""Boot as a machine does, inside an instance: `python machine.py OPTIONS`, OPTIONS a JSON object.

`dhcp`: get a lease; `slaac`: wait for an IPv6 address; `metadata`: read it; `metadata_v6`: by IPv6 too.
Prints one JSON object: how many seconds each took, what came of it, and `error` when something did not come.
Standard library only.
"""

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

DEVICE = "eth0"
PATIENCE = 30.0
"""Seconds for each step."""
METADATA_V4 = "169.254.169.254"
METADATA_V6 = f"fe80::a9fe:a9fe%{DEVICE}"
_TENTATIVE = 0x40


class BootError(Exception):
    """A step of the boot failed; the text says which and why."""


def boot(options: dict[str, Any]) -> dict[str, Any]:
    """Take the steps that are asked for; return what they gave."""
    result: dict[str, Any] = {}
    subprocess.run(["ip", "link", "set", DEVICE, "up"], check=True)
    try:
        if options.get("dhcp"):
            _lease(result)
        if options.get("slaac"):
            _slaac(result)
        if options.get("metadata"):
            _metadata(result, METADATA_V4 if options.get("dhcp") else METADATA_V6)
        if options.get("metadata_v6"):
            _metadata_v6(result)
    except BootError as error:
        result["error"] = str(error)
    return result


def _lease(result: dict[str, Any]) -> None:
    begin = time.monotonic()
    script = Path("/run/udhcpc.script")
    shutil.copyfile(Path(__file__).with_name("udhcpc.script"), script)
    script.chmod(0o755)
    argv = ["udhcpc", "-i", DEVICE, "-n", "-t", str(int(PATIENCE)), "-T", "1", "-s", str(script)]
    argv += ["-p", "/run/udhcpc.pid", "-O", "staticroutes", "-O", "mtu"]
    log = Path("/run/udhcpc.log")
    with log.open("wb") as output:  # a file: udhcpc stays in the background and keeps it open
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    result["lease_seconds"] = time.monotonic() - begin
    if done.returncode:
        tail = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
        raise BootError(f"no DHCP lease within {result['lease_seconds']:.1f} s: {tail}")
    lease = dict(line.split("=", 1) for line in Path("/run/lease").read_text().splitlines())
    result.update(address=lease["address"], dhcp_server=lease["server"])


def _slaac(result: dict[str, Any]) -> None:
    begin = time.monotonic()
    while time.monotonic() < begin + PATIENCE:
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, _, _, scope, flags, device = line.split()
            if device == DEVICE and scope == "00" and not int(flags, 16) & _TENTATIVE:
                result["address_v6"] = ":".join(digits[i : i + 4] for i in range(0, 32, 4))
                result["slaac_seconds"] = time.monotonic() - begin
                return
        time.sleep(0.02)
    raise BootError(f"no IPv6 address by router advertisements within {PATIENCE:.0f} s")


def _metadata(result: dict[str, Any], address: str) -> None:
    begin = time.monotonic()
    result["metadata"] = _meta_data(address, begin + PATIENCE)
    result["metadata_seconds"] = time.monotonic() - begin
    with contextlib.suppress(OSError, http.client.HTTPException):
        status, body = _get(address, "/openstack/latest/user_data")
        if status == 200:
            Path("/run/user-data").write_bytes(body)
            result["user_data_bytes"] = len(body)


def _metadata_v6(result: dict[str, Any]) -> None:
    """Ask by the link-local address, once the guest's own is no longer tentative."""
    begin = time.monotonic()
    result["metadata_v6"] = _meta_data(METADATA_V6, begin + PATIENCE)
    result["metadata_v6_seconds"] = time.monotonic() - begin


def _meta_data(address: str, deadline: float) -> Any:
    text = _fetch(address, "/openstack/latest/meta_data.json", deadline)
    try:
        return json.loads(text)
    except ValueError:
        raise BootError(f"the metadata is not JSON: {text[:100]!r}") from None


def _fetch(address: str, path: str, deadline: float) -> bytes:
    """Ask until there is a good answer, as cloud-init does."""
    problem = ""
    while time.monotonic() < deadline:
        try:
            status, body = _get(address, path)
            if status == 200:
                return body
            problem = f"status {status}"
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        time.sleep(0.1)
    raise BootError(f"no metadata from {address} within {PATIENCE:.0f} s: {problem}")


def _get(address: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, 80, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


if __name__ == "__main__":
    print(json.dumps(boot(json.loads(sys.argv[1]))))
