"""Routes with several next hops: as they are wanted, as they are told to the kernel, as it shows them."""

from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3 import kernel, next_hops, wanted
from tests.agent.l3.scene import router

HOPS = ["10.0.0.5", "10.0.0.6", "10.0.0.30"]
DESTINATIONS = ["10.77.0.0/16", "10.78.0.0/16", "0.0.0.0/0"]
routes = st.lists(st.tuples(st.sampled_from(DESTINATIONS), st.sampled_from(HOPS)), max_size=6)


def _twin(those: list[tuple[str, str]]) -> wanted.Twin:
    return wanted.twin(router(routes=tuple(those), nexthops=("203.0.113.1",)), ())


@given(routes)
def test_each_destination_is_there_once_with_all_its_next_hops(those: list[tuple[str, str]]) -> None:
    found = dict(route.key for route in _twin(those).kernel.routes)
    assert len(_twin(those).kernel.routes) == len(found)
    expected = {to: {hop for other, hop in those if other == to} for to, _ in those}
    assert {to: set(hops.split(",")) for to, hops in found.items()} == {
        "0.0.0.0/0": {"203.0.113.1"},
        **expected,
    }


@given(routes, routes)
def test_the_kernel_follows_without_a_gap(have: list[tuple[str, str]], want: list[tuple[str, str]]) -> None:
    held = dict(route.key for route in _twin(have).kernel.routes)
    twin = _twin(want)
    after = dict(route.key for route in twin.kernel.routes)
    inside = kernel.Inside(routes=frozenset(held.items()))
    for destination, commands in kernel.set_routes(twin, inside).items():
        (command,) = commands
        words = command.split()
        assert words[2] == destination
        if words[1] == "delete":
            assert destination not in after
            del held[destination]
        else:
            ways = [{"gateway": words[place + 1]} for place, word in enumerate(words) if word == "via"]
            held[destination] = next_hops.of({"nexthops": ways} if len(ways) > 1 else ways[0])
    assert held == after
    assert kernel.set_routes(twin, kernel.Inside(routes=frozenset(after.items()))) == {}
