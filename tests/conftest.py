"""What all tests may ask for: a PostgreSQL for the whole run, a database of it for each test, and a server."""

pytest_plugins = ["ringfence.testing.pytest_plugin"]
