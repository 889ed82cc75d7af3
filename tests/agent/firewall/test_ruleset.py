"""The tables as text, and that what is changed piece by piece equals what is written at once."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deuteron.agent import names
from deuteron.agent.firewall import identity, rules, ruleset
from deuteron.agent.firewall.manager import FirewallManager
from deuteron.agent.firewall.ruleset import NOTHING, TABLE
from deuteron.agent.system import netns
from deuteron.plan.units import (
    AddressGroup,
    Log,
    Logged,
    Member,
    Port,
    SecurityGroup,
    SecurityRule,
    Unit,
)
from tests.agent.firewall.scene import group, group_id, member, port, rule, v4
from tests.agent.scene import mac, port_id

ALLOWED = [
    (rule(), "meta nfproto ipv4 accept"),
    (rule(version=6, protocol=6), "meta nfproto ipv6 meta l4proto 6 accept"),
    (
        rule(protocol=6, port_min=22, port_max=22),
        "meta nfproto ipv4 meta l4proto 6 ct original proto-dst 22 accept",
    ),
    (
        rule("egress", protocol=17, port_min=1, port_max=9, remote_prefix="10.0.0.9/8"),
        "meta nfproto ipv4 ct original ip daddr 10.0.0.0/8 meta l4proto 17 ct original proto-dst 1-9 accept",
    ),
    (rule(remote_prefix="0.0.0.0/0"), "meta nfproto ipv4 accept"),
    (
        rule(protocol=1, port_min=8),
        "meta nfproto ipv4 meta l4proto 1 ct original proto-dst & 0xff00 == 0x0800 accept",
    ),
    (
        rule(version=6, protocol=58, port_min=128, port_max=0),
        "meta nfproto ipv6 meta l4proto 58 ct original proto-dst 0x8000 accept",
    ),
]


@pytest.mark.parametrize(("said", "line"), ALLOWED)
def test_a_rule_is_one_line(said: SecurityRule, line: str) -> None:
    made = rules.of_group(SecurityGroup(id="g", rules=(said,)), "g")
    assert made.chains["inet", f"{'in' if said.direction == 'ingress' else 'out'}-g"] == (line,)


def test_a_rule_for_a_group_names_its_sets() -> None:
    made = rules.of_group(SecurityGroup(id="g", rules=(rule(remote_group="r", protocol=6),)), "g")
    assert made.chains["inet", "in-g"] == (
        "meta nfproto ipv4 ct original ip saddr @h4-r meta l4proto 6 accept",
        "meta nfproto ipv4 ct original ip saddr @n4-r meta l4proto 6 accept",
    )
    members = [
        Member(id="1", groups=("r",), addresses=("10.0.0.1", "fd00::1", "10.1.0.0/16", "10.1.2.0/24")),
        Member(id="2", groups=("r",), addresses=("10.0.0.1", "10.0.0.2")),
    ]
    assert {(name[1], key) for name, key, _ in rules.of_members("r", members).elements} == {
        ("h4-r", "10.0.0.1"),
        ("h4-r", "10.0.0.2"),
        ("h6-r", "fd00::1"),
        ("n4-r", "10.1.0.0/16"),
    }


def test_an_unknown_group_lets_nothing_through() -> None:
    assert set(rules.of_group(None, "g").chains.values()) == {()}


def test_numbers_of_groups_are_lasting_and_apart() -> None:
    many = {rules.Profile((f"g{number}",)) for number in range(3000)}
    numbers = rules.numbered(many)
    assert len(set(numbers.values())) == 3000
    assert all(0 < number < 2**23 for number in numbers.values())
    few = rules.numbered({rules.Profile(("g1",)), rules.Profile(("g2",))})
    assert few == {groups: numbers[groups] for groups in few}


def test_who_a_port_may_say_that_it_is() -> None:
    made = identity.chains(port(1, pairs=(("00:00:5e:00:01:07", "10.1.0.100"),)))
    assert made["bridge", f"id-{names.tap(port_id(1))}"] == (
        "ether saddr != { 00:00:5e:00:01:07, 02:00:00:00:00:01 } drop",
        "ether saddr 00:00:5e:00:01:07 arp saddr ether 00:00:5e:00:01:07 arp saddr ip 10.1.0.100 accept",
        "ether saddr 02:00:00:00:00:01 arp saddr ether 02:00:00:00:00:01 arp saddr ip 10.1.0.1 accept",
        "arp operation request arp saddr ether 02:00:00:00:00:01 arp saddr ip 0.0.0.0 accept",
        "ether type arp drop",
        "ether saddr 02:00:00:00:00:01 ip saddr 0.0.0.0 ip daddr 255.255.255.255 "
        "udp sport 68 udp dport 67 accept",
        "ether type ip udp sport 67 udp dport 68 drop",
        "ether saddr 00:00:5e:00:01:07 ip saddr 10.1.0.100 accept",
        "ether saddr 02:00:00:00:00:01 ip saddr 10.1.0.1 accept",
        "ether type ip drop",
        "icmpv6 type { nd-router-advert, nd-redirect } drop",
        "ether type ip6 udp sport 547 udp dport 546 drop",
        f"icmpv6 type nd-neighbor-advert jump na-{names.tap(port_id(1))}",
        "ip6 saddr :: icmpv6 type { 131, 133, 135, 143 } accept",
        "ether saddr 00:00:5e:00:01:07 ip6 saddr fe80::200:5eff:fe00:107 accept",
        "ether saddr 02:00:00:00:00:01 ip6 saddr { fd00:1::1, fe80::ff:fe00:1 } accept",
        "ether saddr 02:00:00:00:00:01 ether type 0x8035 @nh,48,16 3 @nh,64,48 0x20000000001 accept",
        "drop",
    )


def test_a_change_names_only_what_changes() -> None:
    old = rules.of_group(group(1, rule()), "g")
    new = rules.of_group(group(1), "g")
    assert ruleset.commands([(old, old)]) == []
    assert ruleset.commands([(old, new)]) == [f"flush chain inet {TABLE} in-g"]
    before = rules.of_members("g", [member(1)])
    after = rules.of_members("g", [member(1), Member(id="x", groups=("g",), addresses=("10.9.9.9",))])
    assert ruleset.commands([(before, after)]) == [f"add element inet {TABLE} h4-g {{ 10.9.9.9 }}"]
    assert all(line.startswith("delete set") for line in ruleset.commands([(after, NOTHING)]))


remotes = st.sampled_from([
    {},
    {"remote_group": group_id(1)},
    {"remote_group": group_id(2)},
    {"remote_address_group": "list"},
    {"remote_prefix": "10.0.0.0/8"},
])  # fmt: skip
security_rules = st.builds(
    lambda direction, protocol, remote: SecurityRule(
        direction=direction, version=4, protocol=protocol, **remote
    ),
    st.sampled_from(["ingress", "egress"]),
    st.sampled_from([None, 6, 17]),
    remotes,
)
addresses = st.lists(
    st.sampled_from(["10.1.0.1", "10.1.0.2", "10.1.0.0/24", "10.1.0.0/16", "fd00::1", "0.0.0.0/0"]),
    unique=True,
).map(tuple)
LIMIT = "rate 100/second burst 25 packets"
numbers = st.integers(1, 3)
groups = st.sampled_from([(), (1,), (2,), (1, 2)])
some_units: st.SearchStrategy[Unit] = st.one_of(
    st.builds(
        lambda n, gs, filtered, pair: port(n, *gs, filtered=filtered, pairs=pair),
        numbers,
        groups,
        st.sampled_from([True, True, False]),
        st.sampled_from([(), ((mac(9), "10.7.0.0/16"),), (("", "0.0.0.0/0"), ("", "10.0.0.0/8"))]),
    ),
    st.builds(
        lambda n, lines, stateful: group(n, *lines, stateful=stateful),
        st.integers(1, 2),
        st.lists(security_rules, max_size=3, unique=True),
        st.booleans(),
    ),
    st.builds(
        lambda n, gs, found: Member(
            id=port_id(n), groups=tuple(group_id(one) for one in gs), addresses=found
        ),
        numbers,
        groups,
        addresses,
    ),
    st.builds(AddressGroup, id=st.just("list"), addresses=addresses),
    st.builds(
        lambda n, logs: Logged(id=port_id(n), logs=logs),
        numbers,
        st.sampled_from([
            (Log(id="all", project="p"),),
            (Log(id="drops", project="p", event="DROP"),),
            (Log(id="web", project="p", event="ACCEPT", group=group_id(1)),),
        ]),
    ),
)  # fmt: skip
steps = st.lists(st.tuples(some_units, st.sampled_from(["put", "put", "put", "delete"])), max_size=4)


@contextmanager
def scratch() -> Iterator[str]:
    name = f"s{uuid.uuid4().hex[:8]}"
    netns.create(name)
    try:
        yield name
    finally:
        netns.delete(name)


def listed(name: str) -> list[Any]:
    """Return what the kernel has, without handles and in an order that is not that of creation."""
    done = subprocess.run(
        ["ip", "netns", "exec", name, "nft", "-j", "list", "ruleset"], capture_output=True, check=True
    )
    found: dict[str, list[Any]] = {}
    for item in json.loads(done.stdout)["nftables"]:
        for kind, value in item.items():
            value.pop("handle", None)
            if "elem" in value:
                value["elem"] = sorted(json.dumps(one, sort_keys=True) for one in value["elem"])
            key = f"{kind} {value.get('family')} {value.get('chain', value.get('name'))}"
            found.setdefault(key, []).append(value)
    return [(key, found[key]) for key in sorted(found) if "metainfo" not in key]


@pytest.mark.lab
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=1, max_size=5))
def test_what_is_changed_step_by_step_equals_what_is_written_at_once(
    history: list[list[tuple[Unit, str]]],
) -> None:
    present: dict[str, Unit] = {}
    with scratch() as one, scratch() as two:
        following = FirewallManager(LIMIT)
        for changes in history:
            for unit, what in changes:
                if what == "put":
                    following.put(unit)
                    present[unit.key] = unit
                else:
                    following.delete(unit.key)
                    present.pop(unit.key, None)
            with netns.entered(one):
                assert following.apply() == {}
                assert following.apply() == {}
        fresh = FirewallManager(LIMIT)
        for unit in present.values():
            fresh.put(unit)
        with netns.entered(two):
            assert fresh.apply() == {}
        assert listed(one) == listed(two)


@pytest.mark.lab
def test_where_the_kernel_cannot_log_ports_are_as_without_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    logged = Logged(id=port_id(1), logs=(Log(id="all", project="p"),))
    monkeypatch.setattr(rules, "LOG_TRIAL", "table inet t { chain c { log level nonsense; }; }\n")
    with scratch() as one, scratch() as two:
        for name, units in ((one, (logged,)), (two, ())):
            manager = FirewallManager(LIMIT)
            for unit in (group(1, rule()), port(1, 1), *units):
                manager.put(unit)
            with netns.entered(name):
                problems = manager.apply()
            assert [key for key in problems if "not written down" in problems[key]] == [
                unit.key for unit in units
            ]
            if units:
                unable = manager
        assert listed(one) == listed(two)
        assert "log" not in str(listed(one))
        monkeypatch.undo()
        with netns.entered(one):
            assert unable.apply() == {}
        assert "'log'" in str(listed(one)), "it can by now"


@pytest.mark.lab
def test_a_thousand_ports_cost_as_much_as_what_changes() -> None:
    """Figures are in decision 0021; the bounds are ten times as much."""
    many = range(1000)

    def address(number: int) -> str:
        return f"10.2.{number >> 8}.{number & 255}"

    spent: dict[str, float] = {}
    with scratch() as name, netns.entered(name):
        manager = FirewallManager(LIMIT)

        def apply(what: str, *units: Unit) -> None:
            for unit in units:
                manager.put(unit)
            begin = time.monotonic()
            assert manager.apply() == {}
            spent[what] = time.monotonic() - begin

        inside = rule(remote_group=group_id(1))
        ports: list[Unit] = [
            Port(
                id=f"{number:08x}-cccc-3333-4444-555555555555",
                network="n",
                mac=mac(1),
                mtu=1450,
                filtered=True,
                addresses=(address(number),),
                security_groups=(group_id(1),),
            )
            for number in many
        ]
        members: list[Unit] = [
            Member(id=f"m{number}", groups=(group_id(1),), addresses=(address(number),)) for number in many
        ]
        apply("all", group(1, inside), *ports, *members)
        apply("one rule of all ports", group(1, inside, rule(protocol=6, port_min=22, port_max=22)))
        apply("one member of all ports", Member(id="m", groups=(group_id(1),), addresses=(v4(1),)))
        apply("one port", port(1, 1))
    print({what: f"{seconds * 1000:.0f} ms" for what, seconds in spent.items()})
    assert spent["one rule of all ports"] < 3, spent
    assert spent["one member of all ports"] < 3, spent
    assert spent["one port"] < 3, spent
