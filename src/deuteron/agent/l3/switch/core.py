"""What the switch knows and does: routers, elections, gates, announcements. No waiting in here."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from deuteron.agent.l3.switch import announce, decide, records
from deuteron.agent.l3.switch.announce import Announcer
from deuteron.agent.l3.switch.gate import TABLE, Gate, GateError
from deuteron.agent.l3.switch.loop import Loop
from deuteron.agent.l3.switch.records import Election, Places, Router, Standing
from deuteron.agent.l3.switch.underlay import Underlay
from deuteron.agent.l3.switch.watch import Watch

log = logging.getLogger(__name__)

_HEAR_AGAIN = 1.0
"""Seconds until a second active host is noted again."""
_CABLE_SECONDS = 2.0
"""Seconds after the return of the underlay's carrier until this host takes part again if it hears nobody."""
_SHOWN_SECONDS = 0.2
"""Seconds for which a router that drains sends with its own address after a second one was active."""


class Core:
    """The switch without those who talk to it.

    `publish` is given a dict of news: {"election": standing}, {"routers": {id: open, or null if gone}} or, in
    an election in which this host yields, {"heard": id} when it hears an active one.
    """

    def __init__(self, places: Places, loop: Loop, publish: Callable[[dict[str, Any]], None]) -> None:
        """Adopt the gate as it is; raises GateError."""
        self._places = places
        self._loop = loop
        self._publish = publish
        self._gate = Gate()
        self._announcer = Announcer()
        self._round: dict[str, int] = {}
        self._shown: frozenset[int] = frozenset()
        self._second = 0
        self.routers: dict[str, Router] = {}
        self.watches: dict[str, Watch] = {}
        self._underlay = Underlay()
        self._cable_pulled = 0
        loop.on_readable(self._underlay, self._look_at_underlay)

    def load(self, routers: Iterable[str], elections: Iterable[str]) -> dict[str, str]:
        """Read the files of these again and make the gates so; return what failed: id -> words."""
        problems: dict[str, str] = {}
        changed: set[str] = set()
        for id_ in elections:
            self._load_election(id_, problems)
        before: dict[str, Router | None] = {}
        for id_ in routers:
            before[id_] = self.routers.get(id_)
            self._load_router(id_, problems)
            changed.update(r.election for r in (before[id_], self.routers.get(id_)) if r and r.election)
        known = {router.number for router in self.routers.values()}
        gone = frozenset(r.number for r in before.values() if r and r.number not in known)
        problems.update(self._settle(gone))
        self._announce_new(before)
        for id_ in changed.union(elections):
            self._write_fence(id_)
        self._tell_of_new(before)
        return problems

    def load_all(self) -> dict[str, str]:
        """Read all files; see `load`. Numbers that nobody has any more are taken out of the gate."""
        problems = self.load(self._places.routers(), self._places.elections())
        if not problems:
            known = {router.number for router in self.routers.values()}
            problems = self._settle(self._gate.standby - known)
        return problems

    def refresh(self) -> None:
        """Once a second: compare the gate with what it should be, announce some routers again."""
        self._gate.read()
        self._settle()
        self._look_at_underlay()
        self._second += 1
        for router in decide.to_remind(self.routers.values(), self._gate.standby, self._second):
            if router.id not in self._round:
                self._announcer.announce(router, ((p, announce.first_addresses(p)) for p in router.ports))
                self._announcer.finish(router.id)

    def follow(self, id_: str) -> None:
        """Take what an election's keepalived said."""
        watch = self.watches[id_]
        descriptor = watch.pipe.fileno()
        changed = watch.read()
        if watch.pipe.fileno() != descriptor:
            self._loop.forget(descriptor)
            self._loop.on_readable(watch.pipe, lambda: self.follow(id_))
        if changed:
            problems = self._settle()
            if watch.standing.state == "active":
                watch.measure_gap(time.monotonic())
            elif watch.standing.rival:
                self._say_closed(watch)
            self._tell(watch, problems)

    def is_open(self, router: Router) -> bool:
        """Return whether the gate of a router is open."""
        return router.number not in self._gate.standby

    def standings(self) -> dict[str, Standing]:
        """Return what this host is in each election."""
        return {id_: watch.standing for id_, watch in self.watches.items()}

    def _tell(self, watch: Watch, problems: dict[str, str]) -> None:
        standing = watch.standing
        log.info("election %s: %s: %s", standing.id, standing.state, standing.cause)
        for id_, problem in problems.items():
            log.error("router %s: %s", id_, problem)
        self._publish({"election": standing})
        try:
            watch.save()
        except OSError as error:
            log.error("election %s: its standing is not kept: %s", standing.id, error)

    def _load_election(self, id_: str, problems: dict[str, str]) -> None:
        try:
            wanted = records.read(self._places.election(id_), Election)
            known = self.watches.get(id_)
            if known and wanted == known.election:
                if wanted.yields_to:
                    known.adverts.listen_anew()
                return
            if known:
                self._drop(id_, forget=wanted is None)
            if wanted:
                self._add(wanted)
        except (OSError, ValueError) as error:
            problems[id_] = str(error)

    def _add(self, election: Election) -> None:
        watch = self.watches[election.id] = Watch(election, self._places)
        self._loop.on_readable(watch.pipe, lambda: self.follow(election.id))
        self._loop.on_readable(watch.adverts, partial(self._hear, watch))
        self._tell(watch, {})
        if election.underlay:
            if election.underlay != self._underlay.device:
                self._underlay.watch(election.underlay)
            # What a switch before this one did is done again: it may have died in between.
            watch.cut = self._underlay.has_carrier
            watch.cut_off(not self._underlay.has_carrier)

    def _hear(self, watch: Watch) -> None:
        """Take another candidate's advert: when this host is active too, one of the two is about to give up.

        If it is the other, bridges must learn again that the routers are here, now and when it has closed.
        Its adverts show which: if it is this one, an announcement would lead them astray until it ends.
        """
        heard = watch.adverts.read()
        if heard is None:
            return
        if watch.cut and self._underlay.has_carrier:
            self._take_part_again(self._cable_pulled)
        if watch.election.yields_to:
            self._publish({"heard": watch.election.id})
        if watch.standing.state != "active":
            return
        what = "is active too" if heard.priority else "was active too and has closed"
        log.warning("election %s: %s %s", watch.election.id, heard.host, what)
        if heard.priority <= watch.election.priority or not watch.election.priority:
            self._win(watch)
        self._loop.later(_HEAR_AGAIN, partial(self._hear_again, watch))

    def _win(self, watch: Watch) -> None:
        """Announce an election's routers where another host was active too and is about to close, or has."""
        here = self._open_here(watch.election.id)
        self._show_addresses(frozenset(router.number for router in here if router.draining))
        for router in here:
            self._announce(router, announce.REPEATS_OF_WINNER)

    def _say_closed(self, watch: Watch) -> None:
        """Have the one that stays announce itself: while both were active bridges learned from here."""
        try:
            watch.adverts.say_closed()
        except OSError as error:
            log.error("election %s: %s is not told of it: %s", watch.election.id, watch.standing.rival, error)

    def insist(self, elections: Iterable[str]) -> None:
        """Announce routers again and again: another host is active too, until it yields."""
        for id_ in elections:
            for router in self._open_here(id_):
                self._announce(router, announce.REPEATS_OF_INSISTING)

    def _open_here(self, election: str) -> list[Router]:
        """Return the routers that an election has opened."""
        return [
            router
            for router in self.routers.values()
            if router.election == election and router.gate == "election" and self.is_open(router)
        ]

    def _show_addresses(self, numbers: frozenset[int]) -> None:
        """Let routers that drain send with their own address for a moment.

        They are the only ones that forward until their successor opens, and an announcement whose source is
        rewritten teaches nobody.
        """
        if numbers:
            self._shown |= numbers
            self._settle()
            self._loop.later(_SHOWN_SECONDS, partial(self._hide_addresses, numbers))

    def _hide_addresses(self, numbers: frozenset[int]) -> None:
        self._shown -= numbers
        self._settle()

    def _hear_again(self, watch: Watch) -> None:
        if self.watches.get(watch.election.id) is watch and watch.standing.state == "active":
            watch.adverts.listen_anew()

    def _look_at_underlay(self) -> None:
        """Give up all elections when the underlay's cable is pulled; wait a moment when it is back.

        The others' hosts may not have found this one again yet: who hears nobody would promote itself.
        """
        if not self._underlay.look():
            return
        if self._underlay.has_carrier:
            log.info("the underlay %s has a carrier again", self._underlay.device)
            self._loop.later(_CABLE_SECONDS, partial(self._take_part_again, self._cable_pulled))
            return
        self._cable_pulled += 1
        log.warning("the underlay %s has no carrier", self._underlay.device)
        self._cut_off(True)

    def _take_part_again(self, pulled: int) -> None:
        """Take part in elections again, unless the cable was pulled once more."""
        if pulled == self._cable_pulled and self._underlay.has_carrier:
            self._cut_off(False)

    def _cut_off(self, cut: bool) -> None:
        for watch in self.watches.values():
            try:
                if watch.election.underlay:
                    watch.cut_off(cut)
            except OSError as error:
                log.error("election %s: its device: %s", watch.election.id, error)

    def _drop(self, id_: str, forget: bool) -> None:
        watch = self.watches.pop(id_)
        self._loop.forget(watch.pipe.fileno())
        self._loop.forget(watch.adverts.fileno())
        watch.close(forget)

    def _load_router(self, id_: str, problems: dict[str, str]) -> None:
        try:
            router = records.read(self._places.router(id_), Router)
        except ValueError as error:
            problems[id_] = str(error)  # what is known stays
            return
        if router:
            self.routers[id_] = router
        else:
            self.routers.pop(id_, None)
            self._round.pop(id_, None)
            self._announcer.finish(id_)

    def _settle(self, gone: frozenset[int] = frozenset()) -> dict[str, str]:
        """Make the gates as they should be, then announce what opened; return what failed.

        `gone` are the numbers of routers that are not here any more.
        """
        began = time.perf_counter()
        was = self._gate.standby
        routers = self.routers.values()
        standby = decide.standby(routers, self.standings(), was, gone)
        draining = frozenset(router.number for router in routers if router.draining) - self._shown
        try:
            self._gate.apply(standby, draining)
        except (GateError, OSError) as error:
            return {router.id: f"its gate is not as it should be: {error}" for router in routers}
        switched = [r for r in routers if (r.number in was) != (r.number in standby)]
        opened = [router for router in switched if router.number not in standby]
        problems = {}
        for router in opened:
            problem = self._announce(router)
            if problem:
                problems[router.id] = problem
        if switched:
            took = (time.perf_counter() - began) * 1000
            log.info("opened %d, closed %d gates in %.2f ms", len(opened), len(switched) - len(opened), took)
            self._publish({"routers": {router.id: self.is_open(router) for router in switched}})
        return problems

    def _announce(self, router: Router, repeats: Sequence[float] = announce.REPEATS) -> str:
        """Announce a router's ports now, and again later as long as its gate is open."""
        round_ = self._round[router.id] = self._round.get(router.id, 0) + 1
        problem = self._announcer.announce(router, ((p, announce.first_addresses(p)) for p in router.ports))
        for seconds in repeats:
            last = seconds == repeats[-1]
            self._loop.later(seconds, partial(self._repeat, router.id, round_, last))
        return problem

    def _repeat(self, id_: str, round_: int, last: bool) -> None:
        router = self.routers.get(id_)
        if self._round.get(id_) != round_:
            return
        if router and self.is_open(router):
            self._announcer.announce(router, ((p, list(p.addresses)) for p in router.ports))
        if last or router is None or not self.is_open(router):
            self._announcer.finish(id_)
            del self._round[id_]

    def _announce_new(self, before: dict[str, Router | None]) -> None:
        """Announce the addresses that open routers have got, and routers that are to be announced again.

        And again: a floating IP that comes from the host of its instance may still be announced there.
        """
        for id_, old in before.items():
            new = self.routers.get(id_)
            if old is None or new is None or not self.is_open(new):
                continue
            if old.gate == new.gate == "open" and old.renewed != new.renewed and not new.draining:
                self._announce(new, announce.REPEATS_AFTER_RETURN)
            had = {(port.device, address) for port in old.ports for address in port.addresses}
            news = [(p, [a for a in p.addresses if (p.device, a) not in had]) for p in new.ports]
            if any(addresses for _, addresses in news):
                self._announcer.announce(new, news)
                self._announce(new)

    def _tell_of_new(self, before: dict[str, Router | None]) -> None:
        """Tell which routers have come, and how their gate is, and which are gone."""
        news: dict[str, bool | None] = {}
        for id_, old in before.items():
            new = self.routers.get(id_)
            if new is None:
                news[id_] = None
            elif old is None:
                news[id_] = self.is_open(new)
        if news:
            self._publish({"routers": news})

    def _write_fence(self, id_: str) -> None:
        """Keep ready what closes the gates of an election when there is no switch."""
        numbers = [r.number for r in self.routers.values() if r.election == id_ and r.gate == "election"]
        try:
            if id_ in self.watches:
                records.replace(self._places.fence(id_), records.fence_text(TABLE, numbers))
        except OSError as error:
            log.error("election %s: its fence is not written: %s", id_, error)
