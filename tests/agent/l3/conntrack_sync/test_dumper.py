"""How often a whole table is sent."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from deuteron.agent.l3.conntrack_sync import dumper
from deuteron.agent.l3.conntrack_sync.dumper import Dumper
from deuteron.agent.l3.conntrack_sync.wire import Change


class _Teller:
    table: Any = object()

    def __init__(self) -> None:
        self.finished: list[float] = []
        self.now = 0.0

    def send_page(self, page: Sequence[Change], twins: Iterable[str]) -> None:
        """Nobody is told."""

    def finish_dump(self, twins: Iterable[str]) -> None:
        self.finished.append(self.now)


@pytest.mark.parametrize(("pages", "pause"), [(0, 0.25), (4, 1.0)])
def test_a_table_is_sent_again_soon_when_it_is_small(
    monkeypatch: pytest.MonkeyPatch, pages: int, pause: float
) -> None:
    class Dump:
        def __init__(self, _: object) -> None:
            self.left = pages

        def page(self) -> list[Change] | None:
            self.left -= 1
            return [(1, b"")] * 2000 if self.left >= 0 else None

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(dumper, "Dump", Dump)
    teller, sends = _Teller(), Dumper()
    sends.want(teller, ("a",))
    for step in range(4000):
        teller.now = 100 + step / 1000
        sends.step(teller.now)
        if len(teller.finished) == 1:
            sends.want(teller, ("b",))
    first, second = teller.finished
    assert second - first == pytest.approx(pause + pages * 0.25, abs=0.02)
