import ipaddress
import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.metadata import documents, guard, legs, nova, render
from deuteron.agent.metadata.directory import Directory, canonical
from deuteron.plan.units import Instance, InstanceAddress

GOLDEN = Path(__file__).parent / "golden"
WORKER, RESPONDER = render.Worker("haproxy", "haproxy"), render.Responder(9697, "s3cret")
INSTANCE = Instance(
    id="p1",
    network="n1",
    mac="fa:16:3e:12:34:56",
    mtu=1450,
    addresses=(
        InstanceAddress(
            address="10.1.0.5/24",
            dhcp=True,
            gateway_ip="10.1.0.1",
            dns_nameservers=("192.0.2.53", "192.0.2.54"),
            host_routes=(("198.51.100.0/24", "10.1.0.9"),),
            floating_ip="203.0.113.9",
        ),
        InstanceAddress(
            address="2001:db8::5/64",
            dhcp=True,
            ipv6_address_mode="slaac",
            gateway_ip="2001:db8::1",
            dns_nameservers=("::",),
        ),
    ),
    instance_id="uuid-1",
    project_id="project-1",
    hostname="vm1",
    user_data="aGVsbG8K",
    public_keys={"me": "ssh-ed25519 AAAA me", "you": "ssh-rsa BBBB you"},
    metadata={"role": "web"},
)
SECOND = Instance(
    id="p2-abcdefghijkl",
    network="n2",
    mac="fa:16:3e:65:43:21",
    mtu=9000,
    addresses=(
        InstanceAddress(
            address="10.2.0.5/16",
            gateway_ip="10.2.0.1",
            dns_nameservers=("192.0.2.53",),
            host_routes=(("198.51.100.0/24", "10.2.0.9"),),
        ),
        InstanceAddress(address="2001:db8:2::5/64"),
        InstanceAddress(address="10.3.0.5/24", dhcp=True),
        InstanceAddress(address="10.4.0.5/24", dhcp=True),
    ),
    instance_id="uuid-1",
    project_id="project-1",
    hostname="vm1",
)


def get(path: str, *ports: Instance, zone: str = "east") -> str | None:
    ports = ports or (INSTANCE,)
    found = documents.answer(documents.Machine(ports[0], ports, zone), path)
    return found and found[1].decode()


def test_openstack_s_form() -> None:
    data = json.loads(get("/openstack/latest/meta_data.json") or "")
    assert data["uuid"] == "uuid-1"
    assert data["hostname"] == data["name"] == "vm1"
    assert data["project_id"] == "project-1"
    assert data["availability_zone"] == "east"
    assert data["meta"] == {"role": "web"}
    assert data["public_keys"] == INSTANCE.public_keys
    assert data["keys"][0] == {"name": "me", "type": "ssh", "data": "ssh-ed25519 AAAA me"}
    assert (get("/openstack") or "").splitlines()[-1] == "latest"
    assert "user_data" in (get("/openstack/2015-10-15/") or "")
    assert get("/openstack/latest/user_data") == "hello\n"
    assert get("/openstack/latest/vendor_data.json") == "{}"
    for name in (get("/openstack/latest") or "").splitlines():
        assert get(f"/openstack/latest/{name}") is not None, "what is listed is there"


