"""Rebalancing is as good as it can be, and moves nothing in vain."""

from collections import Counter
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from deuteron.placement import spread
from deuteron.placement.spread import Place

HOSTS = ["a", "b", "c", "d"]

places = st.dictionaries(
    st.integers(0, 9).map(lambda n: f"r{n}"),
    st.builds(
        Place,
        active=st.sampled_from(HOSTS),
        candidates=st.lists(st.sampled_from(HOSTS), unique=True, max_size=4),
        others=st.lists(st.sampled_from(HOSTS), unique=True, max_size=2),
    ),
    max_size=6,
)


def cost(where: list[str]) -> int:
    counts = Counter(where)
    return sum(counts[host] ** 2 for host in HOSTS)


def after(given: dict[str, Place], moves: list[spread.Move]) -> list[str]:
    where = {id_: place.active for id_, place in given.items()}
    for move in moves:
        assert where[move.router] == move.source
        where[move.router] = move.target
    return list(where.values())


@given(places)
def test_no_other_assignment_is_better(given: dict[str, Place]) -> None:
    moves = spread.moves(given, HOSTS)
    for move in moves:
        place = given[move.router]
        assert move.target in (*place.candidates, *place.others)
        assert move.source != move.target
        assert move.reason
    assert len({move.router for move in moves}) == len(moves), "each router once"
    possible = [
        sorted({one.active, *one.candidates, *one.others}, key=lambda h: h != one.active)
        for one in given.values()
    ]
    best = min((cost(list(where)) for where in product(*possible)), default=0)
    assert cost(after(given, moves)) == best
    if cost([place.active for place in given.values()]) == best:
        assert moves == [], "nothing is moved in vain"


@given(places, st.integers(0, 3))
def test_a_limit_holds_and_what_is_done_is_better(given: dict[str, Place], most: int) -> None:
    moves = spread.moves(given, HOSTS, most)
    assert len(moves) <= most
    before = cost([place.active for place in given.values()])
    assert cost(after(given, moves)) < before if moves else True


@given(places)
def test_one_after_the_other_ends_as_well_spread(given: dict[str, Place]) -> None:
    wanted = cost(after(given, spread.moves(given, HOSTS)))
    for _ in range(50):
        move = spread.next_move(given, HOSTS)
        if move is None:
            break
        old = given[move.router]
        given = {**given, move.router: Place(move.target, old.candidates, old.others)}
    assert spread.next_move(given, HOSTS) is None
    assert cost([place.active for place in given.values()]) <= wanted


def test_a_new_host_is_used_when_candidates_do_not_suffice() -> None:
    given = {f"r{n}": Place("a", ["a", "b"], ["c"]) for n in range(6)}
    moves = spread.moves(given, ["a", "b", "c"])
    assert Counter(move.target for move in moves) == {"b": 2, "c": 2}
    assert moves[0].reason.startswith("a is the active one of 6, ")


def test_a_way_over_another_host_makes_room_first() -> None:
    given = {f"a{n}": Place("a", ["b"]) for n in range(3)} | {f"b{n}": Place("b", ["c"]) for n in range(2)}
    given["c0"] = Place("c")
    moves = spread.moves(given, ["a", "b", "c"])
    assert [(move.source, move.target) for move in moves] == [("b", "c"), ("a", "b")]
    first = spread.next_move(given, ["a", "b", "c"])
    assert first is not None
    assert first.reason == "b is the active one of 2, c of 1; this makes room for one of the 3 of a"
    assert spread.next_move(given, ["a", "b", "c"], 1) is None
