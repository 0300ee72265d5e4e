"""How the tables' columns are made: every kind in one way, every name after one rule."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, SmallInteger, Text

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

CLUSTERED: Final[dict[str, Any]] = {"sqlite_with_rowid": False}
"""One b-tree per table instead of a hidden row number and an index beside it."""


def slot_column() -> Column[Any]:
    """The slot in which the row lies; the first of every key."""
    return Column("slot", SmallInteger, nullable=False)


def big_column(name: str, *, nullable: bool = False) -> Column[Any]:
    """A quantity, a number or a time."""
    return Column(name, BigInteger, nullable=nullable)


def small_column(name: str, *, nullable: bool = False) -> Column[Any]:
    """A number of the contract's enums."""
    return Column(name, SmallInteger, nullable=nullable)


def text_column(name: str, *, nullable: bool = False) -> Column[Any]:
    """A name or a text."""
    return Column(name, Text, nullable=nullable)


def id_column(name: str) -> Column[Any]:
    """A UUID made by the application; empty where there is none."""
    return Column(name, LargeBinary(16), nullable=False)
