"""The ledger does what a small model written from the semantics does, whatever is asked of it in whatever order."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.ledger_system import LedgerSystem
from tests.properties.machine import SystemMachine
from tests.properties.profiles import LONG, TIMEOUT_SECONDS, searching
from tests.properties.random_days import play_a_day


class LedgerMachine(SystemMachine):
    make_system = LedgerSystem
    tills = True


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_the_ledger_answers_as_the_model_does() -> None:
    """After every operation: the same answer, balances and orders; supply conserved; entries equal balances."""
    run_state_machine_as_test(LedgerMachine, settings=searching(80))


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_the_ledger_answers_as_the_model_does_over_days_of_trade() -> None:
    """The same over long histories, which ask for what is just there and for one unit more."""
    for seed in range(2_000 if LONG else 40):
        play_a_day(LedgerSystem(), seed, steps=150, tills=True)
