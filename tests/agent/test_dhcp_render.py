import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.dhcp import render
from deuteron.agent.dhcp.texts import Unfit
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
        options=(
            (4, "150", "192.0.2.69"),
            (4, "bootfile-name", 'undionly, "signed"\\x.kpxe'),
            (4, "router", "10.1.0.254"),
            (4, "server-ip-address", "192.0.2.69"),
            (4, "tag:!ipxe,67", "undionly.kpxe"),
            (4, "tag:ipxe,67", "http://192.0.2.69/boot.ipxe"),
            (6, "bootfile-url", "tftp://[2001:db8::69]/x"),
        ),
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


def check(files: render.Files, directory: Path) -> None:
    """Have dnsmasq check files; what it reads only when it runs is given to it as configuration."""
    for name in ("hosts", "options", "names"):
        (directory / name).write_text(getattr(files, name))
    more = [f"dhcp-option={line}" for line in files.options.splitlines()]
    more += [f"dhcp-host={line}" for line in files.hosts.splitlines()]
    (directory / "dnsmasq.conf").write_text(files.config + "".join(f"{line}\n" for line in more))
    done = subprocess.run(
        ["dnsmasq", "--test", f"--conf-file={directory}/dnsmasq.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "dnsmasq: syntax check OK."), more


def test_dnsmasq_accepts_them(tmp_path: Path) -> None:
    check(rendered(tmp_path), tmp_path)


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
    except Unfit:
        return
    assert len(files.config.splitlines()) <= 23
    assert len(files.options.splitlines()) <= 4
    assert "\0" not in files.config + files.options


def test_a_refused_lease_does_not_hinder_the_others() -> None:
    bad = Lease(
        id="bad", network="n1", mac="02:00:00:00:00:44", addresses=(("s4", "10.1.0.44"),), hostname="x\ny"
    )
    files = render.files(DHCP, [*LEASES, bad], Path("/d"), 60)
    assert files.hosts == rendered().hosts
    assert list(files.refused) == ["lease/bad"]


def with_options(*options: tuple[int, str, str], **more: Any) -> render.Files:
    lease = Lease(
        id="p",
        network="n1",
        mac="02:00:00:00:00:22",
        addresses=(("s4", "10.1.0.5"), ("s6", "2001:db8:1::5")),
        hostname="a",
        options=options,
        **more,
    )
    return render.files(DHCP, [lease], Path("/d"), 60)


def own_lines(files: render.Files) -> list[str]:
    return [line.removeprefix("tag:port-p,") for line in files.options.splitlines() if "port-p" in line]


def test_every_option_that_dnsmasq_knows_can_be_given(tmp_path: Path) -> None:
    given: list[tuple[int, str, str]] = []
    for version, word in ((4, "dhcp"), (6, "dhcp6")):
        listed = subprocess.run(
            ["dnsmasq", "--help", word], capture_output=True, text=True, check=True
        ).stdout
        names = [line.split()[1] for line in listed.splitlines()[1:]]
        assert len(names) > 10
        for name in names:
            values = [
                "192.0.2.1,192.0.2.2" if version == 4 else "[2001:db8::1],2001:db8::2",
                "10.0.0.0/8,192.0.2.1",
                "120",
                "a.example,b",
                "http://x/y,z",
                "01:02:03",
            ]
            accepted = [v for v in values if with_options((version, name, v)).refused == {}]
            assert accepted, name
            given += [(version, name, value) for value in accepted]
    lines = [line for one in given for line in with_options(one).options.splitlines() if "port-p" in line]
    (tmp_path / "conf").write_text("".join(f"dhcp-option={line}\n" for line in lines))
    done = subprocess.run(
        ["dnsmasq", "--test", f"--conf-file={tmp_path}/conf"], capture_output=True, text=True, check=False
    )
    assert "syntax check OK" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ((4, "bootfile-name", "pxelinux.0"), '67,"pxelinux.0"'),
        ((4, "67", "10.0.0.1"), '67,"10.0.0.1"'),
        ((4, "MTU", "1400"), "26,1400"),
        ((4, "router", ""), "3"),
        ((4, "dns-server", "192.0.2.1, 192.0.2.2"), "6,192.0.2.1,192.0.2.2"),
        ((4, "224", "0a:0b"), "224,0a:0b"),
        ((4, "224", "12 # not"), '224,"12 # not"'),
        ((6, "59", "http://x"), 'option6:59,"http://x"'),
        ((6, "dns-server", "2001:DB8::1"), "option6:23,[2001:db8::1]"),
        ((4, "tag:ipxe,bootfile-name", "x"), 'tag:ipxe,67,"x"'),
    ],
)
def test_options_are_written_as_dnsmasq_reads_them(option: tuple[int, str, str], line: str) -> None:
    files = with_options(option)
    assert (own_lines(files)[0], files.refused) == (line, {})
    assert files.hosts == "02:00:00:00:00:22,a,set:port-p,10.1.0.5,[2001:db8:1::5]\n"


