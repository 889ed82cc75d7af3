"""What metadata says to an instance, in OpenStack's and in EC2's form. Pure."""

import base64
import binascii
import json

from deuteron.plan.units import Instance

_VERSIONS = ["2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22"]
_VERSIONS += ["2018-08-27", "2020-10-14", "latest"]
_EC2_VERSIONS = ["1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01"]
_EC2_VERSIONS += ["2008-09-01", "2009-04-04", "latest"]


def answer(instance: Instance, path: str) -> tuple[str, bytes] | None:
    """Return content type and body of what an instance asked for; None when there is no such thing."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    if not parts:
        return _plain("\n".join(_EC2_VERSIONS))
    if parts[0] == "openstack":
        return _openstack(instance, parts[1:])
    if parts[0] in _EC2_VERSIONS:
        return _ec2(instance, parts[1:])
    return None


def _plain(text: str) -> tuple[str, bytes]:
    return "text/plain; charset=utf-8", text.encode()


def _json(value: object) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()


def _user_data(instance: Instance) -> tuple[str, bytes] | None:
    if instance.user_data is None:
        return None
    try:
        return "application/octet-stream", base64.b64decode(instance.user_data, validate=True)
    except binascii.Error:
        return "application/octet-stream", instance.user_data.encode()


def _openstack(instance: Instance, parts: list[str]) -> tuple[str, bytes] | None:
    if not parts:
        return _plain("\n".join(_VERSIONS))
    if parts[0] not in _VERSIONS:
        return None
    match parts[1:]:
        case []:
            found = ["meta_data.json", "vendor_data.json", "network_data.json"]
            return _plain("\n".join(found + (["user_data"] if instance.user_data is not None else [])))
        case ["meta_data.json"]:
            return _json(_meta_data(instance))
        case ["user_data"]:
            return _user_data(instance)
        case ["vendor_data.json"] | ["vendor_data2.json"]:
            return _json({})
        case ["network_data.json"]:
            return _json({"links": [], "networks": [], "services": []})
    return None


def _meta_data(instance: Instance) -> dict[str, object]:
    return {
        "uuid": instance.instance_id,
        "name": instance.name or instance.hostname,
        "hostname": instance.hostname,
        "project_id": instance.project_id,
        "launch_index": 0,
        "availability_zone": "nova",
        "meta": instance.metadata,
        "public_keys": instance.public_keys,
        "keys": [{"name": n, "type": "ssh", "data": k} for n, k in sorted(instance.public_keys.items())],
        "devices": [],
    }


def _ec2(instance: Instance, parts: list[str]) -> tuple[str, bytes] | None:
    if not parts:
        return _plain("meta-data/\nuser-data" if instance.user_data is not None else "meta-data/")
    if parts == ["user-data"]:
        return _user_data(instance)
    if parts[0] != "meta-data":
        return None
    address = next((address for address in instance.addresses if "." in address), "")
    values = {
        "hostname": instance.hostname,
        "instance-id": instance.instance_id,
        "local-hostname": instance.hostname,
        "local-ipv4": address,
    }
    match parts[1:]:
        case []:
            return _plain("\n".join([*values, *(["public-keys/"] if instance.public_keys else [])]))
        case ["public-keys", *rest]:
            return _ec2_keys(instance, rest)
        case [name] if name in values:
            return _plain(values[name])
    return None


def _ec2_keys(instance: Instance, parts: list[str]) -> tuple[str, bytes] | None:
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
