"""What neutron-lib's API definitions say of a server with our extensions, held against our own declarations.

A difference is a line: `COLLECTION.ATTRIBUTE.FACET` and what both say. Facets: `there`, `post`, `put`,
`visible`, `filter`, `sort`, `default`, and `value` (what a POST may set, tried with samples).
"""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from neutron_lib import constants
from neutron_lib.api import attributes, definitions
from oslo_config import cfg

from deuteron.resources.attribute import REQUIRED, UNSET, Attr
from deuteron.resources.errors import NeutronError
from deuteron.resources.resource import Resource

# neutron-lib asks for options that only a server declares.
cfg.CONF.register_opts(
    [
        cfg.StrOpt("dns_domain", default="openstacklocal"),
        cfg.BoolOpt("vlan_transparent"),
        cfg.IntOpt("max_allowed_address_pair", default=10),
    ]
)

Spec = Mapping[str, Any]
"""How neutron-lib describes an attribute."""

FLAGS = {
    "post": "allow_post",
    "put": "allow_put",
    "visible": "is_visible",
    "filter": "is_filter",
    "sort": "is_sort_key",
}
"""Our name of a facet, and neutron-lib's."""

REFUSED = "refused"
ABSENT = "absent"

_ID = "11111111-1111-4111-8111-111111111111"
SAMPLES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 4, 6, 5, -1, 80, 255, 256, 4095, 1500, 65535, 65536, 2**31, 2**63, 1.5),
    *(
        "",
        " ",
        " a",
        "a ",
        "a b",
        "é",
        "0",
        "1",
        "4",
        "6",
        "-1",
        "80",
        "1500",
        "true",
        "False",
        "none",
        "None",
        "yes",
    ),
    *("x" * 64, "x" * 65, "x" * 255, "x" * 256, "x" * 1023, "x" * 1024, "x" * 1025),
    *(_ID, _ID.replace("-", ""), _ID.upper().replace("1", "A"), f"{_ID}x"),
    *(
        "10.0.0.1",
        "10.0.0.0/24",
        "10.0.0.1/24",
        "10.0.0.1/32",
        "0.0.0.0/0",
        "10.0.0",
        "256.0.0.1",
        "010.0.0.1",
    ),
    *("2001:db8::1", "2001:DB8:0::1", "2001:db8::/64", "2001:db8::1/64", "::/0", "fe80::1", "::ffff:1.2.3.4"),
    *("fa:16:3e:00:00:01", "FA:16:3E:00:00:02", "fa-16-3e-00-00-01", "fa163e000001", "00:00:00:00:00:00"),
    *("tcp", "udp", "icmp", "icmpv6", "TCP", "any", "17", "ingress", "egress", "IPv4", "IPv6", "ipv6"),
    *("slaac", "dhcpv6-stateful", "vlan", "flat", "vxlan", "geneve", "gre", "local", "normal", "direct"),
    *(
        "my.domain.",
        "my.domain",
        "name",
        "-name",
        "a_b",
        "a..b",
        "<project_id>.my.domain.",
        "access_as_shared",
        "network",
        "trunk",
    ),
    *([], [None], [""], ["a"], ["a", "a"], ["a", "b"], [1], [_ID], [_ID, _ID], ["x"], ["10.0.0.1"], [{}]),
    *(["10.0.0.0/24"], ["10.0.0.1/24"], ["10.0.0.1", "10.0.0.1"], ["2001:db8::1", "10.0.0.1"], ["a b"]),
    *([{"destination": "10.0.0.0/24", "nexthop": "10.1.0.1"}], [{"destination": "10.0.0.0/24"}]),
    *([{"destination": "10.0.0.1/24", "nexthop": "10.1.0.1"}], [{"start": "10.0.0.2", "end": "10.0.0.9"}]),
    *([{"start": "10.0.0.2"}], [{"ip_address": "10.0.0.2"}], [{"subnet_id": _ID}], [{"subnet_id": "x"}]),
    *([{"ip_address": "10.0.0.2", "subnet_id": _ID}], [{"ip_address": "10.0.0.2", "x": 1}]),
    *([{"ip_address": "10.0.0.2", "mac_address": "fa:16:3e:00:00:01"}], [{"ip_address": "10.0.0.0/8"}]),
    *([{"ip_address": "224.0.0.18"}], [{"ip_address": "ff00::/8"}]),
    *([{"opt_name": "mtu", "opt_value": "1"}], [{"opt_name": "mtu", "opt_value": None, "ip_version": 6}]),
    *({}, {"a": "b"}, {"a": {"b": [1]}}, {"network_id": _ID}, {"network_id": _ID, "enable_snat": "false"}),
    *({"network_id": _ID, "external_fixed_ips": []}, {"network_id": "x"}, {"network_id": _ID, "x": 1}),
)
"""Values that a client may send for whatever attribute."""


