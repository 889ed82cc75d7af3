"""What metadata says to an instance, in OpenStack's and in EC2's form. Pure."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from deuteron.agent.metadata.network_data import network_data
from deuteron.plan.units import Instance

_VERSIONS = ["2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22"]
_VERSIONS += ["2018-08-27", "2020-10-14", "latest"]
_EC2_VERSIONS = ["1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01"]
_EC2_VERSIONS += ["2008-09-01", "2009-04-04", "latest"]

Answer = tuple[str, bytes] | None
"""Content type and body; None when there is no such thing."""


@dataclass(frozen=True)
class Machine:
    """Who asks."""

    port: Instance
    """By which it asks."""
    ports: Sequence[Instance]
    """All that it has."""
    zone: str
    """Of its host."""


def answer(machine: Machine, path: str) -> Answer:
    """Return what a machine asked for."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    if not parts:
        return _plain("\n".join(_EC2_VERSIONS))
    if parts[0] == "openstack":
        return _openstack(machine, parts[1:])
    if parts[0] in _EC2_VERSIONS:
        return _ec2(machine, parts[1:])
    return None


def _plain(text: str) -> Answer:
    return "text/plain; charset=utf-8", text.encode()


def _json(value: object) -> Answer:
    return "application/json", json.dumps(value).encode()


def _user_data(instance: Instance) -> Answer:
    if instance.user_data is None:
        return None
    try:
        return "application/octet-stream", base64.b64decode(instance.user_data, validate=True)
    except binascii.Error:
        return "application/octet-stream", instance.user_data.encode()


def _openstack(machine: Machine, parts: list[str]) -> Answer:
    if not parts:
        return _plain("\n".join(_VERSIONS))
    if parts[0] not in _VERSIONS:
        return None
    match parts[1:]:
        case []:
            found = ["meta_data.json", "vendor_data.json", "vendor_data2.json", "network_data.json"]
            return _plain("\n".join(found + (["user_data"] if machine.port.user_data is not None else [])))
        case ["meta_data.json"]:
            return _json(_meta_data(machine))
        case ["user_data"]:
            return _user_data(machine.port)
        case ["vendor_data.json"] | ["vendor_data2.json"]:
            return _json({})
        case ["network_data.json"]:
            return _json(network_data(machine.ports))
    return None


def _meta_data(machine: Machine) -> dict[str, object]:
    instance = machine.port
    return {
        "uuid": instance.instance_id,
        "name": instance.name or instance.hostname,
        "hostname": instance.hostname,
        "project_id": instance.project_id,
        "launch_index": 0,
        "availability_zone": machine.zone,
        "meta": instance.metadata,
        "public_keys": instance.public_keys,
        "keys": [{"name": n, "type": "ssh", "data": k} for n, k in sorted(instance.public_keys.items())],
        "devices": [],
    }


def _ec2(machine: Machine, parts: list[str]) -> Answer:
    instance = machine.port
    if not parts:
        return _plain("meta-data/\nuser-data" if instance.user_data is not None else "meta-data/")
    if parts == ["user-data"]:
        return _user_data(instance)
    if parts[0] != "meta-data":
        return None
    values = _ec2_values(instance)
    match parts[1:]:
        case []:
            keys = ["public-keys/"] if instance.public_keys else []
            return _plain("\n".join([*values, "placement/", *keys]))
        case ["placement"]:
            return _plain("availability-zone")
        case ["placement", "availability-zone"]:
            return _plain(machine.zone)
        case ["public-keys", *rest]:
            return _ec2_keys(instance, rest)
        case [name] if name in values:
            return _plain(values[name])
    return None


def _ec2_values(instance: Instance) -> dict[str, str]:
    addresses = (one.address.partition("/")[0] for one in instance.addresses)
    public = next((one.floating_ip for one in instance.addresses if one.floating_ip), None)
    return {
        "ami-launch-index": "0",
        "hostname": instance.hostname,
        # Clients of this form wait for an id that begins like EC2's.
        "instance-id": f"i-{hashlib.sha256(instance.instance_id.encode()).hexdigest()[:17]}",
        "local-hostname": instance.hostname,
        "local-ipv4": next((address for address in addresses if "." in address), ""),
        "mac": instance.mac,
        **({"public-ipv4": public} if public else {}),
    }


def _ec2_keys(instance: Instance, parts: list[str]) -> Answer:
    keys = sorted(instance.public_keys.items())
    if not parts:
        return _plain("\n".join(f"{index}={name}" for index, (name, _) in enumerate(keys)))
    if not parts[0].isdecimal() or int(parts[0]) >= len(keys):
        return None
    match parts[1:]:
        case []:
            return _plain("openssh-key")
        case ["openssh-key"]:
            return _plain(keys[int(parts[0])][1])
    return None
