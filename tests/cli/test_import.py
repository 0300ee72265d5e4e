"""stock import: checked as a whole, posted once, whatever happens in between."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import signal
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence import Client
from ringfence.testing import RingfenceServer, assert_eventually
from ringfence_server.cli.stock_import import BATCH_LINES
from ringfence_server.ledger.work import Committed, Work
from ringfence_server.store.sqlite import SqliteStore
from tests.cli.run import Cli

HEADING = "sku,location,quantity\n"


@pytest.fixture
def state(csv: Path) -> Path:
    """Where the state of its import is kept."""
    return csv.with_name(".stock.csv.ringfence-import")


def lines(count: int, quantity: int = 1) -> str:
    """A file of that many SKUs."""
    return HEADING + "".join(f"SKU-{number},berlin,{quantity}\n" for number in range(count))


def supplies(cli: Cli) -> list[int]:
    """The supply of every stock key."""
    return [stock["supply"] for stock in cli.json("stock", "show")["stocks"]]


def test_a_file_is_posted(cli: Cli, csv: Path, state: Path) -> None:
    """In several batches, with measures and dimensions; nothing of the import is left beside the file."""
    cli("policy", "set", "-", input='revision = 1\ndimensions = ["colour"]\n')
    rows = "".join(f"SKU-{n},berlin,{n},on_hand,red\nSKU-{n},berlin,1,safety_stock,red\n" for n in range(600))
    csv.write_text(f"sku,location,quantity,measure,colour\n{rows}")
    assert cli("stock", "import", str(csv)) == "posted 1200 figures: 1200 applied\n"
    assert sorted(supplies(cli)) == [number - 1 for number in range(600)]
    assert cli.table("stock", "show", "SKU-7")[0]["colour"] == "red"
    assert not state.exists()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_stdin_is_a_file_too(cli: Cli, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain or gzip."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    content = lines(3).encode()
    answer = cli.run("stock", "import", "-", "--json", input=gzip.compress(content) if packed else content)
    assert json.loads(answer.out) == {
        "lines": 3,
        "posted": 3,
        "applied": 3,
        "duplicate": 0,
        "stale": 0,
        "conflict": 0,
        "resumed_after_line": 0,
        "bad_lines": [],
    }
    assert list((tmp_path / "ringfence").iterdir()) == []


def test_bad_lines_are_told_and_nothing_is_posted(cli: Cli, csv: Path) -> None:
    """All of them, with their numbers and reasons, wherever they stand."""
    csv.write_text(lines(1_000) + "LAMP,berlin,ten\n" + "BULB,,1\n" + "SKU-3,berlin,2\n")
    assert cli.fails(2, "stock", "import", str(csv)).splitlines() == [
        f"{csv}:1002: quantity is a whole number of base units, such as 12; got 'ten'",
        f"{csv}:1003: location is empty",
        f"{csv}:1004: the same sku, location and dimensions as line 5: which of the two is right?",
        "ringfence: 3 of 1003 lines are bad; nothing was posted. --skip-bad posts the others",
    ]
    assert supplies(cli) == []


def test_bad_lines_are_skipped_on_request(cli: Cli, csv: Path) -> None:
    """They are told all the same, and the good ones are posted."""
    csv.write_text(HEADING + "LAMP,berlin,ten\nBULB,berlin,4\n")
    ran = cli.run("stock", "import", str(csv), "--skip-bad")
    assert (ran.exit_code, ran.out) == (0, "posted 1 figure: 1 applied\nskipped 1 bad line\n")
    assert f"{csv}:2: quantity is a whole number" in ran.err
    assert supplies(cli) == [4]


def test_check_posts_nothing(cli: Cli, csv: Path) -> None:
    """It says whether an import would."""
    csv.write_text(lines(3))
    assert cli("stock", "import", str(csv), "--check") == "no bad line among 3 lines\n"
    csv.write_text(HEADING + "LAMP,berlin,\n")
    assert cli.run("stock", "import", str(csv), "--check").exit_code == 2
    report = json.loads(cli.run("stock", "import", str(csv), "--check", "--json").out)
    assert [bad["line"] for bad in report["bad_lines"]] == [2]
    assert supplies(cli) == []


def test_the_same_file_again_is_a_new_import(cli: Cli, csv: Path) -> None:
    """A count that did not change is a new count: what was sold in between is in it."""
    csv.write_text(HEADING + "LAMP,berlin,10\n")
    cli("stock", "import", str(csv))
    cli("consume", "--direct", "LAMP", "berlin", "3")
    assert supplies(cli) == [7]
    cli("stock", "import", str(csv))
    assert supplies(cli) == [10]


def test_differences_are_added(cli: Cli, csv: Path) -> None:
    """Deliveries, each as often as it stands there."""
    csv.write_text(HEADING + "LAMP,berlin,10\nLAMP,berlin,-3\n")
    cli("stock", "import", str(csv), "--delta")
    cli("stock", "import", str(csv), "--delta")
    assert supplies(cli) == [14]


class PowerCut(BaseException):
    """Ends a command as nothing that it could catch."""


def cut_after(monkeypatch: pytest.MonkeyPatch, answers: int) -> None:
    """Lets the import have so many answers, and then the power fails while the rest of them is on its way."""
    execute = Client.execute_many

    def broken(self: Client, *arguments: Any, **options: Any) -> Iterator[Any]:
        for number, outcome in enumerate(execute(self, *arguments, **options)):
            if number == answers:
                raise PowerCut
            yield outcome

    monkeypatch.setattr(Client, "execute_many", broken)


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_an_import_that_broke_off_goes_on_and_posts_nothing_twice(
    cli: Cli, csv: Path, state: Path, answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches whose answer was never read are sent again under their ids: differences show if one counts twice."""
    csv.write_text(lines(3_000, quantity=2))
    with monkeypatch.context() as broken:
        cut_after(broken, answers)
        with pytest.raises(PowerCut):
            cli.run("stock", "import", str(csv), "--delta")
    assert json.loads(state.read_text())["batches"] == answers

    report = cli.json("stock", "import", str(csv), "--delta")
    assert report["resumed_after_line"] == answers * BATCH_LINES
    assert (report["lines"], report["posted"], report["applied"]) == (3_000, 3_000, 3_000)
    assert supplies(cli) == [2] * 3_000
    assert not state.exists()
    cli("verify")