def expected(aliases: set[str]) -> dict[str, dict[str, Spec]]:
    """Return the attributes by collection that extensions with these aliases give."""
    found: dict[str, dict[str, Spec]] = {}
    chosen = [one for one in definitions._ALL_API_DEFINITIONS if one.ALIAS in aliases]
    main = {name.replace("-", "_") for one in chosen for name in one.RESOURCE_ATTRIBUTE_MAP}
    for one in sorted(chosen, key=lambda one: (_depth(one, chosen), one.ALIAS)):
        for collection, specs in one.RESOURCE_ATTRIBUTE_MAP.items():
            found.setdefault(collection.replace("-", "_"), {}).update(specs)
        for collection, below in (one.SUB_RESOURCE_ATTRIBUTE_MAP or {}).items():
            if collection.replace("-", "_") not in main:
                found.setdefault(collection.replace("-", "_"), {}).update(below["parameters"])
    for specs in found.values():
        if "tenant_id" in specs:
            specs.setdefault("project_id", specs["tenant_id"])
    return found


def _depth(one: Any, chosen: list[Any]) -> int:
    """Return how many extensions stand below one: they come first."""
    below = [other for other in chosen if other.ALIAS in (one.REQUIRED_EXTENSIONS or ())]
    return 1 + max((_depth(other, chosen) for other in below), default=0)


def differences(resource: Resource, theirs: Mapping[str, Spec]) -> Iterator[str]:
    """Yield each difference of a resource's attributes."""
    ours, filters = resource.attributes, {*resource.filters, *resource.narrowing}
    collection = resource.collection
    for name in sorted({*ours, *theirs} - {"tenant_id"}):
        where = f"{collection}.{name}"
        if name not in theirs:
            if ours[name].visible or ours[name].post:
                yield f"{where}.there: only here"
        elif name not in ours:
            if theirs[name].get("is_visible") or theirs[name].get("allow_post"):
                yield f"{where}.there: not here"
        else:
            attr = ours[name]
            attr = replace(attr, filter=attr.filter or name in filters)
            yield from (f"{where}.{told}" for told in _of_attribute(attr, theirs[name], name))


def _of_attribute(attr: Attr, spec: Spec, name: str) -> Iterator[str]:
    for facet, flag in FLAGS.items():
        here, there = getattr(attr, facet), bool(spec.get(flag, False))
        if here != there:
            yield f"{facet}: {here}, not {there}"
    if not spec.get("allow_post") or not attr.post:
        return
    here, there = _our_default(attr), _their_default(spec, name)
    if here != there and name != "project_id":
        yield f"default: {_text(here)}, not {_text(there)}"
    for sample in SAMPLES:
        here, there = _ours(attr, sample), _theirs(spec, name, sample)
        # "80" and 80: which of both it is, is decided here at once and there later.
        if _text(here).strip('"') != _text(there).strip('"'):
            yield f"value: {_text(sample)} gives {_text(here)}, not {_text(there)}"


def _our_default(attr: Attr) -> Any:
    if attr.default is REQUIRED:
        return REFUSED
    return ABSENT if attr.default is UNSET else attr.default


def _their_default(spec: Spec, name: str) -> Any:
    if "default" not in spec:
        return REFUSED
    default = spec["default"]
    return ABSENT if default is constants.ATTR_NOT_SPECIFIED else _theirs(spec, name, default)


def _ours(attr: Attr, value: Any) -> Any:
    if value is None and attr.nullable:
        return None
    try:
        return attr.type.convert(copy.deepcopy(value))
    except (ValueError, NeutronError):
        return REFUSED


def _theirs(spec: Spec, name: str, value: Any) -> Any:
    given = {name: copy.deepcopy(value)}
    try:
        attributes.AttributeInfo({name: spec}).convert_values(given)
    except Exception:  # noqa: BLE001 - whatever it raises, the value is not taken
        return REFUSED
    return ABSENT if given[name] is constants.ATTR_NOT_SPECIFIED else given[name]


def _text(value: Any) -> str:
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    except TypeError:
        text = str(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"
