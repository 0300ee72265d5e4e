"""How long the property tests search: RINGFENCE_PROPERTIES=long searches for minutes, with new examples each time."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

LONG: Final = os.environ.get("RINGFENCE_PROPERTIES", "quick") == "long"
TIMEOUT_SECONDS: Final = 0 if LONG else 1_200
"""For pytest.mark.timeout; 0 is none."""


def searching(examples: int, *, steps: int = 50) -> settings:
    """The same examples in every quick run, so that it fails for what was changed; 40 times as many in a long one."""
    return settings(
        max_examples=examples * 40 if LONG else examples,
        stateful_step_count=steps * 2 if LONG else steps,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