def test_an_import_goes_on_though_its_last_note_was_lost(
    cli: Cli, csv: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done already is answered again with what came of it then."""
    csv.write_text(lines(2_000))
    with monkeypatch.context() as broken:
        cut_after(broken, 3)
        with pytest.raises(PowerCut):
            cli.run("stock", "import", str(csv), "--delta")
    note = json.loads(state.read_text())
    state.write_text(json.dumps({**note, "batches": 0, "lines": 0, "counts": {}}))
    cli("stock", "import", str(csv), "--delta")
    assert supplies(cli) == [1] * 2_000


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_process_that_is_killed_is_gone_on_with(
    cli: Cli, csv: Path, state: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the program itself, when the first batch is in and others are on their way."""
    csv.write_text(lines(10_000))
    run, batches, killed = SqliteStore.run, itertools.count(), threading.Event()

    async def held(store: SqliteStore, work: Work) -> Committed:
        if work.request_keys and next(batches) > 0:
            await asyncio.to_thread(killed.wait, 60)
        return await run(store, work)

    monkeypatch.setattr(SqliteStore, "run", held)
    process = cli.process("stock", "import", str(csv), "--delta")
    with cli.client() as client:
        assert_eventually(lambda: client.list_stock(page_size=1).page().items)
    process.send_signal(how)
    out, err = process.communicate(timeout=120)
    killed.set()
    assert (process.returncode, out) == (130 if how is signal.SIGINT else -signal.SIGKILL, "")
    assert "Traceback" not in err
    if how is signal.SIGINT:
        assert "; the same command goes on from there\n" in err
    assert state.exists()

    cli("stock", "import", str(csv), "--delta")
    assert supplies(cli) == [1] * 10_000


def test_another_file_is_not_gone_on_with(cli: Cli, csv: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the same with other options; --restart begins anew."""
    csv.write_text(lines(1_000))
    with monkeypatch.context() as broken:
        cut_after(broken, 1)
        with pytest.raises(PowerCut):
            cli.run("stock", "import", str(csv))
    assert "not the same options any more" in cli.fails(2, "stock", "import", str(csv), "--source", "erp")
    csv.write_text(lines(1_000, quantity=5))
    told = cli.fails(2, "stock", "import", str(csv))
    assert f"stopped after line {BATCH_LINES} cannot go on: not the same content any more" in told
    assert "--restart begins anew" in told
    cli("stock", "import", str(csv), "--restart")
    assert supplies(cli) == [5] * 1_000
    assert not state.exists()


def test_a_policy_that_changed_in_between_is_noticed(cli: Cli, csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other rules could take other lines for good ones."""
    csv.write_text(lines(1_000))
    with monkeypatch.context() as broken:
        cut_after(broken, 1)
        with pytest.raises(PowerCut):
            cli.run("stock", "import", str(csv))
    cli("policy", "set", "-", input='revision = 1\ndimensions = ["colour"]\n')
    assert "not the same policy any more" in cli.fails(2, "stock", "import", str(csv))


def test_what_only_the_service_can_judge_is_told_by_its_line(cli: Cli, csv: Path) -> None:
    """A total that leaves its range: the line is told, and the others are posted on request."""
    cli("stock", "post", "SKU-600", "berlin", "1000000000000")
    csv.write_text(lines(1_000))
    told = cli.fails(2, "stock", "import", str(csv), "--delta").splitlines()
    assert told[0].startswith(f"{csv}:602: on_hand would become 1000000000001")
    assert told[1].startswith(f"ringfence: stopped after line {BATCH_LINES}; the same command goes on")
    assert told[2] == "ringfence: the service refused these lines; the same command with --skip-bad posts the others"

    ran = cli.run("stock", "import", str(csv), "--delta", "--skip-bad", "--json")
    report = json.loads(ran.out)
    assert (ran.exit_code, report["posted"], [bad["line"] for bad in report["bad_lines"]]) == (0, 999, [602])
    assert sorted(supplies(cli)) == [1] * 999 + [10**12]


def test_positions_make_lines_stale_duplicate_or_conflicting(cli: Cli, csv: Path) -> None:
    """Counted apart; a conflict is told by its line and the exit code."""
    for sku in "ABC":
        cli("stock", "post", sku, "berlin", "10", "--position", "5")
    csv.write_text("sku,location,quantity,position\nA,berlin,10,5\nB,berlin,9,4\nC,berlin,11,5\nD,berlin,1,1\n")
    ran = cli.run("stock", "import", str(csv))
    assert ran.exit_code == 1
    assert ran.out == "posted 4 figures: 1 applied, 1 conflict, 1 duplicate, 1 stale\n"
    assert ran.err == (
        f"{csv}:4: conflict: position 5 is known with the value 10; two reads share one number, "
        "or the source is at fault\n"
    )
    assert supplies(cli) == [10, 10, 10, 1]


def test_the_source_and_the_measure_of_the_command(cli: Cli, csv: Path) -> None:
    """For every line that names none."""
    csv.write_text(HEADING + "LAMP,berlin,3\n")
    cli("stock", "import", str(csv), "--measure", "safety_stock", "--source", "erp")
    (row,) = cli.table("stock", "show")
    assert (row["measure"], row["value"], row["source"], row["supply"]) == ("safety_stock", "3", "erp", "-3")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty: it begins with a heading"),
        ("sku,location\nLAMP,berlin\n", "the column 'quantity' is missing"),
        ("sku,location,quantity,color\n", "the policy has no dimensions"),
    ],
)
def test_a_file_that_is_none(cli: Cli, csv: Path, content: str, told: str) -> None:
    """Exit code 2, with what would be right."""
    csv.write_text(content)
    assert told in cli.fails(2, "stock", "import", str(csv))


