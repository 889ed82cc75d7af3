"""What is written of a packet: a line for each project whose logs it concerns. Pure."""

from collections.abc import Iterable, Iterator

from deuteron.plan.units import Log

ACCEPT, DROP, SNAT = "ACCEPT", "DROP", "SNAT"


def concerned(logs: Iterable[Log], prefix: str) -> list[Log]:
    """Return the logs of a port that a packet belongs to; `prefix` is what its rule said of it."""
    action, _, group = prefix.partition(" ")
    if action == DROP:
        return [log for log in logs if log.event != ACCEPT]
    return [log for log in logs if log.event != DROP and log.group in ("", group)]


def lines(action: str, logs: Iterable[Log], what: str, packet: str) -> Iterator[str]:
    """Yield a line for each project; `what` names the port or router."""
    by_project: dict[str, list[str]] = {}
    for log in logs:
        by_project.setdefault(log.project, []).append(log.id)
    for project, ids in sorted(by_project.items()):
        yield f"action={action} project_id={project} log_resource_ids={sorted(ids)} {what} pkt={packet}"
