"""`deuteron-cni`: a plugin of the Container Network Interface, version 1.0, that puts containers on ports.

A container gets a new port on the `network` of its configuration, or the port that CNI_ARGS names as
DEUTERON_PORT. What a runtime asks is in the environment and on the standard input; the answer is JSON on the
standard output, an error too.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deuteron.cli import plugging
from deuteron.cli.client import DEFAULT_ENDPOINT, Failed, NoAnswer, ask, find
from deuteron.cli.plugging import Json, Place
from deuteron.plug import wire
from deuteron.plug.guest import Guest

VERSIONS = ("0.4.0", "1.0.0")
OWNER = "compute:cni"
"""The device owner of ports that were made for containers, and go with them."""
_OPTIONS = {
    "cniVersion",
    "name",
    "type",
    "args",
    "capabilities",
    "runtimeConfig",
    "prevResult",
    "endpoint",
    "network",
    "security_groups",
    "host",
    "environment",
}


class CniError(Exception):
    """What a runtime is told; `code` is that of the specification, 100 for one of our own."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Request(NamedTuple):
    """What a runtime asks for."""

    command: str
    container: str
    namespace: str
    interface: str
    args: Mapping[str, str]
    config: Mapping[str, Any]

    @property
    def endpoint(self) -> str:
        """The server's."""
        return str(self.config.get("endpoint", DEFAULT_ENDPOINT))

    @property
    def place(self) -> Place:
        """Where the container is, and what its ports' device is called."""
        host = self.config.get("host") or socket.gethostname()
        return Place(host, f"cni/{self.container}/{self.interface}", OWNER)


def main() -> int:
    """Do what the runtime asks; return the exit status."""
    version = VERSIONS[-1]
    try:
        request = _request(os.environ, sys.stdin.read())
        version = request.config["cniVersion"]
        answer = _COMMANDS[request.command](request)
    except CniError as error:
        told = {"cniVersion": version, "code": error.code, "msg": str(error)}
        print(json.dumps({**told, "details": error.details} if error.details else told))
        return 1
    if answer is not None:
        print(json.dumps(answer, indent=2))
    return 0


