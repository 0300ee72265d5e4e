"""What stands in the way of a new policy: read whole, for SetPolicy alone."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import distinct, func, select

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.outcomes import OpenSales, QuotaInUse
from ringfence_server.ledger.work import PolicyUse

from . import schema
from .codec import dimensions_of
from .driver import DriverConnection
from .slots import Slots


def policy_use(connection: DriverConnection, slots: Slots, organization: str) -> PolicyUse:
    """What stands in the way of a new policy of this organization: one living pool per path, dimension names."""
    stock, pool, within = schema.stock, schema.pool, slots.within
    allocated = (pool.c.free + pool.c.held).label("allocated")
    # Of each path the pool with most in it: an example to name.
    rank = func.row_number().over(partition_by=pool.c.path, order_by=(allocated.desc(), pool.c.stock_id))
    ranked = (
        select(
            stock.c.sku,
            stock.c.location,
            stock.c.dimensions,
            pool.c.path,
            allocated,
            pool.c.held,
            pool.c.unsettled,
            rank.label("rank"),
        )
        .join(pool, (pool.c.slot == stock.c.slot) & (pool.c.stock_id == stock.c.stock_id))
        .where(
            within(stock.c.slot),
            stock.c.organization == organization,
            pool.c.pool_id != 0,
            pool.c.living | (pool.c.held > 0) | (pool.c.unsettled > 0),
        )
        .subquery("ranked")
    )
    rows = connection.execute(select(ranked).where(ranked.c.rank == 1))
    quotas = [
        QuotaInUse(StockKey(organization, sku, location, dimensions_of(dimensions)), path, *units)
        for sku, location, dimensions, path, *units, _ in rows
    ]
    unsettled = connection.execute(
        select(stock.c.location, func.sum(pool.c.unsettled), func.count(distinct(stock.c.stock_id)))
        .join(pool, (pool.c.slot == stock.c.slot) & (pool.c.stock_id == stock.c.stock_id))
        .where(within(stock.c.slot), stock.c.organization == organization, pool.c.unsettled > 0)
        .group_by(stock.c.location)
    )
    open_sales = {location: OpenSales(int(units), keys, 0) for location, units, keys in unsettled}
    if open_sales:
        for location, sales in _open_sales(connection, slots, organization):
            open_sales[location] = open_sales[location]._replace(sales=sales)
    texts = connection.execute(
        select(stock.c.dimensions)
        .distinct()
        .where(within(stock.c.slot), stock.c.organization == organization, stock.c.dimensions != "")
    )
    names = {name for (text,) in texts for name, _ in dimensions_of(text)}
    return PolicyUse(quotas, names, open_sales)


def _open_sales(connection: DriverConnection, slots: Slots, organization: str) -> Iterable[tuple[str, int]]:
    """By location how many sales have units that no figure contains: found by the index of those that a figure may
    still move, which all of them are."""
    sale, part, stock = schema.till_sale, schema.part, schema.stock
    rows = connection.execute(
        select(stock.c.location, func.count())
        .select_from(sale)
        .join(stock, (stock.c.slot == sale.c.slot) & (stock.c.stock_id == sale.c.awaiting_stock_id))
        .join(
            part,
            (part.c.slot == sale.c.slot)
            & (part.c.reservation_id == sale.c.reservation_id)
            & (part.c.part_number == sale.c.part_number),
        )
        .where(
            slots.within(sale.c.slot),
            sale.c.awaiting_stock_id.is_not(None),
            stock.c.organization == organization,
            part.c.unsettled > 0,
        )
        .group_by(stock.c.location)
    )
    return [(location, sales) for location, sales in rows]
