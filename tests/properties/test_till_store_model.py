"""A store settles as the model does, across restarts, and reads what it read before."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.ledger.world import TILLS
from tests.properties.profiles import TIMEOUT_SECONDS, searching
from tests.properties.till_machine import TillMachine
from tests.store.stored_world import StoredWorld


class StoredTillMachine(TillMachine):
    """The same run, in which every command goes to a store too, and after each the file holds what memory does."""

    def __init__(self) -> None:
        super().__init__()
        self.world = StoredWorld(TILLS)

    def teardown(self) -> None:
        StoredWorld.close_all()


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_a_store_settles_as_the_model_does() -> None:
    """After every command each row of the file is what the rules made; every fifth is followed by another server on
    the file. In the end the service's own verification finds nothing."""
    run_state_machine_as_test(StoredTillMachine, settings=searching(20, steps=35))
