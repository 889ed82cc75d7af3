"""A lease has one holder; who lost it cannot write."""

import time

import pytest

from deuteron.store import Database, lease
from deuteron.store.lease import Lease, LeaseLost


def _acquire(db: Database, holder: str, ttl: float) -> Lease | None:
    return db.write_now(lambda tx: lease.acquire(tx, "placement", holder, ttl))


def test_only_one_holds_it(db: Database) -> None:
    held = _acquire(db, "a", 60)
    assert held == Lease("placement", "a", 1)
    assert _acquire(db, "b", 60) is None
    assert db.write_now(lambda tx: lease.renew(tx, held, 60))
    db.write_now(lambda tx: lease.fence(tx, held))


def test_an_expired_one_is_taken_with_a_higher_epoch_and_fences_the_old_holder(db: Database) -> None:
    old = _acquire(db, "a", 0.05)
    assert old
    time.sleep(0.2)
    new = _acquire(db, "b", 60)
    assert new == Lease("placement", "b", 2)
    assert not db.write_now(lambda tx: lease.renew(tx, old, 60))
    with pytest.raises(LeaseLost):
        db.write_now(lambda tx: lease.fence(tx, old))


def test_one_given_back_is_free_at_once(db: Database) -> None:
    held = _acquire(db, "a", 60)
    assert held
    db.write_now(lambda tx: lease.release(tx, held))
    assert _acquire(db, "b", 60) == Lease("placement", "b", 2)
