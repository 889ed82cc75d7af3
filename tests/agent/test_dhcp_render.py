import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.dhcp import render
from deuteron.plan.units import Dhcp, DhcpSubnet, Lease

GOLDEN = Path(__file__).parent / "golden"
SUBNETS = (
    DhcpSubnet(
        id="s4",
        cidr="10.1.0.0/24",
        gateway_ip="10.1.0.1",
        dns_nameservers=("192.0.2.53", "192.0.2.54"),
        host_routes=(("198.51.100.0/24", "10.1.0.9"),),
    ),
    DhcpSubnet(id="s4b", cidr="10.2.0.0/16"),
    DhcpSubnet(id="s6", cidr="2001:db8:1::/64", ipv6_address_mode="dhcpv6-stateful"),
    DhcpSubnet(
        id="s6less",
        cidr="2001:db8:2::/64",
        ipv6_address_mode="dhcpv6-stateless",
        dns_nameservers=("2001:db8::53",),
    ),
    DhcpSubnet(id="slaac", cidr="2001:db8:3::/64", ipv6_address_mode="slaac"),
)
DHCP = Dhcp(
    id="n1",
    port="0123456789abcdef",
    mac="02:00:00:00:00:01",
    mtu=1450,
    addresses=("10.1.0.2/24", "10.2.0.2/16", "2001:db8:1::2/64"),
    subnets=SUBNETS,
    dns_domain="cloud.example.",
    metadata=True,
)
LEASES = [
    Lease(
        id="p2",
        network="n1",
        mac="02:00:00:00:00:22",
        addresses=(
            ("s4", "10.1.0.22"),
            ("s4", "10.1.0.23"),
            ("s6", "2001:db8:1::22"),
            ("s6", "2001:db8:1::23"),
        ),
        hostname="two",
    ),
    Lease(
        id="p1",
        network="n1",
        mac="02:00:00:00:00:11",
        addresses=(("s4", "10.1.0.11"),),
        hostname="one.cloud.example",
    ),
    Lease(
        id="p3",
        network="n1",
        mac="02:00:00:00:00:33",
        addresses=(("slaac", "2001:db8:3::33"), ("s6less", "2001:db8:2::33"), ("elsewhere", "10.9.0.1")),
        hostname="three",
    ),
]


def rendered(directory: Path = Path("/run/deuteron/dhcp/n1")) -> render.Files:
    return render.files(DHCP, LEASES, directory, 86400)


def test_the_files_are_as_they_were_looked_at() -> None:
    files = rendered()
    text = "".join(
        f"--- {name}\n{content}"
        for name, content in [
            ("dnsmasq.conf", files.config),
            ("hosts", files.hosts),
            ("options", files.options),
            ("names", files.names),
        ]
    )
    assert text == (GOLDEN / "dnsmasq.txt").read_text()
    assert files.refused == {}


def test_dnsmasq_accepts_them(tmp_path: Path) -> None:
    files = rendered(tmp_path)
    for name in ("hosts", "options", "names"):
        (tmp_path / name).write_text(getattr(files, name))
    (tmp_path / "dnsmasq.conf").write_text(files.config)
    done = subprocess.run(
        ["dnsmasq", "--test", f"--conf-file={tmp_path}/dnsmasq.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "dnsmasq: syntax check OK.")


TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["a\nb", "a\0b", "a,b", "x\ndhcp-script=/bin/sh", "a b", "a#b", "10.0.0.1\n", "é", "a" * 300, "-a"]
)


@given(TEXT, TEXT, TEXT)
def test_no_text_of_a_lease_adds_a_line_or_a_word(hostname: str, mac: str, address: str) -> None:
    for lease in (
        Lease(
            id="p", network="n1", mac="02:00:00:00:00:22", addresses=(("s4", "10.1.0.5"),), hostname=hostname
        ),
        Lease(id="p", network="n1", mac=mac, addresses=(("s4", "10.1.0.5"),), hostname="a"),
        Lease(id="p", network="n1", mac="02:00:00:00:00:22", addresses=(("s4", address),), hostname="a"),
    ):
        files = render.files(DHCP, [lease], Path("/d"), 60)
        assert len(files.hosts.splitlines()) + len(files.refused) == 1
        assert len(files.names.splitlines()) + len(files.refused) == 1
        assert files.refused.keys() <= {"lease/p"}
        assert all(len(line.split(",")) == 3 and " " not in line for line in files.hosts.splitlines())


@given(
    st.sampled_from(["id", "cidr", "gateway_ip", "dns", "destination", "hop", "domain", "port", "address"]),
    TEXT,
)
def test_no_text_of_a_network_adds_a_line(field: str, text: str) -> None:
    subnet = DhcpSubnet(
        id=text if field == "id" else "s4",
        cidr=text if field == "cidr" else "10.1.0.0/24",
        gateway_ip=text if field == "gateway_ip" else "10.1.0.1",
        dns_nameservers=(text if field == "dns" else "192.0.2.53",),
        host_routes=(
            (
                text if field == "destination" else "198.51.100.0/24",
                text if field == "hop" else "10.1.0.9",
            ),
        ),
    )
    dhcp = Dhcp(
        id="n1",
        port=text if field == "port" else "p",
        mac="02:00:00:00:00:01",
        mtu=1450,
        addresses=(text if field == "address" else "10.1.0.2/24",),
        subnets=(subnet,),
        dns_domain=text if field == "domain" else "cloud.example",
    )
    try:
        files = render.files(dhcp, [], Path("/d"), 60)
    except render.Unfit:
        return
    assert len(files.config.splitlines()) <= 21
    assert len(files.options.splitlines()) <= 4
    assert "\0" not in files.config + files.options


def test_a_refused_lease_does_not_hinder_the_others() -> None:
    bad = Lease(
        id="bad", network="n1", mac="02:00:00:00:00:44", addresses=(("s4", "10.1.0.44"),), hostname="x\ny"
    )
    files = render.files(DHCP, [*LEASES, bad], Path("/d"), 60)
    assert files.hosts == rendered().hosts
    assert list(files.refused) == ["lease/bad"]


FILE = """1795484615 02:00:00:00:00:01 10.1.0.5 one 01:02:00:00:00:00:01
1795484616 02:00:00:00:00:02 10.1.0.6 two *
duid 00:01:00:01:32:96:56:c7:02:00:00:00:00:dd
1795484617 12345 2001:db8::5 one 00:03:00:01:02:00:00:00:00:01
"""
HOSTS = "02:00:00:00:00:01,one,10.1.0.5,[2001:db8::5]\n02:00:00:00:00:02,two,10.1.0.6\n"


@pytest.mark.parametrize(
    ("before", "now", "dropped"),
    [
        (HOSTS, HOSTS, []),
        (HOSTS, "", []),
        (HOSTS, HOSTS.replace(":01,", ":09,"), ["10.1.0.5", "2001:db8::5"]),
        (HOSTS, HOSTS.replace("10.1.0.6", "10.1.0.7"), []),
        ("", HOSTS, ["2001:db8::5"]),
    ],
)
def test_leases_in_the_way_of_another_client_are_dropped(before: str, now: str, dropped: list[str]) -> None:
    kept = render.stale_leases(FILE, before, now)
    if not dropped:
        assert kept is None
        return
    assert kept is not None
    gone = set(FILE.splitlines()) - set(kept.splitlines())
    assert sorted(line.split()[2] for line in gone) == dropped
