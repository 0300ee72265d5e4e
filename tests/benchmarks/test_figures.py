"""Figures of the benchmark: what is made of samples, and what is a pass."""

from __future__ import annotations

import pytest

from ringfence.v1 import allocation_service_pb2 as allocation
from scripts.benchmarks import messages
from scripts.benchmarks.figures import Figure, interleaved, ratio, table
from scripts.benchmarks.load import Sample
from scripts.benchmarks.postgres_scenarios import POSTGRES_SCENARIOS, busy, cost, quotient


def sample(answered: int, *, server: float = 0.0, database: float = 0.0, generator: float = 0.0) -> Sample:
    """Two seconds of load; CPU seconds of the server and of PostgreSQL, and the generator's share of a core."""
    return Sample(
        seconds=2.0,
        accepted=answered,
        refused=0,
        failed=0,
        generator_share=generator,
        latencies=(),
        rise={"server": server, "database": database},
    )


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    """Not the ratio of medians: both sides of a round had the same machine."""
    samples = {
        "fast": [sample(400), sample(9_000), sample(600)],
        "slow": [sample(100), sample(1_000), sample(300)],
    }
    figure = ratio("fast against slow", samples, "fast", "slow", at_least=4)
    assert figure.rounds == [4.0, 9.0, 2.0]
    assert (figure.value, figure.passed) == (4.0, True)
    assert figure.rates == {"fast": 300.0, "slow": 150.0}


def test_every_other_round_runs_backwards() -> None:
    """So that a machine that slows down favours neither side."""
    order: list[str] = []

    def measured(name: str) -> Sample:
        order.append(name)
        return sample(1)

    samples = interleaved(3, {name: lambda name=name: measured(name) for name in "abc"})  # type: ignore[misc]
    assert "".join(order) == "abccbaabc"
    assert {name: len(each) for name, each in samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_bound_is_kept_at_the_bound() -> None:
    """From below and from above; without one there is nothing to keep."""
    assert Figure("", 4.0, at_least=4).passed is True
    assert Figure("", 3.9, at_least=4).passed is False
    assert Figure("", 0, "", at_most=0).passed is True
    assert Figure("", 1, "", at_most=0).passed is False
    assert Figure("", 1.0).passed is None


def test_the_table_shows_value_bound_and_verdict() -> None:
    """A count without decimals, a ratio with two."""
    lines = table([Figure("deadlocks", 0, "", at_most=0), Figure("rate", 3.5, at_least=4, rounds=(3.0, 4.0))]).split(
        "\n"
    )
    assert lines[1].split() == ["deadlocks", "0", "≤", "0", "pass"]
    assert lines[2].split() == ["rate", "3.50", "×", "≥", "4", "FAIL", "3.00", "…", "4.00"]


def test_what_a_command_costs_is_told_by_side() -> None:
    """CPU of the window over what was answered in it, and how many cores that kept busy."""
    samples = [sample(1_000, server=0.4, database=0.1, generator=0.05)] * 3
    spent = cost("a command", samples)
    assert spent.value == pytest.approx(600)
    assert spent.rates == {
        "server": pytest.approx(400),
        "database": pytest.approx(100),
        "generator": pytest.approx(100),
    }
    used = busy("cores", samples)
    assert used.value == pytest.approx(0.3)
    assert used.rates == {
        "server": pytest.approx(0.2),
        "database": pytest.approx(0.05),
        "generator": pytest.approx(0.05),
    }


def test_postgresql_is_not_the_limit_while_it_takes_less_than_its_server() -> None:
    """The median of the rounds, held against the bound."""
    samples = [sample(1_000, server=1.0, database=part) for part in (0.9, 0.25, 0.5)]
    assert quotient("", samples, 0.77).value == 0.5
    assert quotient("", samples, 0.77).passed is True
    assert quotient("", samples, 0.4).passed is False


def test_orders_are_of_one_to_twenty_different_keys_and_no_id_comes_twice() -> None:
    """As a message that the service reads."""
    body = messages.orders(40, 20)
    orders = []
    for _ in range(300):
        message = body()
        assert int.from_bytes(message[1:5], "big") == len(message) - 5
        orders.append(allocation.ReserveRequest.FromString(message[5:]))
    assert {len(order.lines) for order in orders} == set(range(1, 21))
    assert len({order.request_id for order in orders}) == len(orders)
    for order in orders:
        skus = [line.key.sku for line in order.lines]
        assert len(set(skus)) == len(skus)
        assert set(skus) <= {messages.sku_name(number) for number in range(40)}
        assert {(line.quantity, line.path, line.key.location) for line in order.lines} == {
            (1, messages.PATH, messages.LOCATION)
        }
    assert all(skus != sorted(skus) for skus in [[line.key.sku for line in orders[0].lines]] if len(skus) > 8)


def test_every_figure_of_postgresql_says_what_it_measures() -> None:
    """By the name it has on the command line."""
    assert list(POSTGRES_SCENARIOS) == ["spread", "hot", "servers", "orders", "lag", "commits", "lanes"]
    assert all(scenario.__doc__ for scenario in POSTGRES_SCENARIOS.values())
