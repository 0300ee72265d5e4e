"""The bench for adapters: right ones pass every scenario, wrong ones are found out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ringfence import Booking, SaleBooking, uuid7
from ringfence.adapters import AdapterError, PosAdapter, SaleTotal, TillRead
from ringfence.adapters.certify import SCENARIOS, Scenario, TillUnderTest, Verdict, certify, table, till_named
from ringfence.adapters.certify._tills import LiveTill
from ringfence_server.cli.app import app
from tests.adapters.service import TillService


class ServiceHost:
    """The tests' small service as the bench needs it; a new one for each scenario."""

    def __init__(self) -> None:
        self._service: TillService | None = None
        self._now = datetime(2026, 1, 2, 8, 0, tzinfo=UTC)

    @property
    def target(self) -> str:
        assert self._service is not None
        return f"127.0.0.1:{self._service.port}"

    def prepare(self, location: str, organization: str) -> None:
        self.close()
        self._service = TillService()
        self._service.start()

    def now(self) -> datetime:
        return self._now

    def request_id(self) -> str:
        return uuid7()

    def advance(self, span: timedelta) -> None:
        self._now += span

    def close(self) -> None:
        if self._service is not None:
            self._service.close()
            self._service = None


@pytest.fixture
def host() -> Iterator[ServiceHost]:
    """A service for the bench."""
    made = ServiceHost()
    yield made
    made.close()


def judged(make: Any, host: ServiceHost, scenario: Scenario, seed: int = 1) -> Verdict:
    """The verdict on one scenario."""
    (verdict,) = certify(make, host, scenarios=[scenario], seed=seed)
    return verdict


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_right_adapter_passes(host: ServiceHost, scenario: Scenario) -> None:
    """The adapter that reads the journal live is exact, whatever happens on the way."""
    verdict = judged(till_named("live"), host, replace(scenario, hours=4))
    assert verdict.passed, verdict
    assert verdict.counts > 20
    assert verdict.sold > 10


@pytest.mark.parametrize("name", ["a quiet day", "everything at once"])
@pytest.mark.parametrize("till", ["csv_folder", "sql_tables"])
def test_files_and_tables_pass(host: ServiceHost, till: str, name: str) -> None:
    """The real adapters are as exact over files and tables, crashes included."""
    (scenario,) = (one for one in SCENARIOS if one.name == name)
    verdict = judged(till_named(till), host, replace(scenario, hours=4))
    assert verdict.passed, verdict


class Forgetful(LiveTill):
    """An adapter that posts figures and no bookings: the service never learns what they contain."""

    def open(self) -> PosAdapter:
        adapter: Any = super().open()
        read = adapter.read
        adapter.read = lambda: replace(read(), bookings=())
        return adapter  # type: ignore[no-any-return]


class FiguresFirst(LiveTill):
    """An adapter that reports as booked what its figure does not contain: orders that the till has only taken."""

    def open(self) -> PosAdapter:
        adapter: Any = super().open()
        read = adapter.read

        def hasty() -> TillRead:
            found: TillRead = read()
            early = list(found.bookings)
            known = {sale.order_reference for sale in found.bookings}
            for name, line in self.reading().lines.items():
                if name not in known and not line.closed:
                    booking = Booking(found.position, 1, epoch=found.epoch)
                    early.append(SaleBooking(self.till.location, booking, order_reference=name, sku=line.sku))
            return replace(found, bookings=early)

        adapter.read = hasty
        return adapter  # type: ignore[no-any-return]


def listed(sale: SaleBooking) -> list[Booking]:
    """The bookings of a sale line."""
    return [sale.bookings] if isinstance(sale.bookings, Booking) else list(sale.bookings)


class Twice(LiveTill):
    """An adapter that counts every booking twice."""

    def open(self) -> PosAdapter:
        adapter: Any = super().open()
        read = adapter.read

        def totals() -> TillRead:
            found: TillRead = read()
            return replace(
                found,
                bookings=(),
                totals=[
                    SaleTotal(
                        location=sale.location,
                        order_reference=sale.order_reference,
                        sku=sale.sku,
                        booked=2 * sum(booking.quantity for booking in listed(sale)),
                    )
                    for sale in found.bookings
                ],
            )

        adapter.read = totals
        return adapter  # type: ignore[no-any-return]


@pytest.mark.parametrize("make", [Forgetful, FiguresFirst, Twice])
def test_a_wrong_adapter_fails(host: ServiceHost, make: type[TillUnderTest]) -> None:
    """An adapter that counts twice, or loses, is found out on a quiet day."""
    quiet = replace(SCENARIOS[0], hours=3)
    verdict = judged(make, host, quiet)
    assert not verdict.passed, verdict


def test_the_same_seed_is_the_same_day(host: ServiceHost) -> None:
    """A finding can be looked at again; another seed is another day."""
    scenario = replace(SCENARIOS[0], hours=2)
    first = judged(till_named("live"), host, scenario)
    assert judged(till_named("live"), host, scenario) == first
    assert judged(till_named("live"), host, scenario, seed=2) != first


def test_the_table() -> None:
    """One line per scenario; below a failed one what is wrong."""
    good = Verdict("a quiet day", counts=10, sold=3)
    bad = Verdict("losses", counts=10, too_high=1, wrong_at_the_end=["LAMP: the service has 3, the store 2"])
    lines = list(table([good, bad]))
    assert lines[1].endswith("passed")
    assert lines[2].endswith("FAILED")
    assert lines[3] == "    LAMP: the service has 3, the store 2"
    assert not Verdict("nothing judged").passed


def test_names_of_tills() -> None:
    """A name that is none says which there are."""
    assert till_named("tests.adapters.test_certify:Forgetful").__name__ == "Forgetful"
    with pytest.raises(AdapterError, match="live, csv_folder"):
        till_named("cash register")
    with pytest.raises(AdapterError, match="cannot be imported"):
        till_named("nowhere:Till")


def test_a_directory_of_its_own(host: ServiceHost, tmp_path: Path) -> None:
    """Nothing of a scenario is left behind."""
    judged(till_named("csv_folder"), host, replace(SCENARIOS[0], hours=1))
    assert list(tmp_path.iterdir()) == []


class HostInstead(ServiceHost):
    """In place of the real server."""

    def __enter__(self) -> HostInstead:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def test_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """`adapter certify` prints the table as it grows, and its exit code is the verdict."""
    monkeypatch.setattr("ringfence.adapters.certify._host.ServerHost", HostInstead)
    runner = CliRunner()
    certify_quiet = ["adapter", "certify", "--scenario", "a quiet day", "--hours", "2"]
    good = runner.invoke(app, [*certify_quiet, "live"])
    assert good.exit_code == 0, good.output
    assert good.output.splitlines()[1].startswith("a quiet day")
    bad = runner.invoke(app, [*certify_quiet, "tests.adapters.test_certify:Twice"])
    assert bad.exit_code == 1
    assert "FAILED" in bad.output
    unknown = runner.invoke(app, ["adapter", "certify", "--scenario", "doomsday", "live"])
    assert unknown.exit_code == 2
    assert "a quiet day, late bookings" in unknown.output
    no_till = runner.invoke(app, [*certify_quiet, "cash register"])
    assert no_till.exit_code == 2
