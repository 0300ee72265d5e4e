"""A store does what the model does, however often it is restarted and whatever arrives twice."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import SystemMachine
from tests.properties.profiles import LONG, TIMEOUT_SECONDS, searching
from tests.properties.random_days import play_a_day
from tests.properties.store_system import StoreSystem


class StoreMachine(SystemMachine):
    make_system = StoreSystem
    tills = True


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_the_store_answers_as_the_model_does() -> None:
    """After every operation: the same answer, balances and orders in the file; every sum and chain in it sound."""
    run_state_machine_as_test(StoreMachine, settings=searching(6, steps=30))


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_the_store_answers_as_the_model_does_over_days_of_trade() -> None:
    """The same over longer histories. Restarts on the way change nothing, nor do requests that come again."""
    for seed in range(400 if LONG else 3):
        play_a_day(StoreSystem(), seed, steps=100, tills=True)
