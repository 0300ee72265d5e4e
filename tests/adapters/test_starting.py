"""How the runner begins: with its own state, alone, and not before the service says that none was lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ringfence.adapters import (
    AdapterError,
)
from tests.adapters.conftest import Clock, MakeRunner
from tests.adapters.service import TillService
from tests.adapters.till import Till, TillAdapter
from tests.client.scripted import wait_for


def test_a_lost_state_is_noticed(service: TillService, make_runner: MakeRunner, tmp_path: Path) -> None:
    """Bookings would get new positions and count twice: without its state an adapter does not start again."""
    make_runner(TillAdapter(Till({"LAMP": 10})), orders=False, publish=None).step()
    with pytest.raises(AdapterError, match="restore the directory"):
        make_runner(TillAdapter(Till({"LAMP": 10})), state=tmp_path / "other")
    make_runner(TillAdapter(Till({"LAMP": 10})), state=tmp_path / "other", start_anew=True)


def test_one_program_has_the_state(service: TillService, make_runner: MakeRunner) -> None:
    """A second program with the same state is refused while the first runs."""
    make_runner(TillAdapter(Till()))
    with pytest.raises(AdapterError, match="another program"):
        make_runner(TillAdapter(Till()))


def test_a_state_that_cannot_be_read_is_no_new_one(make_runner: MakeRunner, tmp_path: Path) -> None:
    """A broken file is an error that names it."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "orders.json").write_text("{")
    with pytest.raises(AdapterError, match=r"orders\.json cannot be read"):
        make_runner(TillAdapter(Till()))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("reads", '{"version": 1, "reads": "x"}'),
        ("reads", '{"version": 1, "sales": [{}]}'),
        ("orders", '{"version": 1, "events": {"e": {}}}'),
        ("orders", "[]"),
    ],
)
def test_a_state_of_another_shape_is_no_state(make_runner: MakeRunner, tmp_path: Path, file: str, text: str) -> None:
    """It is told by its file, with what can be done; nothing is guessed, and the lock is given back."""
    path = tmp_path / "state" / f"{file}.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(AdapterError, match=rf"{file}\.json cannot be read as the adapter's state: .*--start-anew"):
        make_runner(TillAdapter(Till()))
    path.unlink()
    make_runner(TillAdapter(Till()))


def test_a_first_start_waits_for_the_service(
    service: TillService, make_runner: MakeRunner, clock: Clock, tmp_path: Path
) -> None:
    """A service that is away does not end the program, and nothing is done before it says that no state was lost."""
    till = Till({"LAMP": 10})
    service.stop()
    runner = make_runner(TillAdapter(till), timeout=timedelta(seconds=1))
    pause = runner.step()
    assert pause > timedelta(0)
    assert runner.counters.reads == 0
    service.start()

    def read() -> bool:
        clock.advance(timedelta(minutes=5))
        runner.step()
        return runner.counters.reads >= 1

    wait_for(read)
    runner.close()
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    service.stop()
    runner = make_runner(TillAdapter(till), timeout=timedelta(seconds=1))
    service.start()

    def told() -> bool:
        clock.advance(timedelta(minutes=5))
        try:
            runner.step()
        except AdapterError as error:
            return "start_anew" in str(error)
        return False

    wait_for(told)