def test_network_data_tells_how_all_ports_are_connected() -> None:
    told = json.loads(get("/openstack/latest/network_data.json", INSTANCE, SECOND) or "")
    dns = [{"type": "dns", "address": "192.0.2.53"}, {"type": "dns", "address": "192.0.2.54"}]
    assert told["services"] == dns, "each once, and none that means none"
    assert told["links"] == [
        {
            "id": "tapp1",
            "vif_id": "p1",
            "type": "bridge",
            "mtu": 1450,
            "ethernet_mac_address": "fa:16:3e:12:34:56",
        },
        {
            "id": "tapp2-abcdefgh",
            "vif_id": "p2-abcdefghijkl",
            "type": "bridge",
            "mtu": 9000,
            "ethernet_mac_address": "fa:16:3e:65:43:21",
        },
    ]
    everything = {"network": "0.0.0.0", "netmask": "0.0.0.0"}
    there = {"network": "198.51.100.0", "netmask": "255.255.255.0"}
    first = {"link": "tapp1", "network_id": "n1"}
    second = {"link": "tapp2-abcdefgh", "network_id": "n2"}
    assert told["networks"] == [
        {"id": "network0", "type": "ipv4_dhcp", **first},
        {
            "id": "network1",
            "type": "ipv6_slaac",
            **first,
            "ip_address": "2001:db8::5",
            "netmask": "ffff:ffff:ffff:ffff::",
            "routes": [{"network": "::", "netmask": "::", "gateway": "2001:db8::1"}],
            "services": [],
        },
        {
            "id": "network2",
            "type": "ipv4",
            **second,
            "ip_address": "10.2.0.5",
            "netmask": "255.255.0.0",
            "routes": [{**everything, "gateway": "10.2.0.1"}, {**there, "gateway": "10.2.0.9"}],
            "services": dns[:1],
        },
        {
            "id": "network3",
            "type": "ipv6",
            **second,
            "ip_address": "2001:db8:2::5",
            "netmask": "ffff:ffff:ffff:ffff::",
            "routes": [],
            "services": [],
        },
        {"id": "network4", "type": "ipv4_dhcp", **second},
        {
            "id": "network5",
            "type": "ipv4",
            **second,
            "ip_address": "10.4.0.5",
            "netmask": "255.255.255.0",
            "routes": [],
            "services": [],
        },
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("instance-id", "i-1b95bc50c157d62c7"),
        ("hostname", "vm1"),
        ("local-ipv4", "10.1.0.5"),
        ("mac", "fa:16:3e:12:34:56"),
        ("public-ipv4", "203.0.113.9"),
        ("placement", "availability-zone"),
        ("placement/availability-zone", "east"),
        ("public-keys/", "0=me\n1=you"),
        ("public-keys/1/", "openssh-key"),
        ("public-keys/1/openssh-key", "ssh-rsa BBBB you"),
        (
            "",
            "ami-launch-index\nhostname\ninstance-id\nlocal-hostname\nlocal-ipv4\nmac\npublic-ipv4\n"
            "placement/\npublic-keys/",
        ),
    ],
)
def test_ec2_s_form(path: str, text: str) -> None:
    assert get(f"/latest/meta-data/{path}") == text
    assert get(f"/2009-04-04/meta-data/{path}") == text


def test_everything_that_is_listed_in_ec2_s_form_is_there() -> None:
    def walk(path: str) -> None:
        text = get(path)
        assert text is not None, path
        if path.endswith("/"):
            for name in text.splitlines():
                walk(f"{path}{name.partition('=')[0]}{'/' if '=' in name else ''}")

    for version in (get("/") or "").splitlines():
        walk(f"/{version}/")


def test_user_data_is_absent_when_there_is_none() -> None:
    bare = msgspec.structs.replace(INSTANCE, user_data=None)
    assert get("/latest/user-data", bare) is None
    assert get("/openstack/latest/user_data", bare) is None
    assert get("/latest/user-data") == "hello\n"


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["latest", "openstack", "meta-data", "public-keys", "9", ".."])).map("/".join)
)
def test_any_path_is_answered_or_not_there(path: str) -> None:
    get(path)


def test_who_asks_is_known_by_network_and_address() -> None:
    asked: list[tuple[str, str]] = []

    def neighbour(network: str, address: str) -> str | None:
        asked.append((network, address))
        return {"fe80::9": INSTANCE.mac, "fe80::8": "02:00:00:00:00:08"}.get(address)

    known = Directory(neighbour)
    known.complete.set()
    known.put(INSTANCE)
    assert known.find("n1", canonical("::ffff:10.1.0.5")) == INSTANCE
    assert known.find("n1", canonical("2001:DB8::5")) == INSTANCE
    assert known.find("n1", "fe80::f816:3eff:fe12:3456") == INSTANCE, "made of its MAC address"
    assert known.find("n2", "10.1.0.5") is None
    assert known.find("n1", "10.1.0.6") is None
    assert known.find("", "") is None
    assert asked == []
    assert known.find("n1", "fe80::9") == INSTANCE
    assert known.find("n2", "fe80::9") is None
    assert known.find("n1", "fe80::8") is None
    assert known.find("n1", "fe80::7") is None
    known.put(SECOND)
    stranger = msgspec.structs.replace(SECOND, id="p3", network="n3", project_id="another")
    known.put(stranger)
    assert known.ports(INSTANCE) == [INSTANCE, SECOND], "not those of who only claims its id"
    known.delete("p1")
    assert known.find("n1", "10.1.0.5") is None
    assert known.ports(SECOND) == [SECOND]


def test_an_address_that_changes_hands_is_its_new_owner_s() -> None:
    known = Directory(lambda *_: None)
    known.complete.set()
    known.put(INSTANCE)
    heir = msgspec.structs.replace(INSTANCE, id="p9", mac="fa:16:3e:00:00:09")
    known.put(heir)
    known.delete("p1")
    assert known.find("n1", "10.1.0.5") == heir


