"""One stock key as its clients see it: what each operation does, and which answers each state allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tests.faults.linearizability import Operation, Verdict, judge


@dataclass(frozen=True)
class Reserve:
    """Takes units for an order; answered with the reservation's id, or "" where there were too few."""

    quantity: int


@dataclass(frozen=True)
class Consume:
    """Sells a reservation's units; answered with whether it did."""

    reservation: str
    quantity: int


@dataclass(frozen=True)
class Cancel:
    """Gives a reservation's units back; answered with whether it did."""

    reservation: str
    quantity: int


@dataclass(frozen=True)
class QueryBalance:
    """Asks for the balance; answered with a Balance."""


class Balance(NamedTuple):
    """Units of the key's only pool."""

    available: int
    held: int
    consumed: int


Asked: TypeAlias = Reserve | Consume | Cancel | QueryBalance
Answered: TypeAlias = str | bool | Balance


class Stock(NamedTuple):
    """The key's state."""

    balance: Balance
    held: frozenset[str] = frozenset()
    """Reservations that are neither consumed nor cancelled."""


def step(stock: Stock, asked: Asked, answered: Answered | None) -> Stock | None:
    """The state after an operation; None where the answer contradicts the state."""
    available, held, consumed = stock.balance
    match asked:
        case Reserve(quantity):
            if answered == "":
                return stock if available < quantity else None
            if available < quantity:
                return None
            balance = Balance(available - quantity, held + quantity, consumed)
            # One that was never answered has no name that anybody could use.
            return Stock(balance, stock.held | {answered} if isinstance(answered, str) else stock.held)
        case Consume(reservation, quantity) | Cancel(reservation, quantity):
            if answered is False or (answered is None and reservation not in stock.held):
                return stock if reservation not in stock.held else None
            if reservation not in stock.held:
                return None
            sold = quantity if isinstance(asked, Consume) else 0
            balance = Balance(available + quantity - sold, held - quantity, consumed + sold)
            return Stock(balance, stock.held - {reservation})
        case QueryBalance():
            return stock if answered is None or answered == stock.balance else None


def judge_stock(history: list[Operation[Asked, Answered]], units: int) -> Verdict:
    """Judges the history of a key that began with so many units."""
    return judge(history, Stock(Balance(units, 0, 0)), step)
