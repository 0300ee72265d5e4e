"""What all tests may ask for: a PostgreSQL for the whole run, a database of it for each test, and a server."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

from tests.properties.profiles import LONG

pytest_plugins = ["ringfence.testing.pytest_plugin"]

# A run fails for what was changed, not for the machine's pace or by another draw.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=not LONG,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As of a shell's background job. Tests send it, and programs that they start inherit what becomes of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
