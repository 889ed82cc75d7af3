"""Transactions: all or nothing, again when they lost a race, each read one snapshot."""

import asyncio
import threading

import pytest
from sqlalchemy import Integer, cast, func, insert, select

from deuteron.store import Database, DatabaseError, Tx
from deuteron.store.lease import lease

ROW = {"holder": "h", "epoch": 1, "expires": 0.0}


def _count(tx: Tx) -> int:
    return int(tx.execute(select(func.count()).select_from(lease)).scalar_one())


def test_what_raises_leaves_nothing(db: Database) -> None:
    def fail(tx: Tx) -> None:
        tx.execute(insert(lease), {"name": "x", **ROW})
        raise KeyError("no")

    with pytest.raises(KeyError):
        db.write_now(fail)
    assert db.read_now(_count) == 0


def test_a_write_that_met_a_unique_value_is_tried_again(db: Database) -> None:
    attempts = []

    def work(tx: Tx) -> None:
        attempts.append(_count(tx))
        tx.execute(insert(lease), {"name": f"n{len(attempts) // 3}", **ROW})

    db.write_now(lambda tx: tx.execute(insert(lease), {"name": "n0", **ROW}))
    db.write_now(work)
    assert attempts == [1, 1, 1]
    assert db.read_now(_count) == 2


def test_a_read_sees_one_snapshot(db: Database) -> None:
    def work(tx: Tx) -> tuple[int, int]:
        before = _count(tx)
        writer = threading.Thread(
            target=lambda: db.write_now(lambda other: other.execute(insert(lease), {"name": "x", **ROW}))
        )
        writer.start()
        writer.join()
        return before, _count(tx)

    assert db.read_now(work) == (0, 0)
    assert db.read_now(_count) == 1


def test_concurrent_increments_are_all_counted(db: Database) -> None:
    """They deadlock or fail to lock now and then; none is lost."""
    db.write_now(lambda tx: tx.execute(insert(lease), [{"name": "a", **ROW}, {"name": "b", **ROW}]))

    def increment(order: tuple[str, str]) -> None:
        def work(tx: Tx) -> None:
            for name in order:
                tx.execute(lease.update().where(lease.c.name == name).values(epoch=lease.c.epoch + 1))

        for _ in range(10):
            db.write_now(work)

    orders = [("a", "b"), ("b", "a")] * 2
    threads = [threading.Thread(target=increment, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = db.read_now(lambda tx: tx.execute(select(cast(func.sum(lease.c.epoch), Integer))).scalar_one())
    assert total == 2 + 2 * 40


def test_one_hop_for_a_whole_transaction(db: Database) -> None:
    async def main() -> int:
        await db.write(lambda tx: tx.execute(insert(lease), {"name": "x", **ROW}))
        return await db.read(_count)

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_wrong_urls_are_refused(url: str) -> None:
    with pytest.raises(DatabaseError):
        Database(url)


def test_what_is_read_once_is_read_again_after_a_change(db: Database) -> None:
    def work(tx: Tx) -> list[int]:
        numbers = iter(range(10))

        def read() -> int:
            return tx.once("network", "n", lambda: next(numbers))

        seen = [read(), read()]
        tx.changed("port", "p", "create")
        seen.append(read())
        tx.changed("network", "n", "update")
        return [*seen, read()]

    assert db.write_now(work) == [0, 0, 0, 1]
