"""What routers do besides forwarding, from the database."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, select

from deuteron.plan import rows as s
from deuteron.plan.units import Helper, MeterRule
from deuteron.resources import conntrack_helper, metering, ndp_proxy
from deuteron.store import Tx, metadata

Ids = Collection[str] | None
"""Of which objects; None for all."""


class Besides(NamedTuple):
    """What one router does."""

    helpers: tuple[Helper, ...]
    ndp_proxy: bool
    proxied: tuple[str, ...]
    multipath: bool


class Loaded:
    """What routers do, by router."""

    def __init__(self, tx: Tx, ids: Ids) -> None:
        helper, proxy = conntrack_helper.resource.table.c, ndp_proxy.resource.table.c
        switched = metadata.tables["router_ndp_proxy"].c
        self._helpers: dict[str, list[Helper]] = defaultdict(list)
        for row in _rows(tx, helper.router_id, ids, helper.helper, helper.protocol, helper.port):
            one = Helper(name=row.helper, protocol=row.protocol, port=row.port)
            self._helpers[row.router_id].append(one)
        self._proxied: dict[str, list[str]] = defaultdict(list)
        for row in _rows(tx, proxy.router_id, ids, proxy.ip_address):
            self._proxied[row.router_id].append(row.ip_address)
        enabled = _rows(tx, switched.id, ids, switched.enable_ndp_proxy)
        self._enabled = {row.id for row in enabled if row.enable_ndp_proxy}
        spread = metadata.tables["router_default_routes"].c
        routes = _rows(tx, spread.id, ids, spread.enable_default_route_ecmp)
        self._multipath = {row.id for row in routes if row.enable_default_route_ecmp}

    def of(self, router: str) -> Besides:
        """Return what a router does, in a lasting order."""
        helpers = sorted(self._helpers[router], key=lambda one: (one.name, one.protocol, one.port))
        proxied = tuple(sorted(self._proxied[router]))
        return Besides(tuple(helpers), router in self._enabled, proxied, router in self._multipath)


def _rows(tx: Tx, key: ColumnElement[str], ids: Ids, *columns: ColumnElement[Any]) -> Iterator[Any]:
    wanted: Select[Any] = select(key, *columns)
    return iter(tx.execute(wanted if ids is None else wanted.where(key.in_(ids))))


def metering_labels(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    """Yield labels of metering with their rules."""
    label, rule = metering.labels.table.c, metering.rules.table.c
    ends = (rule.remote_ip_prefix, rule.source_ip_prefix, rule.destination_ip_prefix)
    rules: dict[str, list[MeterRule]] = defaultdict(list)
    for row in _rows(tx, rule.metering_label_id, ids, rule.direction, rule.excluded, *ends):
        source, destination = metering.ends(row._mapping)
        one = MeterRule(
            direction=row.direction, excluded=row.excluded, source=source, destination=destination
        )
        rules[row.metering_label_id].append(one)
    for row in _rows(tx, label.id, ids, label.project_id, label.shared):
        yield s.MeteringLabel(
            id=row.id,
            project=None if row.shared else row.project_id,
            rules=tuple(sorted(rules[row.id], key=repr)),
        )
