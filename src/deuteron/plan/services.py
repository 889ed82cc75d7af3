"""What a router does besides forwarding."""

from deuteron.plan.rows import Router
from deuteron.plan.state import State
from deuteron.plan.units import Meter, Services


def of_router(state: State, row: Router) -> Services:
    """Return what a router does besides, the same in all its twins."""
    labels = (*state.metering_labels.by("project", row.project), *state.metering_labels.by("project", None))
    meters = [Meter(id=label.id, rules=label.rules) for label in labels if label.rules]
    return Services(
        helpers=row.helpers,
        ndp_proxy=row.ndp_proxy,
        proxied=row.proxied if row.ndp_proxy else (),
        logs=tuple(sorted((one.log for one in state.logs.by("router", row.id)), key=lambda log: log.id)),
        meters=tuple(sorted(meters, key=lambda meter: meter.id)),
    )
