"""The pure ledger as a System."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ringfence_server.ledger import commands, outcomes
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import (
    Fallback,
    LeaseBounds,
    Location,
    LocationKind,
    PathRule,
    Policy,
)
from ringfence_server.ledger.state import Part, Reservation
from tests.ledger.engine import ORGANIZATION, SECOND, START, Engine
from tests.properties import system
from tests.properties.system import (
    DEFAULT_LEASE,
    LOCATIONS,
    MAX_LEASE,
    MAX_TOTAL_HOLD,
    NEVER,
    Answer,
    Balance,
    Balances,
    Done,
    LineView,
    Operation,
    OrderView,
    Refused,
    Rules,
    Short,
)

_REASONS: Final = {
    outcomes.Insufficient: "INSUFFICIENT_QUANTITY",
    outcomes.LeaseExpired: "LEASE_EXPIRED",
    outcomes.NotHeld: "NOT_HELD",
    outcomes.StockNotFound: "STOCK_NOT_FOUND",
    outcomes.ReservationNotFound: "RESERVATION_NOT_FOUND",
    outcomes.ValueMismatch: "VALUE_MISMATCH",
    outcomes.OrderReferenceInUse: "ORDER_REFERENCE_IN_USE",
}


def policy_of(rules: Rules) -> Policy:
    """The rules as the ledger's policy."""
    fallback, quota, sales = dict(rules.fallback), dict(rules.quota_caps), dict(rules.sales_caps)
    widest = {path: Fallback.ANCESTORS if may else Fallback.NONE for path, may in fallback.items()}
    return Policy(
        leases=LeaseBounds(
            DEFAULT_LEASE * SECOND,
            MAX_LEASE * SECOND,
            MAX_TOTAL_HOLD * SECOND,
            allow_never=rules.allow_never,
            revive_by_default=rules.revive_by_default,
        ),
        path_rules=tuple(
            PathRule(path, widest.get(path), quota.get(path), sales.get(path))
            for path in sorted({*fallback, *quota, *sales})
        ),
        locations=tuple(Location(name, LocationKind.TILL) for name in sorted(rules.tills)),
        location_order=LOCATIONS,
        allow_split=rules.allow_split,
    )


def order_view(order: Reservation) -> OrderView:
    """A reservation in the words of ``system``."""
    ends = None if order.expire_time is None else (order.expire_time - START) // SECOND
    lines = []
    for parts in order.lines().values():
        lines.append(
            LineView(
                parts[0].requested,
                sum(part.granted for part in parts),
                sum(part.cancelled for part in parts),
                sum(part.expired for part in parts),
                _places(parts, "held"),
                _places(parts, "unsettled"),
                _places(parts, "settled"),
            )
        )
    return OrderView(order.state.name, ends, order.order_reference, tuple(lines))


def _places(parts: Iterable[Part], name: str) -> tuple[tuple[str, str, int], ...]:
    places = ((part.stock.key.location, part.path, getattr(part, name)) for part in parts)
    return tuple(sorted(place for place in places if place[2]))


