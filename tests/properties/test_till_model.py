"""The ledger settles as the model does, whatever happens at two tills and in whatever order it is told."""

from __future__ import annotations

import pytest
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from tests.properties.profiles import TIMEOUT_SECONDS, searching
from tests.properties.till_machine import TillMachine


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_the_ledger_settles_as_the_model_does() -> None:
    """After every event: the same free units, c, settled and undecided units; conservation and the ledger's sums are
    checked by the engine below."""
    run_state_machine_as_test(TillMachine, settings=searching(60, steps=40))