def test_a_file_that_is_not_there(cli: Cli, csv: Path) -> None:
    """One line."""
    assert cli.fails(2, "stock", "import", str(csv)) == f"ringfence: {csv}: No such file or directory\n"


def test_an_import_goes_on_when_the_service_is_back(tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3 when it goes away; whatever it had taken by then counts once."""
    csv.write_text(lines(3_000))
    settings: dict[str, Any] = {"in_memory": False, "database_url": f"sqlite:///{tmp_path / 'ledger.db'}"}
    execute = Client.execute_many
    with RingfenceServer(**settings) as first:
        cli = Cli(first, "default")

        def broken(self: Client, commands: Iterable[Any], **options: Any) -> Iterator[Any]:
            def cut() -> Iterator[Any]:
                for number, command in enumerate(commands):
                    if number == 3:
                        # Before the fourth is sent, however fast the first three were answered.
                        first.stop(grace_seconds=0)
                    yield command

            # Nobody answers any more; what the command asks before has all the time that it may need.
            return iter(execute(self, cut(), **{**options, "timeout": timedelta(seconds=1)}))

        with monkeypatch.context() as breaking:
            breaking.setattr(Client, "execute_many", broken)
            told = cli.fails(3, "stock", "import", str(csv), "--delta")
    assert "ringfence: stopped after line " in told
    assert "--request-id" not in told

    with RingfenceServer(**settings, port=int(cli.environment["RINGFENCE_TARGET"].rpartition(":")[2])) as second:
        again = Cli(second, "default")
        assert again("stock", "import", str(csv), "--delta") == "posted 3000 figures: 3000 applied\n"
        assert supplies(again) == [1] * 3_000


@pytest.mark.usefixtures("one_try")
def test_a_service_that_is_away_from_the_start(cli: Cli, csv: Path, state: Path) -> None:
    """Exit code 3, and nothing is begun."""
    csv.write_text(lines(3))
    told = cli.fails(3, "--target", "localhost:1", "stock", "import", str(csv))
    assert told.startswith("ringfence: no service answers at localhost:1 ")
    assert not state.exists()
