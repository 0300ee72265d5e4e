"""A till or ERP system whose tables can be reached by SQL. Needs SQLAlchemy: `pip install ringfence[adapters]`.

Figures, bookings and the position are read by queries in one transaction, of one state of the database. Orders are
inserted into a table, each once: whether its event is there is asked in the transaction that inserts it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringfence._facts import Booking, SaleBooking, StockFigure
from ringfence._till_types import OrderEvent
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._sales import key_of
from ringfence.adapters._sql_rows import (
    answer_of,
    check_columns,
    dimensions_of,
    flag_of,
    head_of,
    instant_of,
    text_of,
    whole_of,
)
from ringfence.adapters._types import (
    AdapterError,
    Answer,
    Later,
    Received,
    SaleTotal,
    Shown,
    TillRead,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["ORDER_FIELDS", "SqlTables", "SqlTablesConfig"]

_log = logging.getLogger("ringfence.adapters")

MOST_ROWS = 500_000
"""Rows of one query."""
_ISOLATION = {"postgresql": "REPEATABLE READ", "mysql": "REPEATABLE READ", "mariadb": "REPEATABLE READ"}
_OTHER_ISOLATION = "SERIALIZABLE"

ORDER_FIELDS = (
    "event_id kind order_reference channel line_id reservation_id part_number sku location quantity document_number "
    "attributes consume_time"
).split()
"""What of an event a column can take; and `dimension:NAME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlTablesConfig:
    """Queries and tables. Queries name their columns as below; columns they lack are empty."""

    url: str
    """SQLAlchemy's URL of the database."""
    location: str
    """The location of rows that name none."""
    figures: str
    """The query for on hand: sku, quantity; location, dimension:NAME."""
    bookings: str = ""
    """The query for online sale lines: order_reference, quantity; channel, line_id, sku, location, closed,
    reject_reason, dimension:NAME. With a column `position`, and `epoch`, its rows are movements of the journal, without
    they are totals booked so far, one row a line. Empty: the till does not know of online sales."""
    read: str = ""
    """The query for one row of the read itself: position, epoch, count_time (UTC where it names no time zone),
    full_count. Empty, or without position: the runner counts."""
    orders: str = ""
    """The table that takes orders and cancellations; empty: none are taken."""
    order_columns: Mapping[str, str] = field(default_factory=dict)
    """The table's column by field of ORDER_FIELDS; `event_id` is needed, and best unique."""
    answers: str = ""
    """The query for what the till says: event_id, answer (received, rejected, cancelled or not cancelled),
    document_number, reason. Empty: an order is received when it is inserted."""
    answered: str = ""
    """The statement that takes an answer out of that query, with the parameter :event_id."""
    available: str = ""
    """The table of what may be shown; empty: nothing is shown. Rows are replaced by sku, location and path."""
    available_columns: Mapping[str, str] = field(
        default_factory=lambda: {name: name for name in ("sku", "location", "path", "quantity")}
    )
    """Its column by field: sku, location, path, quantity, and dimension:NAME."""
    isolation: str = ""
    """The isolation level of the read; empty: REPEATABLE READ on PostgreSQL, MySQL and MariaDB, SERIALIZABLE elsewhere,
    and one transaction of SQLite."""

    def __post_init__(self) -> None:
        if self.orders and "event_id" not in self.order_columns:
            raise ValueError("order_columns needs event_id: it is how an order is known to be there")
        for name in self.order_columns:
            if name not in ORDER_FIELDS and not name.startswith("dimension:"):
                raise ValueError(f"order_columns knows {', '.join(ORDER_FIELDS)} and dimension:NAME, not {name!r}")
        if bool(self.answers) != bool(self.answered):
            raise ValueError("answers and answered belong together: a query, and what takes an answer out of it")


class SqlTables(PosAdapter):
    """The adapter of such a system."""

    def __init__(self, config: SqlTablesConfig) -> None:
        """Opens no connection yet. AdapterError without SQLAlchemy, or for a URL that it does not understand."""
        try:
            import sqlalchemy
        except ImportError as error:
            raise AdapterError("tables need SQLAlchemy: pip install 'ringfence[adapters]'") from error
        self._sql = sqlalchemy
        self._config = config
        self._answer_faults: set[str] = set()
        """Answers that cannot be meant, as they were told last."""
        try:
            self._engine = _engine(config)
        except ImportError as error:
            raise AdapterError(f"url: {error}: install the database's driver, or name another") from error
        except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError) as error:
            raise AdapterError(f"url: {error}") from error

    def read(self) -> TillRead:
        """Bookings and figures in one transaction."""
        config = self._config
        with self._reading() as connection:
            head = head_of(self._rows(connection, "read", config.read)) if config.read else {}
            bookings = self._rows(connection, "bookings", config.bookings) if config.bookings else []
            figures = self._rows(connection, "figures", config.figures)
        journal = any(row.get("position") is not None for row in bookings)
        return TillRead(
            figures=[
                StockFigure(
                    text_of(row, "sku"),
                    text_of(row, "location") or config.location,
                    whole_of(row, "quantity"),
                    dimensions=dimensions_of(row),
                )
                for row in figures
            ],
            bookings=self._journal(bookings) if journal else (),
            totals=() if journal else [self._total(row) for row in bookings],
            position=whole_of(head, "position") if "position" in head else 0,
            epoch=whole_of(head, "epoch") if head.get("epoch") is not None else 0,
            count_time=instant_of(head),
            full_count_of=config.location if flag_of(head, "full_count") else "",
        )

    def post_order(self, order: OrderEvent, *, repeated: bool) -> Received | Later:
        """Inserts an order, unless its event is there."""
        self._insert(order)
        return Later() if self._config.answers else Received()

    def cancel_order(self, cancellation: OrderEvent, *, repeated: bool) -> Later:
        """Inserts a cancellation, unless its event is there. The till answers by `answers`, or closes the line."""
        self._insert(cancellation)
        return Later()

    def publish(self, shown: Sequence[Shown]) -> None:
        """Replaces the rows of what is shown, in one transaction."""
        if not self._config.available:
            return
        table = self._table(self._config.available, self._config.available_columns.values())
        with self._writing() as connection:
            for one in shown:
                values: dict[str, Any] = {}
                for name, column in self._config.available_columns.items():
                    values[column] = _shown_value(one, name)
                quantity = self._config.available_columns["quantity"]
                same = [table.c[column] == value for column, value in values.items() if column != quantity]
                connection.execute(table.delete().where(*same))
                connection.execute(table.insert().values(values))

    def answers(self) -> Sequence[Answer]:
        """What the till says."""
        if not self._config.answers:
            return ()
        with self._reading() as connection:
            rows = self._rows(connection, "answers", self._config.answers)
        answers: list[Answer] = []
        faults: set[str] = set()
        for row in rows:
            try:
                answers.append(answer_of(row))
            except AdapterError as error:
                # It stays in the query until somebody mends it, and holds up no other.
                faults.add(str(error))
        for fault in faults - self._answer_faults:
            _log.error("an answer in the till's database cannot be meant: %s", fault)
        self._answer_faults = faults
        return answers[:1_000]

    def answered(self, answer: Answer) -> None:
        """Takes an answer out of the query."""
        with self._writing() as connection:
            connection.execute(self._sql.text(self._config.answered), {"event_id": answer.event_id})

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One transaction that sees one state of the database."""
        engine = self._engine
        if engine.dialect.name != "sqlite":
            default = _ISOLATION.get(engine.dialect.name, _OTHER_ISOLATION)
            engine = engine.execution_options(isolation_level=self._config.isolation or default)
        with self._errors(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._sql.exc.SQLAlchemyError as error:
            # The driver's own words; SQLAlchemy adds the statement with its values, and a link.
            raise AdapterError(f"the till's database: {getattr(error, 'orig', None) or error}") from error

    def _rows(self, connection: Connection, name: str, query: str) -> list[Mapping[str, Any]]:
        """The rows of a query, whose columns are known."""
        try:
            found = connection.execute(self._sql.text(query)).mappings()
        except self._sql.exc.SQLAlchemyError as error:
            raise AdapterError(f"the query {name} fails: {getattr(error, 'orig', None) or error}") from error
        check_columns(name, list(found.keys()))
        rows = found.fetchmany(MOST_ROWS + 1)
        if len(rows) > MOST_ROWS:
            raise AdapterError(f"the query {name} gives more than {MOST_ROWS:,} rows: narrow it")
        return [dict(row) for row in rows]

    def _insert(self, event: OrderEvent) -> None:
        config = self._config
        if not config.orders:
            raise AdapterError("no table takes orders: set orders, or run the adapter with orders = false")
        table = self._table(config.orders, config.order_columns.values())
        values = {column: _event_value(event, name) for name, column in config.order_columns.items()}
        key = table.c[config.order_columns["event_id"]]
        with self._writing() as connection:
            there = connection.execute(self._sql.select(key).where(key == event.event_id)).first()
            if there is None:
                connection.execute(table.insert().values(values))

    def _table(self, name: str, columns: Any) -> Any:
        schema, _, plain = name.rpartition(".")
        return self._sql.table(plain, *[self._sql.column(column) for column in columns], schema=schema or None)

    def _journal(self, rows: Sequence[Mapping[str, Any]]) -> list[SaleBooking]:
        """Movements of a journal, gathered by sale line."""
        lines: dict[tuple[Any, ...], tuple[SaleTotal, list[Booking]]] = {}
        for row in rows:
            total = self._total(row)
            name = key_of(total)
            known, bookings = lines.get(name, (total, []))
            if row.get("position") is not None and total.booked:
                epoch = whole_of(row, "epoch") if row.get("epoch") is not None else 0
                bookings.append(Booking(whole_of(row, "position"), total.booked, epoch=epoch))
            lines[name] = (total if total.closed or total.reject_reason else known, bookings)
        return [
            SaleBooking(
                total.location,
                bookings,
                order_reference=total.order_reference,
                channel=total.channel,
                line_id=total.line_id,
                sku=total.sku,
                dimensions=total.dimensions,
                closed=total.closed,
                reject_reason=total.reject_reason,
            )
            for total, bookings in lines.values()
        ]

    def _total(self, row: Mapping[str, Any]) -> SaleTotal:
        sku = text_of(row, "sku", needed=False)
        return SaleTotal(
            location=text_of(row, "location", needed=False) or self._config.location,
            booked=whole_of(row, "quantity"),
            order_reference=text_of(row, "order_reference"),
            channel=text_of(row, "channel", needed=False),
            line_id=text_of(row, "line_id", needed=False),
            sku=sku,
            dimensions=dimensions_of(row) if sku else {},
            closed=flag_of(row, "closed"),
            reject_reason=text_of(row, "reject_reason", needed=False),
        )


def _engine(config: SqlTablesConfig) -> Engine:
    from sqlalchemy import create_engine, event

    engine = create_engine(config.url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        # Left to itself, Python's driver begins a transaction only before a write: two queries would see two states.
        @event.listens_for(engine, "connect")
        def _no_own_transactions(connection: Any, record: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def _begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

    return engine


def _event_value(event: OrderEvent, name: str) -> Any:
    if name.startswith("dimension:"):
        return event.key.dimensions.get(name.removeprefix("dimension:"), "")
    if name in {"sku", "location"}:
        return getattr(event.key, name)
    value = getattr(event, name)
    if name == "kind":
        return str(value)
    if name == "consume_time":
        return value.isoformat() if value is not None else None
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def _shown_value(shown: Shown, name: str) -> Any:
    if name.startswith("dimension:"):
        return shown.key.dimensions.get(name.removeprefix("dimension:"), "")
    return {
        "sku": shown.key.sku,
        "location": shown.key.location,
        "path": shown.path,
        "quantity": shown.quantity,
    }[name]
