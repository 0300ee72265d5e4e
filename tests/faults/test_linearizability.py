"""The checker itself: it finds what is wrong with histories known to be bad, and nothing in good ones."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from tests.faults.linearizability import Operation
from tests.faults.stock_history import (
    Answered,
    Asked,
    Balance,
    Cancel,
    Consume,
    QueryBalance,
    Reserve,
    Stock,
    judge_stock,
    step,
)


def op(asked: Asked, answered: Answered | None, start: float, end: float = math.inf) -> Operation[Asked, Answered]:
    return Operation(asked, answered, start, end)


BAD: dict[str, tuple[int, list[Operation[Asked, Answered]]]] = {
    "the last unit given out twice": (1, [op(Reserve(1), "a", 0, 3), op(Reserve(1), "b", 1, 2)]),
    "a refusal while there was enough all the time": (5, [op(Reserve(1), "a", 0, 2), op(Reserve(4), "", 1, 3)]),
    "a stale read": (5, [op(Reserve(2), "a", 0, 1), op(QueryBalance(), Balance(5, 0, 0), 2, 3)]),
    "a read that goes back": (
        5,
        [
            op(Reserve(2), "a", 0, 9),
            op(QueryBalance(), Balance(3, 2, 0), 1, 2),
            op(QueryBalance(), Balance(5, 0, 0), 3, 4),
        ],
    ),
    "a write that was lost": (
        5,
        [
            op(Reserve(2), "a", 0, 1),
            op(Reserve(1), "b", 2, 3),
            op(QueryBalance(), Balance(4, 1, 0), 4, 5),
        ],
    ),
    "consumed and cancelled": (
        5,
        [op(Reserve(2), "a", 0, 1), op(Consume("a", 2), True, 2, 5), op(Cancel("a", 2), True, 3, 4)],
    ),
    "carried out a second time": (
        5,
        [op(Reserve(2), "a", 0, 1), op(QueryBalance(), Balance(1, 4, 0), 2, 3)],
    ),
    "half of a consumption": (
        5,
        [op(Reserve(2), "a", 0, 1), op(Consume("a", 2), True, 2, 6), op(QueryBalance(), Balance(3, 0, 0), 3, 4)],
    ),
    "a refusal of what was held": (5, [op(Reserve(2), "a", 0, 1), op(Consume("a", 2), False, 2, 3)]),
    "an effect after its loss was seen": (
        5,
        [
            op(Reserve(2), None, 0),
            op(QueryBalance(), Balance(3, 2, 0), 1, 2),
            op(QueryBalance(), Balance(5, 0, 0), 3, 4),
        ],
    ),
    "an effect before it was asked for": (
        5,
        [op(QueryBalance(), Balance(3, 2, 0), 0, 1), op(Reserve(2), "a", 2, 3)],
    ),
}

GOOD: dict[str, tuple[int, list[Operation[Asked, Answered]]]] = {
    "nothing": (5, []),
    "one after the other": (
        5,
        [
            op(Reserve(2), "a", 0, 1),
            op(Reserve(4), "", 2, 3),
            op(Consume("a", 2), True, 4, 5),
            op(Cancel("a", 2), False, 6, 7),
            op(QueryBalance(), Balance(3, 0, 2), 8, 9),
        ],
    ),
    "two at once, either first": (
        1,
        [op(Reserve(1), "", 0, 3), op(Reserve(1), "b", 1, 2), op(QueryBalance(), Balance(0, 1, 0), 0, 4)],
    ),
    "an unanswered one that happened": (
        5,
        [op(Reserve(2), None, 0), op(QueryBalance(), Balance(3, 2, 0), 1, 2)],
    ),
    "an unanswered one that happened late": (
        5,
        [
            op(Reserve(2), None, 0),
            op(QueryBalance(), Balance(5, 0, 0), 1, 2),
            op(QueryBalance(), Balance(3, 2, 0), 3, 4),
        ],
    ),
    "an unanswered one that did not happen": (
        1,
        [op(Reserve(1), None, 0), op(Reserve(1), "b", 1, 2), op(QueryBalance(), Balance(0, 1, 0), 3, 4)],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_found(name: str) -> None:
    """No order of its operations gives these answers, and the checker says what cannot follow."""
    units, history = BAD[name]
    verdict = judge_stock(history, units)
    assert not verdict.linearizable
    assert "can follow" in verdict.explanation


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_let_pass(name: str) -> None:
    """Some order of its operations gives these answers."""
    units, history = GOOD[name]
    assert judge_stock(history, units).linearizable


def _play(random: Random, clients: int, operations: int, units: int) -> list[Operation[Asked, Answered]]:
    """A history that is linearizable by its making: each operation happens at an instant between its two ends."""
    stock = Stock(Balance(units, 0, 0))
    # One instant per operation; its client asked a little earlier and heard a little later.
    history: list[Operation[Asked, Answered]] = []
    mine: dict[int, list[tuple[str, int]]] = {client: [] for client in range(clients)}
    free_from = [0.0] * clients
    now = 0.0
    for number in range(operations):
        client = random.randrange(clients)
        now = max(now, free_from[client]) + random.random()
        start = random.uniform(free_from[client], now)
        end = now + random.random() * clients / 2
        free_from[client] = end
        asked: Asked = Reserve(random.randint(1, 3)) if random.random() < 0.5 else QueryBalance()
        if mine[client] and random.random() < 0.5:
            reservation = mine[client].pop()
            asked = Consume(*reservation) if random.random() < 0.5 else Cancel(*reservation)
        answered: Any
        match asked:
            case Reserve(quantity):
                answered = f"r{number}" if stock.balance.available >= quantity else ""
            case Consume() | Cancel():
                answered = asked.reservation in stock.held
            case QueryBalance():
                answered = stock.balance
        after = step(stock, asked, answered)
        assert after is not None
        stock = after
        if isinstance(asked, Reserve) and answered:
            mine[client].append((answered, asked.quantity))
        history.append(op(asked, answered, start, end))
    return history


def test_long_histories_of_many_clients_are_judged() -> None:
    """300 operations of 12 clients pass as they were; with one balance read falsified they do not."""
    for seed in range(5):
        history = _play(Random(seed), 12, 300, 40)
        assert judge_stock(history, 40).linearizable
        reads = [index for index, each in enumerate(history) if isinstance(each.asked, QueryBalance)]
        wrong = reads[len(reads) // 2]
        seen = history[wrong].answered
        assert isinstance(seen, Balance)
        # One unit more than there are.
        spoilt = Balance(seen.available + 1, seen.held, seen.consumed)
        history[wrong] = op(QueryBalance(), spoilt, history[wrong].start, history[wrong].end)
        assert not judge_stock(history, 40).linearizable
