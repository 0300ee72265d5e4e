"""From a configuration file to an adapter, its client and its runner."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from ringfence._client import Client
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._runner import PosRunner, RunnerConfig
from ringfence.adapters._schedule import Schedule
from ringfence.adapters._toml import Document, Table
from ringfence.adapters._types import AdapterError
from ringfence.adapters.csv_folder import CsvFolder, CsvFolderConfig, ExportPosition
from ringfence.adapters.sql_tables import SqlTables, SqlTablesConfig

__all__ = ["AdapterSetup", "load_setup"]

_log = logging.getLogger("ringfence.adapters")

KINDS = ("csv_folder", "sql_tables")


class AdapterSetup:
    """What a configuration file says, checked. Nothing is opened yet."""

    def __init__(
        self, *, target: str, organization: str, caller: str, config: RunnerConfig, make: Callable[[], PosAdapter]
    ) -> None:
        self.target = target
        """Where the service is; empty: RINGFENCE_TARGET, then localhost:50051."""
        self.organization = organization
        """The organization; empty: RINGFENCE_ORGANIZATION, then default."""
        self.caller = caller
        """The caller's name at the service."""
        self.config = config
        """How the adapter is run."""
        self.make = make
        """Opens the adapter. Raises AdapterError."""

    def client(self) -> Client:
        """A client for it."""
        return Client(self.target or None, organization=self.organization or None, caller=self.caller or None)

    def runner(self, client: Client, **options: Any) -> PosRunner:
        """The adapter with its runner; `options` are those of PosRunner."""
        adapter = self.make()
        try:
            return PosRunner(adapter, client, self.config, **options)
        except BaseException:
            adapter.close()
            raise


def load_setup(path: Path, *, start_anew: bool = False) -> AdapterSetup:
    """Reads a configuration file. Raises ConfigError, which names file, line and key."""
    document = Document(path)
    service = document.table("service")
    adapter = document.table("adapter", required=True)
    kind = adapter.text("kind")
    if kind not in KINDS and ":" not in kind:
        raise adapter.error("kind", f"{' or '.join(KINDS)}, or your own as package.module:factory; not {kind!r}")
    config = _runner_config(adapter, start_anew=start_anew)
    own = None if kind in KINDS else _imported(adapter, kind)
    name = kind if own is None else "options"
    document.check_tables(("service", "adapter", name))
    table = document.table(name, required=own is None)
    if own is not None:
        made = _own(own, kind, table)
    else:
        made = (_csv_folder if kind == "csv_folder" else _sql_tables)(table, config)
    setup = AdapterSetup(
        target=service.text("target", ""),
        organization=service.text("organization", ""),
        caller=service.text("caller", "") or config.name,
        config=config,
        make=made,
    )
    for each in (service, adapter, table):
        each.done()
    return setup


def _runner_config(table: Table, *, start_anew: bool) -> RunnerConfig:
    read = table.schedule("read", "15 minutes")
    if read is None:
        raise table.error("read", "a till that is never read settles nothing")
    name, locations = table.text("name"), table.texts("locations")
    lease = table.span("lease", "60 seconds")
    if not timedelta(seconds=1) <= lease <= timedelta(hours=1):
        raise table.error("lease", "1 second to 1 hour")
    if len(name) > 64:
        raise table.error("name", "1 to 64 characters")
    if len(locations) > 100:
        raise table.error("locations", "1 to 100")
    publish: Schedule | None = table.schedule("publish", "never")
    metrics = table.text("metrics_file", "")
    quantity = table.choice("quantity", ("available_to_reserve", "available"), "available_to_reserve")
    return RunnerConfig(
        name=name,
        locations=locations,
        state=table.path("state", "state"),
        source=table.text("source", ""),
        read=read,
        publish=publish,
        path=table.text("path", ""),
        quantity="available" if quantity == "available" else "available_to_reserve",
        orders=table.flag("orders", True),
        max_in_flight=table.whole("max_in_flight", 100, 1, 1_000),
        lease=lease,
        metrics_file=table.path("metrics_file") if metrics else None,
        start_anew=start_anew,
    )


def _csv_folder(table: Table, config: RunnerConfig) -> Callable[[], PosAdapter]:
    position = table.choice("position", [str(found) for found in ExportPosition], str(ExportPosition.ROW))
    chosen = CsvFolderConfig(
        folder=table.path("folder"),
        location=table.text("location", config.locations[0]),
        position=ExportPosition(position),
        needs_end=table.flag("needs_end", False),
        settled=table.span("settled", "2 seconds"),
        answers_orders=table.flag("answers_orders", False),
    )
    return lambda: CsvFolder(chosen)


def _sql_tables(table: Table, config: RunnerConfig) -> Callable[[], PosAdapter]:
    given: dict[str, Any] = {
        "url": table.text("url"),
        "location": table.text("location", config.locations[0]),
        "figures": table.text("figures"),
        "order_columns": table.mapping("order_columns"),
        **{name: table.text(name, "") for name in ("bookings", "read", "orders", "answers", "answered", "available")},
        "isolation": table.text("isolation", ""),
    }
    if columns := table.mapping("available_columns"):
        given["available_columns"] = columns
    try:
        chosen = SqlTablesConfig(**given)
    except ValueError as error:
        raise table.error("", str(error)) from None
    return lambda: SqlTables(chosen)


def _imported(adapter: Table, kind: str) -> Callable[[dict[str, Any]], Any]:
    """Somebody's own adapter: a function, or class, that takes [options] as a dictionary."""
    module, _, name = kind.partition(":")
    if not module or not name:
        raise adapter.error("kind", f"your own adapter is named as package.module:factory, not {kind!r}")
    try:
        factory: Callable[[dict[str, Any]], Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        text = f"{kind} cannot be imported: {error}; install it, or have PYTHONPATH name the folder it is in"
        raise adapter.error("kind", text) from error
    except Exception as error:
        # Whatever somebody's own module does when it is imported is told as its fault.
        raise adapter.error("kind", f"{kind} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(factory):
        raise adapter.error("kind", f"{kind} is no function and no class that takes the table [options]")
    return factory


def _own(factory: Callable[[dict[str, Any]], Any], kind: str, table: Table) -> Callable[[], PosAdapter]:
    options = table.rest()

    def make() -> PosAdapter:
        try:
            made = factory(options)
        except AdapterError:
            raise
        except Exception as error:
            _log.exception("%s failed", kind)
            raise AdapterError(f"{kind} failed: {type(error).__name__}: {error}") from error
        if not isinstance(made, PosAdapter):
            raise AdapterError(f"{kind} gives {type(made).__name__}, not a PosAdapter")
        return made

    return make
