"""Whatever a client sends, the server answers, and never with an error of its own."""

from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deuteron.resources import registry
from tests.api.conftest import Client, Topology

RESOURCES = ("networks", "subnets", "ports", "routers", "floatingips")
ANSWERS = {200, 201, 204, 307, 400, 403, 404, 405, 409, 412, 413, 415, 501, 503}
NAMES = {name: sorted(registry.load().resources[name].attributes) for name in RESOURCES}

THERE = ("network", "subnet", "external", "router", "interface", "port")
POSTED = {
    name: {key for key, attr in registry.load().resources[name].attributes.items() if attr.post}
    for name in RESOURCES
}

addresses = st.sampled_from(
    ["10.0.0.7", "10.0.0.8", "10.1.0.1", "10.1.0.9", "203.0.113.9", "2001:db8::5", "2001:db8::1"]
)
fitting_fixed = st.lists(st.fixed_dictionaries({"ip_address": addresses}), max_size=2, unique_by=str)
FITTING: Any = {
    "cidr": st.sampled_from(["10.1.0.0/24", "10.1.0.0/30", "10.0.0.0/25", "2001:db8::/64"]),
    "ip_version": st.sampled_from([4, 6]),
    "gateway_ip": addresses | st.none(),
    "allocation_pools": st.lists(st.fixed_dictionaries({"start": addresses, "end": addresses}), max_size=2),
    "ipv6_address_mode": st.sampled_from(["slaac", "dhcpv6-stateful"]),
    "fixed_ips": fitting_fixed,
    "mac_address": st.sampled_from(["fa:16:3e:00:00:01", "fa:16:3e:00:00:02"]),
    "device_owner": st.sampled_from(["network:dhcp", "compute:nova", "network:router_interface"]),
    "device_id": st.sampled_from(["x", "@router"]),
    "binding:host_id": st.sampled_from(["", "h"]),
    "port_security_enabled": st.booleans(),
    "allowed_address_pairs": fitting_fixed,
    "external_gateway_info": st.none()
    | st.fixed_dictionaries(
        {"network_id": st.just("@external")}, optional={"external_fixed_ips": fitting_fixed}
    ),
    "ha": st.booleans(),
    "routes": st.lists(
        st.fixed_dictionaries({"destination": st.just("10.7.0.0/16"), "nexthop": addresses}), max_size=1
    ),
    "port_id": st.sampled_from(["@interface", "@port"]),
    "floating_ip_address": addresses,
    "router:external": st.booleans(),
    "mtu": st.sampled_from([0, 68, 1279, 1280, 1450]),
    "admin_state_up": st.booleans(),
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "10.0.0.0/24",
            "10.0.0.7",
            "2001:db8::/64",
            "2001:db8::5",
            "fe80::1%eth0",
            "::ffff:1.2.3.4",
            "0.0.0.0/0",
            "slaac",
            "fa:16:3e:00:00:01",
            "network:dhcp",
            "network:router_interface",
            "network:floatingip",
            "11111111-1111-1111-1111-111111111111",
            "flat",
            "vxlan",
            "\x00",
            "a\nb",
            "x" * 300,
            4,
            6,
            2**63,
            -1,
        ]
    )
)
keys = st.text(max_size=8) | st.sampled_from(
    [
        "start",
        "end",
        "subnet_id",
        "ip_address",
        "network_id",
        "destination",
        "nexthop",
        "opt_name",
        "enable_snat",
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, Any]:
    """A request that is nearly right: known attributes, some of them of existing objects."""
    collection = draw(st.sampled_from(RESOURCES))
    kind = collection.removesuffix("s")
    plausible = scalars | st.sampled_from(
        ["@network", "@subnet", "@external", "@router", "@interface", "@port"]
    )
    fixed = st.lists(
        st.fixed_dictionaries({}, optional={"subnet_id": plausible, "ip_address": plausible}), max_size=3
    )
    gateway = st.fixed_dictionaries(
        {"network_id": plausible}, optional={"external_fixed_ips": fixed, "enable_snat": plausible}
    )
    value = anything | plausible | fixed | gateway
    body: dict[str, Any] = {"network_id": "@network", "floating_network_id": "@external", "ip_version": 4}
    body |= draw(st.fixed_dictionaries({}, optional=FITTING))
    body |= draw(st.dictionaries(st.sampled_from(NAMES[collection]), value, max_size=1))
    body = {name: given for name, given in body.items() if name in POSTED[collection] or draw(st.booleans())}
    method = draw(st.sampled_from(["POST", "PUT", "action", "bulk", "raw"]))
    target = draw(st.sampled_from([*(f"@{name}" for name in THERE), "none"]))
    if method == "raw":
        return "POST", f"/{collection}", draw(anything)
    if method == "POST":
        return "POST", f"/{collection}", {kind: body}
    if method == "bulk":
        return "POST", f"/{collection}", {collection: [body, body]}
    if method == "PUT":
        return "PUT", f"/{collection}/{target}", {kind: body}
    verb = draw(st.sampled_from(["add_router_interface", "remove_router_interface"]))
    wanted = draw(st.dictionaries(st.sampled_from(["subnet_id", "port_id", "x"]), plausible, max_size=2))
    return "PUT", f"/routers/{target}/{verb}", wanted


def _filled(value: Any, topology: Topology) -> Any:
    if isinstance(value, str) and value.startswith("@"):
        return getattr(topology, value[1:], value)
    if isinstance(value, dict):
        return {key: _filled(item, topology) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, topology) for item in value]
    return value


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=requests())
def test_bodies(api: Client, topology: Topology, asked: tuple[str, str, Any]) -> None:
    method, path, body = asked
    for name in THERE:
        path = path.replace(f"@{name}", getattr(topology, name))
    answer = api.request(method, path, _filled(body, topology))
    assert answer.status in ANSWERS, answer
    assert (answer.status >= 400) == bool(answer.error), answer


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    collection=st.sampled_from(RESOURCES),
    id_=st.one_of(st.just(""), st.text(min_size=1, max_size=12)),
    query=st.lists(
        st.tuples(
            st.text(max_size=8)
            | st.sampled_from(
                ["limit", "marker", "sort_key", "sort_dir", "fields", "page_reverse", "fixed_ips"]
            )
            | st.sampled_from(sorted({name for names in NAMES.values() for name in names})),
            st.text(max_size=12)
            | st.sampled_from(
                ["asc", "desc", "id", "name", "1", "True", "ip_address=10.0.0.2", "subnet_id=x"]
            ),
        ),
        max_size=4,
    ),
    method=st.sampled_from(["GET", "GET", "GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"]),
)
def test_paths_and_queries(
    api: Client, topology: Topology, collection: str, id_: str, query: list[tuple[str, str]], method: str
) -> None:
    text = "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in query)
    path = f"/{collection}" + (f"/{_quoted(id_)}" if id_ else "")
    answer = api.request(method, f"{path}?{text}")
    assert answer.status in ANSWERS, answer


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
