"""SQLAlchemy Core over SQLite (embedded default); the rows behind the ledger's rules."""