@given(st.binary(min_size=6, max_size=6))
def test_a_link_local_address_names_its_mac_address(octets: bytes) -> None:
    address = ipaddress.IPv6Address(legs.link_local(octets.hex(":")))
    assert address.is_link_local
    identifier = address.packed[8:]
    assert bytes([identifier[0] ^ 2]) + identifier[1:3] + identifier[5:] == octets


@given(st.text(max_size=50))
def test_any_address_has_one_form(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(
    ("asked_by", "known_as"),
    [("10.1.0.5", "10.1.0.5"), ("fe80::1", "10.1.0.5"), ("2001:db8::5", "2001:db8::5")],
)
def test_nova_is_told_an_address_that_it_knows(asked_by: str, known_as: str) -> None:
    assert nova._known_as(INSTANCE, asked_by) == known_as


def test_what_there_is_already_is_left_alone() -> None:
    (leg,) = legs.legs([INSTANCE]).values()
    outside = {
        "ifname": leg.tap,
        "ifalias": "deuteron",
        "mtu": 1450,
        "master": "brqn1",
        "flags": ["UP"],
        "linkinfo": {"info_slave_data": {"learning": False, "flood": False, "isolated": True}},
    }
    inside = {
        "ifname": leg.device,
        "address": legs.MAC,
        "mtu": 1450,
        "flags": ["UP"],
        "addr_info": [{"local": "fe80::a9fe:a9fe"}],
    }
    assert legs.make(leg, outside, inside) == []
    assert legs.equip(leg, inside, leg.neighbours) == []
    assert legs.is_plugged(leg, outside)
    assert leg.neighbours == {"10.1.0.5": INSTANCE.mac, "fe80::f816:3eff:fe12:3456": INSTANCE.mac}
    assert legs.equip(leg, inside, {**leg.neighbours, "10.1.0.6": "m"}) == ["neigh delete 10.1.0.6 dev qm-n1"]
    assert not legs.is_plugged(leg, {**outside, "master": "br0"})
    with pytest.raises(legs.Refused, match="not ours"):
        legs.make(leg, {**outside, "ifalias": "mine", "address": "m"}, inside)


def test_haproxy_s_configuration_is_as_it_was_looked_at() -> None:
    identities = {"n1": "4026532.7", "n2-abcdefghijkl": "4026532.9"}
    text = render.config(identities, Path("/run/deuteron/metadata"), WORKER, RESPONDER)
    assert text == (GOLDEN / "haproxy.cfg").read_text()
    assert render.bound(text) == identities
    assert render.description(text) in text.splitlines()[1]


def test_haproxy_accepts_it(tmp_path: Path) -> None:
    text = render.config({"n1": "1.2"}, tmp_path, WORKER, RESPONDER)
    # The namespace would have to be there for the check.
    text = text.replace("bind :::80 v4v6 namespace qmeta interface qm-n1", "bind 127.0.0.1:18080")
    assert "qmeta" not in text
    (tmp_path / "haproxy.cfg").write_text(text)
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "WARNING" not in done.stderr


@given(st.text(max_size=20))
def test_no_id_of_a_network_adds_a_line(name: str) -> None:
    try:
        text = render.config({name: "1.1"}, Path("/d"), WORKER, RESPONDER)
    except ValueError:
        return
    usual = render.config({"x": "1.1"}, Path("/d"), WORKER, RESPONDER)
    assert len(text.splitlines()) == len(usual.splitlines())


def test_the_rules_on_bridges_are_as_they_were_looked_at(tmp_path: Path) -> None:
    text = guard.render(["tapb", "tapa"], ["vxlan-7", "eth2"])
    assert text == (GOLDEN / "metadata.nft").read_text()
    for rules in (text, guard.render([], []), guard.EMPTY):
        (tmp_path / "rules").write_text(rules)
        done = subprocess.run(
            ["nft", "-c", "-f", str(tmp_path / "rules")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_instances_that_come_and_go_change_only_what_is_theirs() -> None:
    assert guard.change({"tapa"}, {"tapa"}) == ""
    told = guard.change({"tapa", "tapb"}, {"tapb", "tapc"}).splitlines()
    assert [line.split("{")[0] for line in told] == [
        "delete element bridge deuteron_metadata senders ",
        "add element bridge deuteron_metadata senders ",
    ]
    assert '"tapa" . arp' in told[0]
    assert "goto" not in told[0]
    whole = guard.render(["tapb", "tapc"], [])
    assert all(element in whole for element in told[1].partition("{ ")[2].removesuffix(" }").split(", "))
    assert "tapb" not in "".join(told)


@given(st.text(max_size=20))
def test_no_name_of_a_device_adds_a_rule(name: str) -> None:
    try:
        text = guard.render([name], [])
    except ValueError:
        return
    assert len(text.splitlines()) == len(guard.render(["x"], []).splitlines())
