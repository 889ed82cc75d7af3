import itertools

from deuteron.bench import modes
from deuteron.bench.flows import Flow
from deuteron.bench.modes import Conversion
from deuteron.lab.modes import MODES
from deuteron.lab.ways import EAST_WEST


def test_the_tour_has_each_pair_once() -> None:
    assert sorted(itertools.pairwise(modes.TOUR)) == sorted(itertools.permutations(MODES, 2))


def test_one_packet_lost_between_networks_misses_the_bound() -> None:
    calm, lossy = Flow(0, 0.0, True, 10, 1), Flow(1, 2.0, True, 10, 1)
    done = [
        Conversion("ha", "dvr", 2.0, {"SNAT": lossy, "floating IP": lossy, EAST_WEST: calm}),
        Conversion("ha", "dvr", 3.0, {"SNAT": calm, "floating IP": calm, EAST_WEST: lossy}),
    ]
    found = {figure.name: figure for figure in modes.figures(done)}
    assert found["ha to dvr: from the call to its end"].samples == (2.0, 3.0)
    assert found["ha to dvr: packets lost east-west"].verdict == "missed"
    assert found["ha to dvr: longest gap outward"].verdict == "ok"
    assert found["conversions: TCP survived"].verdict == "ok"
    assert modes.figures([])[0].verdict == "not measured"
