"""Whether a router's gate is open: a pure decision, with its reason."""

from collections.abc import Iterable, Mapping

from deuteron.agent.l3.switch.records import Router, Standing

OPEN, CLOSED, KEEP = "open", "closed", "keep"
REMIND_SECONDS = 60
"""Each open router is announced again once in so many seconds."""


def gate(router: Router, standing: Standing | None) -> tuple[str, str]:
    """Return OPEN, CLOSED or KEEP (as it is now) for one router, and why."""
    if router.gate == "open":
        return OPEN, "it is the only candidate"
    if router.gate != "election":
        return CLOSED, "the plan holds it closed"
    if router.draining:
        return KEEP, "it leaves this host"
    if standing is None:
        return KEEP, f"nothing is known of election {router.election}"
    if standing.state == "active":
        return OPEN, standing.cause
    return CLOSED, standing.cause


def standby(
    routers: Iterable[Router],
    standings: Mapping[str, Standing],
    now: frozenset[int],
    gone: frozenset[int] = frozenset(),
) -> frozenset[int]:
    """Return the numbers of those whose gate is closed, when those of `now` are so now.

    What is closed and belongs to no router that is known stays so, unless it is in `gone`.
    """
    closed = set(now - gone)
    for router in routers:
        verdict, _ = gate(router, standings.get(router.election or ""))
        if verdict == CLOSED:
            closed.add(router.number)
        elif verdict == OPEN:
            closed.discard(router.number)
    return frozenset(closed)


def to_remind(routers: Iterable[Router], standby: frozenset[int], second: int) -> list[Router]:
    """Return the open routers whose turn it is to be announced again in a second; evenly spread.

    Bridges that learned wrongly, while a router was open twice for a moment, would not know it otherwise.
    What a router that drains sends has another source address, and teaches nobody.
    """
    turn = second % REMIND_SECONDS
    return [
        router
        for router in routers
        if router.number % REMIND_SECONDS == turn and router.number not in standby and not router.draining
    ]
