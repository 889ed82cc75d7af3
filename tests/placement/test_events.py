"""Events are kept with their words, the newest of them, and are named in the change log."""

from sqlalchemy import select

from deuteron.placement import events
from deuteron.resources.hosts import event
from deuteron.store import Database, Tx, feed


def test_an_event_is_stored_and_named_in_the_change_log(db: Database) -> None:
    before = db.read_now(feed.head)
    host = events.of_host("net1")
    id_ = db.write_now(
        lambda tx: events.note(tx, "host_dead", host, "silent for 10 s", host="net1", data={"seconds": 10})
    )
    row = db.read_now(lambda tx: tx.execute(select(event)).one())
    assert (row.id, row.kind, row.subject_kind, row.subject_name) == (id_, "host_dead", "host", "net1")
    assert (row.host, row.text, row.data) == ("net1", "silent for 10 s", {"seconds": 10})
    changes, _ = db.read_now(lambda tx: feed.read(tx, before))
    assert ("event", str(id_)) in [(change.kind, change.object_id) for change in changes]


def test_the_oldest_events_are_trimmed(db: Database) -> None:
    def many(tx: Tx) -> list[int]:
        ids = [events.note(tx, "host_back", events.of_host("net1"), f"{number}") for number in range(20)]
        events.trim(tx, 5)
        return ids

    ids = db.write_now(many)
    assert (
        db.read_now(lambda tx: tx.execute(select(event.c.id).order_by(event.c.id)).scalars().all())
        == ids[-5:]
    )