@pytest.mark.parametrize(
    "option",
    [
        (4, "no-such-option", "x"),
        (4, "256", "x"),
        (4, "lease-time", "5"),
        (4, "51", "5"),
        (4, "53", "1"),
        (6, "bootfile-name", "x"),
        (6, "client-id", "x"),
        (4, "mtu", "65536"),
        (4, "mtu", ""),
        (4, "router", "nowhere"),
        (4, "router", "2001:db8::1"),
        (4, "classless-static-route", "10.0.0.0/8"),
        (4, "bootfile-name", "a\nb"),
        (4, "tag:a b,67", "x"),
        (4, "67,x", "y"),
        (4, "domain-search", "a" * 250),
    ],
)
def test_an_option_that_cannot_be_given_is_told_of_and_the_lease_stays(option: tuple[int, str, str]) -> None:
    files = with_options(option, (4, "time-offset", "-3600"))
    assert own_lines(files) == ["2,-3600"]
    assert repr(option[1]) in files.refused["lease/p"]
    assert len(files.hosts.splitlines()) == 1


def test_a_router_of_its_own_is_the_default_route_too() -> None:
    """A client that takes the routes of option 121 ignores the router option."""
    others = "198.51.100.0/24,10.1.0.9,10.2.0.0/16,0.0.0.0,169.254.169.254/32,0.0.0.0"
    assert own_lines(with_options((4, "router", "10.1.0.254"))) == [
        "3,10.1.0.254",
        f"tag:subnet-s4,121,{others},0.0.0.0/0,10.1.0.254",
        f"tag:subnet-s4,249,{others},0.0.0.0/0,10.1.0.254",
    ]
    assert own_lines(with_options((4, "router", ""))) == [
        "3",
        f"tag:subnet-s4,121,{others}",
        f"tag:subnet-s4,249,{others}",
    ]
    assert own_lines(with_options((4, "classless-static-route", "0.0.0.0/0,10.1.0.7"))) == [
        "121,0.0.0.0/0,10.1.0.7",
        "249,0.0.0.0/0,10.1.0.7",
    ]


def test_one_option_is_given_once() -> None:
    files = with_options((4, "67", "a"), (4, "bootfile-name", "b"))
    assert own_lines(files) == ['67,"a"']
    assert "given twice" in files.refused["lease/p"]


@given(
    st.sampled_from([4, 6]),
    TEXT | st.sampled_from(["tag:ipxe,67", "67", "router", "bootfile-url", "23", "24"]),
    TEXT | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300),
)
def test_no_text_of_an_option_adds_a_line_or_breaks_one(version: int, name: str, value: str) -> None:
    files = with_options((version, name, value))
    lines = own_lines(files)
    assert len(files.hosts.splitlines()) == 1
    assert all(line.isascii() and line.isprintable() for line in files.options.splitlines())
    if files.refused:
        assert lines == []
    else:
        bare = re.sub(r'"(\\.|[^"\\])*"', "", lines[0])
        assert re.fullmatch(r"(tag:!?[\w-]+,)*(option6:)?\d+(,[\w:./\[\]-]*)*", bare), lines


FILE = """1795484615 02:00:00:00:00:01 10.1.0.5 one 01:02:00:00:00:00:01
1795484616 02:00:00:00:00:02 10.1.0.6 two *
duid 00:01:00:01:32:96:56:c7:02:00:00:00:00:dd
1795484617 12345 2001:db8::5 one 00:03:00:01:02:00:00:00:00:01
"""
HOSTS = "02:00:00:00:00:01,one,set:port-p,10.1.0.5,[2001:db8::5]\n02:00:00:00:00:02,two,10.1.0.6\n"


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
