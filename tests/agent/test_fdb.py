from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l2 import fdb
from deuteron.plan.units import Network, Remote

VTEPS = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"])
MACS = st.sampled_from([f"02:00:00:00:00:0{n}" for n in range(1, 6)])
ENTRIES = st.builds(
    fdb.Entries,
    flood=st.sets(VTEPS),
    fixed=st.dictionaries(MACS, VTEPS, max_size=4),
    hints=st.dictionaries(MACS, VTEPS, max_size=4),
).map(lambda e: fdb.Entries(e.flood, e.fixed, {m: v for m, v in e.hints.items() if m not in e.fixed}))


def play(have: fdb.Entries, commands: list[str]) -> fdb.Entries:
    """Do as the kernel does; deleting what is not there is an error."""
    now = fdb.Entries(set(have.flood), dict(have.fixed), dict(have.hints))
    for command in commands:
        _, verb, mac, _, device, _, vtep, _, *state = command.split()
        assert device == "vxlan-7"
        if mac == "00:00:00:00:00:00":
            if verb == "append":
                now.flood.add(vtep)
            else:
                now.flood.remove(vtep)
        elif verb == "replace":
            now.fixed.pop(mac, None)
            now.hints.pop(mac, None)
            (now.fixed if state == ["permanent"] else now.hints)[mac] = vtep
        else:
            assert mac in now.fixed or mac in now.hints
            now.fixed.pop(mac, None)
            now.hints.pop(mac, None)
    return now


@given(ENTRIES, ENTRIES)
def test_the_difference_leads_from_one_to_the_other(have: fdb.Entries, want: fdb.Entries) -> None:
    assert play(have, fdb.difference("vxlan-7", have, want)) == want
    assert fdb.difference("vxlan-7", want, want) == []


@given(ENTRIES, ENTRIES)
def test_hints_that_aged_out_are_no_error(have: fdb.Entries, want: fdb.Entries) -> None:
    aged = fdb.Entries(have.flood, have.fixed, {})
    assert play(aged, fdb.difference("vxlan-7", have, want)).fixed == want.fixed


def test_what_was_learned_since_is_not_overwritten() -> None:
    network = Network(id="n", type="vxlan", mtu=1450, vni=7, vteps=("10.0.0.2", "10.0.0.3"))
    router = Remote(id="r", network="n", mac="02:00:00:00:00:01", vtep="10.0.0.2", moves=True)
    want = fdb.wanted(network, [router])
    learned = [
        {"mac": "02:00:00:00:00:01", "ifname": "vxlan-7", "dst": "10.0.0.3", "flags": ["self"], "state": ""},
        {
            "mac": "00:00:00:00:00:00",
            "ifname": "vxlan-7",
            "dst": "10.0.0.2",
            "flags": ["self"],
            "state": "permanent",
        },
        {
            "mac": "fe:00:00:00:00:01",
            "ifname": "vxlan-7",
            "flags": [],
            "master": "brqn",
            "state": "permanent",
        },
    ]
    have = fdb.after_restart(fdb.held(learned)["vxlan-7"], want)
    assert fdb.difference("vxlan-7", have, want) == [
        "fdb append 00:00:00:00:00:00 dev vxlan-7 dst 10.0.0.3 self permanent"
    ]
