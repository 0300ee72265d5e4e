"""What a PostgreSQL database must be before anything is kept in it; neither can be changed later."""

from __future__ import annotations

from typing import Final

_OLDEST: Final = 130_000
"""PostgreSQL 13."""


def unsuitable(version_number: int, version: str, encoding: str) -> list[str]:
    """What is wrong with a server of that version (``server_version_num`` and ``server_version``) or a database of that
    ``server_encoding``, each in one line; empty: nothing."""
    faults = []
    if version_number < _OLDEST:
        faults.append(f"PostgreSQL {version} is too old: 13 or newer")
    if encoding != "UTF8":
        # A name that it cannot write would fail its request, and no caller could know why.
        faults.append(f"the database's encoding is {encoding}: it must be UTF8 (CREATE DATABASE … ENCODING 'UTF8')")
    return faults