class LedgerSystem:
    """Decides on an Engine, which checks conservation and the ledger's sums after every command by itself."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._orders: list[Reservation] = []

    def start(self, rules: Rules) -> None:
        self.engine = Engine(policy_of(rules))
        self._orders = []

    def apply(self, operation: Operation) -> Answer:
        decision = self.engine.decide(self._command(operation))
        match decision:
            case outcomes.PoolsChanged():
                return Done(decision.quantities)
            case outcomes.Reserved():
                return Done(order=self._keep(decision.reservation), full=decision.full)
            case outcomes.Updated():
                return Done(order=order_view(decision.reservation))
            case outcomes.Consumed():
                view = self._keep(decision.reservation)
                return Done(tuple(units for _, units in decision.quantities), view, at_risk=decision.at_risk)
            case outcomes.Cancelled():
                return Done(tuple(line.quantity for line in decision.lines), order_view(decision.reservation))
            case outcomes.Posted():
                return Done(figures=tuple((each.result.name, each.value) for each in decision.outcomes))
            case outcomes.PolicySet():
                return Done()
            case outcomes.Insufficient():
                return Refused(_REASONS[type(decision)], tuple(_short(each) for each in decision.shortages))
            case outcomes.Invalid():
                return Refused(decision.violations[0].rule)
            case _:
                return Refused(_REASONS[type(decision)])

    def advance(self, seconds: int) -> None:
        self.engine.advance(seconds=seconds)

    def balances(self) -> Balances:
        return {
            (key.sku, key.location, pool.path): Balance(pool.free, pool.held, pool.unsettled, pool.consumed)
            for key, stock in self.engine.stocks.items()
            for pool in stock.pools.values()
        }

    def order(self, number: int) -> OrderView:
        return order_view(self._orders[number])

    @property
    def orders(self) -> int:
        """How many orders were made."""
        return len(self._orders)

    def measures(self) -> dict[tuple[str, str, str], int]:
        """(sku, location, measure) → value in force."""
        return {
            (key.sku, key.location, name): value.value
            for key, stock in self.engine.stocks.items()
            for name, value in stock.measures.items()
        }

    def taken(self) -> dict[tuple[str, str, str], int]:
        """(sku, location, asking path) → units held or sold, from the orders."""
        taken: Counter[tuple[str, str, str]] = Counter()
        for order in self._orders:
            for part in order.parts:
                taken[part.stock.key.sku, part.stock.key.location, part.asked_path] += part.held + part.sold
        return taken

    def verify(self) -> None:
        """Done by the Engine after every command."""

    def close(self) -> None:
        """Nothing to close."""

    def _keep(self, order: Reservation) -> OrderView:
        if not any(known is order for known in self._orders):
            self._orders.append(order)
        return order_view(order)

    def _command(self, operation: Operation) -> commands.Command:
        match operation:
            case system.Post(figures):
                return commands.PostStock("wms", tuple(_figure(figure) for figure in figures))
            case system.Allocate(lines):
                return commands.Allocate(
                    tuple(
                        commands.AllocationLine(_key(line.sku, line.location), line.path, line.quantity or 0)
                        for line in lines
                    )
                )
            case system.Unallocate(lines):
                return commands.Unallocate(
                    tuple(
                        commands.UnallocationLine(_key(line.sku, line.location), line.path, line.quantity)
                        for line in lines
                    )
                )
            case system.Reallocate(shifts):
                return commands.Reallocate(
                    tuple(
                        commands.ReallocationLine(
                            _key(each.sku, each.location), each.source, each.target, each.quantity
                        )
                        for each in shifts
                    )
                )
            case system.Reserve():
                lease = _lease(operation.ttl)
                return commands.Reserve(_lines(operation.lines), "", lease, operation.partial, operation.split)
            case system.Sell():
                return commands.ConsumeDirect(_lines(operation.lines), "", operation.split, operation.reference, b"")
            case system.Update():
                return commands.UpdateReservation(
                    self._id(operation.order),
                    0,
                    None if operation.lines is None else _amounts(operation.lines),
                    None if operation.ttl is None else _lease(operation.ttl),
                    None,
                    operation.split,
                )
            case system.Consume():
                return commands.Consume(
                    self._id(operation.order),
                    _amounts(operation.lines),
                    operation.release_rest,
                    operation.revive,
                    operation.reference,
                    b"",
                )
            case system.Cancel():
                reason = commands.CancelReason.UNSPECIFIED
                return commands.Cancel(self._id(operation.order), _amounts(operation.lines), reason, "")
            case system.Decree(rules):
                tills = frozenset(location.name for location in self.engine.policy.locations)
                return commands.SetPolicy(policy_of(replace(rules, tills=tills)), self.engine.policy.revision)

    def _id(self, number: int) -> bytes:
        return self._orders[number].reservation_id


def _key(sku: str, location: str) -> StockKey:
    return StockKey(ORGANIZATION, sku, location)


def _lease(ttl: int | None) -> commands.Lease:
    if ttl == NEVER:
        return commands.Lease(never=True)
    return commands.Lease() if ttl is None else commands.Lease(ttl=ttl * SECOND)


def _figure(figure: system.Figure) -> commands.Figure:
    key = _key(figure.sku, figure.location)
    return commands.Figure(key, figure.measure, figure.amount, figure.delta, figure.position, None, figure.expected)


def _lines(lines: Iterable[system.Line]) -> tuple[commands.ReserveLine, ...]:
    fallback = {None: None, True: Fallback.ANCESTORS, False: Fallback.NONE}
    return tuple(
        commands.ReserveLine(
            str(number), _key(line.sku, line.location), line.path, line.quantity, fallback[line.fallback]
        )
        for number, line in enumerate(lines, 1)
    )


def _amounts(amounts: Iterable[system.Amount]) -> tuple[commands.LineQuantity, ...]:
    return tuple(commands.LineQuantity(str(number + 1), quantity) for number, quantity in amounts)


def _short(shortage: outcomes.Shortage) -> Short:
    return Short(
        int(shortage.line_id) - 1,
        shortage.requested,
        shortage.available,
        shortage.available_with_fallback,
        shortage.reason.name,
    )
