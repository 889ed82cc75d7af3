"""The change log is complete, in whatever order transactions commit."""

import random
import threading
import time

import pytest

from deuteron.store import Change, Cursor, Database, TooOld, Tx, feed


def _change(db: Database, kind: str, object_id: str) -> None:
    db.write_now(lambda tx: tx.changed(kind, object_id, "update"))


def _read_all(db: Database, cursor: Cursor) -> tuple[list[Change], Cursor]:
    return db.read_now(lambda tx: feed.read(tx, cursor))


def test_a_change_is_read_once_and_in_order(db: Database) -> None:
    cursor = db.read_now(feed.head)
    for number in range(5):
        _change(db, "network", str(number))
    changes, cursor = _read_all(db, cursor)
    assert [change.object_id for change in changes] == ["0", "1", "2", "3", "4"]
    assert _read_all(db, cursor) == ([], cursor)


def test_the_head_is_behind_what_is_committed(db: Database) -> None:
    _change(db, "network", "before")
    cursor = db.read_now(feed.head)
    _change(db, "network", "after")
    assert _read_all(db, cursor)[0] == [Change("network", "after", "update")]


def test_what_is_rolled_back_is_not_in_the_log(db: Database) -> None:
    cursor = db.read_now(feed.head)

    def fail(tx: Tx) -> None:
        tx.changed("network", "x", "create")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        db.write_now(fail)
    _change(db, "network", "y")
    assert [change.object_id for change in _read_all(db, cursor)[0]] == ["y"]


def test_eight_concurrent_writers_and_no_change_is_missed(db: Database) -> None:
    """Transactions end in another order than they began, in several objects each."""
    cursor = db.read_now(feed.head)
    written: set[str] = set()
    seen: list[str] = []
    lock = threading.Lock()

    def write(writer: int) -> None:
        chance = random.Random(writer)
        for number in range(60):
            ids = [f"{writer}-{number}-{part}" for part in range(chance.randint(1, 3))]

            def work(tx: Tx, ids: list[str] = ids) -> None:
                tx.changed("port", ids[0], "create")
                feed.append(
                    tx, [Change("port", ids[0] + "-early", "create")]
                )  # takes its id before the sleep
                if tx.dialect == "postgresql":
                    time.sleep(chance.random() * 0.005)
                for one in ids[1:]:
                    tx.changed("port", one, "create")

            db.write_now(work)
            with lock:
                written.update([*ids, ids[0] + "-early"])

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in writers:
        thread.start()
    while any(thread.is_alive() for thread in writers):
        changes, cursor = _read_all(db, cursor)
        seen += [change.object_id for change in changes]
    for thread in writers:
        thread.join()
    for _ in range(100):
        changes, cursor = _read_all(db, cursor)
        seen += [change.object_id for change in changes]
        if len(seen) >= len(written):
            break
    assert set(seen) == written
    assert len(seen) == len(written), "a change was delivered twice"


def test_a_cursor_behind_what_was_trimmed_is_too_old(db: Database) -> None:
    old = db.read_now(feed.head)
    for number in range(10):
        _change(db, "network", str(number))
    assert db.write_now(lambda tx: feed.trim(tx, kept=3)) == 7
    with pytest.raises(TooOld):
        _read_all(db, old)
    head = db.read_now(feed.head)
    _change(db, "network", "new")
    assert [change.object_id for change in _read_all(db, head)[0]] == ["new"]


def test_the_doorbell_rings_after_the_commit(db: Database) -> None:
    rung = threading.Event()
    db.on_commit(rung.set)
    time.sleep(0.2)
    rung.clear()
    _change(db, "network", "x")
    assert rung.wait(100)


def test_other_controllers_hear_the_doorbell(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        return  # one controller only
    here, there = Database(database_url), Database(database_url)
    try:
        rung = threading.Event()
        there.on_commit(rung.set)
        time.sleep(1)
        rung.clear()
        _change(here, "network", "x")
        assert rung.wait(100)
    finally:
        here.close()
        there.close()
