"""What routers have counted, over all hosts and new beginnings."""

from deuteron.resources import metering, metering_counts, rows
from deuteron.resources.call import Call
from deuteron.resources.metering_counts import Count
from deuteron.settings import ServerSettings
from deuteron.store import Database, Tx

ROUTER = "4d3c0001-0000-4000-8000-000000000003"


def test_counts_are_summed_and_never_shrink(db: Database) -> None:
    def made(tx: Tx) -> str:
        values = {"name": "web", "description": "", "project_id": "p", "shared": False}
        return str(rows.create(Call(tx=tx, settings=ServerSettings()), metering.labels, values)["id"])

    label = db.write_now(made)

    def told(host: str, packets: int, size: int) -> None:
        counts = [Count(ROUTER, label, packets, size), Count(ROUTER, "gone", 1, 1)]
        db.write_now(lambda tx: metering_counts.note(tx, host, 1000.0 + packets, counts))

    def shown() -> list[tuple[str, int, int]]:
        found = db.read_now(lambda tx: metering_counts.listing(Call(tx=tx, settings=ServerSettings())))
        return [(one.label_name, one.packets, one.bytes) for one in found.metering]

    assert shown() == []
    told("net1", 10, 1000)
    told("net1", 30, 3000)
    assert shown() == [("web", 30, 3000)]
    told("net2", 5, 500)
    assert shown() == [("web", 35, 3500)]
    told("net1", 1, 100)  # it was made anew there
    told("net1", 2, 200)
    assert shown() == [("web", 37, 3700)]
