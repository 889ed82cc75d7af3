"""Answers to how much of the underlay this host reaches, for elections with several active hosts."""

import logging
import threading
from collections.abc import Iterable

from deuteron.agent.context import Context
from deuteron.agent.l3 import reach
from deuteron.plan.units import ContestReport, Election, Network

log = logging.getLogger(__name__)


class Contests:
    """Asks the hosts it knows of, in a thread of its own, once for each contest."""

    def __init__(self, context: Context) -> None:
        """Nothing is asked yet."""
        self._context = context
        self._vteps: dict[str, tuple[str, ...]] = {}
        self._answered: dict[str, float] = {}

    def put(self, network: Network) -> None:
        """Note where a network's other hosts are."""
        self._vteps[network.id] = network.vteps

    def delete(self, network: str) -> None:
        """Forget a network."""
        self._vteps.pop(network, None)

    def others(self, election: Election) -> set[str]:
        """Return the underlay addresses of all other hosts that this one knows of."""
        known = {peer.vtep for peer in election.peers}.union(*self._vteps.values())
        return known - {self._context.local_ip}

    def answer(self, elections: Iterable[Election]) -> None:
        """Begin to answer what is asked, and withdraw answers that nobody asks for any more."""
        asked = {election.id: election for election in elections if election.contested}
        for id_ in self._answered.keys() - asked.keys():
            del self._answered[id_]
            self._context.status.set_contest(id_, None)
        for id_, election in asked.items():
            if self._answered.get(id_) != election.contested:
                self._answered[id_] = election.contested
                work = (id_, election.contested, self.others(election))
                threading.Thread(target=self._ask, args=work, name="reach", daemon=True).start()

    def _ask(self, id_: str, contested: float, addresses: set[str]) -> None:
        try:
            reaches = reach.count(addresses)
        except OSError as error:
            log.error("election %s: the underlay cannot be asked: %s", id_, error)
            reaches = 0
        log.info("election %s is contested: %d of %d hosts answer", id_, reaches, len(addresses))
        self._context.status.set_contest(id_, ContestReport(id=id_, contested=contested, reaches=reaches))