def _request(environment: Mapping[str, str], text: str) -> Request:
    command = environment.get("CNI_COMMAND", "")
    if command not in _COMMANDS:
        raise CniError(4, f"CNI_COMMAND={command!r}: expected one of {', '.join(_COMMANDS)}")
    try:
        config = json.loads(text)
    except ValueError as error:
        raise CniError(6, f"the configuration is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise CniError(6, "the configuration is not an object")
    version = config.setdefault("cniVersion", "0.1.0")
    if command != "VERSION" and version not in VERSIONS:
        raise CniError(1, f"CNI version {version} is not supported", f"supported: {', '.join(VERSIONS)}")
    needed = {"VERSION": (), "DEL": ("CNI_CONTAINERID", "CNI_IFNAME")}
    for name in needed.get(command, ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME")):
        if not environment.get(name):
            raise CniError(4, f"{name} is not set")
    if command != "VERSION":
        _check(config)
    return Request(
        command=command,
        container=environment.get("CNI_CONTAINERID", ""),
        namespace=environment.get("CNI_NETNS", ""),
        interface=environment.get("CNI_IFNAME", ""),
        args=_args(environment.get("CNI_ARGS", "")),
        config=config,
    )


def _args(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(";") if pair)
    return {key: value for key, _, value in pairs}


def _check(config: Mapping[str, Any]) -> None:
    """Refuse what cannot be followed, and set the credentials with which the server is asked."""
    for name in config:
        if name not in _OPTIONS:
            raise CniError(2, f"{name}: there is no such option", f"known: {', '.join(sorted(_OPTIONS))}")
    environment = config.get("environment", {})
    groups = config.get("security_groups", [])
    texts = [config.get(name, "") for name in ("endpoint", "network", "host")]
    if not all(isinstance(text, str) for text in texts):
        raise CniError(7, "endpoint, network and host are strings")
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise CniError(7, "security_groups is a list of ids")
    if not isinstance(environment, dict) or not all(
        name.startswith("OS_") and isinstance(value, str) for name, value in environment.items()
    ):
        raise CniError(7, "environment is an object of OS_... variables")
    os.environ.update(environment)


def _add(request: Request) -> Json:
    """Make or take a port and connect the container; nothing is left of it where that fails."""
    given = request.args.get("DEUTERON_PORT")
    try:
        if _ports(request):
            raise CniError(100, f"container {request.container} has an interface {request.interface} already")
        if given:
            port = find(request.endpoint, "port", given)
            guest = _connected(request, port, request.place._replace(owner=plugging.OWNER))
        else:
            port = _created(request)
            try:
                guest = _connected(request, port, request.place)
            except BaseException:
                ask(request.endpoint, "DELETE", f"/v2.0/ports/{port['id']}")
                raise
    except Failed as error:
        raise _told(error) from None
    return _result(request, guest)


def _connected(request: Request, port: Json, place: Place) -> Guest:
    def connect(guest: Guest) -> None:
        wire.connect(guest, request.namespace, request.interface)

    return plugging.plug(request.endpoint, port, place, connect)


def _created(request: Request) -> Json:
    wanted = request.config.get("network")
    if not wanted:
        raise CniError(7, "network: set the name or id of a network, or DEUTERON_PORT in CNI_ARGS")
    values: Json = {
        "network_id": find(request.endpoint, "network", wanted)["id"],
        "name": request.args.get("K8S_POD_NAME") or request.container[:12],
        "device_id": request.place.device_id,
        "device_owner": OWNER,
    }
    if "security_groups" in request.config:
        values["security_groups"] = request.config["security_groups"]
    created: Json = ask(request.endpoint, "POST", "/v2.0/ports", {"port": values})["port"]
    return created


def _del(request: Request) -> None:
    """Take the container's port away; what is gone already is fine."""
    try:
        for port in _ports(request):
            plugging.disconnect(port["id"])
            if port["device_owner"] == OWNER:
                ask(request.endpoint, "DELETE", f"/v2.0/ports/{port['id']}")
            else:
                plugging.release(request.endpoint, port)
    except Failed as error:
        raise _told(error) from None


def _check_container(request: Request) -> None:
    """Raise CniError where the container is not as ADD left it."""
    if "prevResult" not in request.config:
        raise CniError(7, "prevResult: CHECK needs what ADD answered")
    try:
        ports = _ports(request)
        if not ports:
            raise CniError(3, f"container {request.container} has no port for {request.interface}")
        port = ports[0]
        wrong = wire.lacks(plugging.described(request.endpoint, port), request.namespace, request.interface)
    except Failed as error:
        raise _told(error) from None
    if port["status"] != "ACTIVE":
        wrong = wrong or f"port {port['id']} is {port['status']}"
    if wrong:
        raise CniError(100, wrong)


def _version(request: Request) -> Json:
    return {"cniVersion": request.config["cniVersion"], "supportedVersions": list(VERSIONS)}


def _ports(request: Request) -> list[Json]:
    wanted = {"device_id": request.place.device_id}
    found: list[Json] = ask(request.endpoint, "GET", "/v2.0/ports", query=wanted)["ports"]
    return found


def _told(error: Failed) -> CniError:
    # 11: try again later.
    return CniError(11 if isinstance(error, NoAnswer) else 100, str(error))


def _result(request: Request, guest: Guest) -> Json:
    ips = []
    for one in guest.addresses:
        ip: Json = {"address": one.address, "interface": 0}
        if one.gateway:
            ip["gateway"] = one.gateway
        if request.config["cniVersion"] == "0.4.0":
            ip["version"] = str(one.version)
        ips.append(ip)
    return {
        "cniVersion": request.config["cniVersion"],
        "interfaces": [{"name": request.interface, "mac": guest.mac, "sandbox": request.namespace}],
        "ips": ips,
        "routes": [{"dst": destination, "gw": hop} for destination, hop in guest.routes],
        "dns": {"nameservers": list(guest.nameservers)} if guest.nameservers else {},
    }


_COMMANDS: Mapping[str, Callable[[Request], Json | None]] = {
    "ADD": _add,
    "DEL": _del,
    "CHECK": _check_container,
    "VERSION": _version,
}

if __name__ == "__main__":
    sys.exit(main())
