"""`stock import`, `stock post` and `stock show`: what is there, as the sources count it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import inputs
from .failures import BAD_INPUT, INTERRUPTED, REFUSED
from .session import DimensionOption, JsonOption, RequestIdOption, Session, client_command

if TYPE_CHECKING:
    from ringfence import PostStockResult

    from .stock_import import Report

_SourceOption = Annotated[
    str, typer.Option(metavar="NAME", help="The data source that posts; left out: the caller's name.")
]
_MeasureOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="The measure, such as on_hand; left out: the one that the location settles by."),
]


def add_commands(app: typer.Typer) -> None:
    """Adds the group `stock`."""
    stock = typer.Typer(no_args_is_help=True, help="What is there: import, post and show stock figures.")
    client_command(stock, "import")(import_file)
    # So that a negative difference is a quantity and not an option.
    client_command(stock, "post", context_settings={"ignore_unknown_options": True})(post)
    client_command(stock, "show")(show)
    app.add_typer(stock, name="stock", rich_help_panel="Stock")


def import_file(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE.csv", help="CSV, plain or gzip; '-' is stdin.")],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Post the good lines though others are bad.")] = False,
    delta: Annotated[
        bool, typer.Option("--delta", help="Quantities are differences (deliveries, returns), not counts.")
    ] = False,
    measure: _MeasureOption = "",
    source: _SourceOption = "",
    check_only: Annotated[bool, typer.Option("--check", help="Only check the file; post nothing.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew though an earlier import of the file broke off.")
    ] = False,
    state: Annotated[
        str, typer.Option(metavar="FILE", help="Where to keep how far the import is; left out: beside the file.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Import stock figures from a CSV file.

    Columns: sku, location, quantity; also measure, position and one for each dimension of the policy. The whole file is
    checked first: every bad line is told with its number, and unless --skip-bad nothing is posted then. An import that
    broke off goes on where it stopped when the same command is given again; nothing is posted twice.

    Example: ringfence stock import stock.csv
    """
    from .import_state import StateFile
    from .output import write_note
    from .stock_file import Rules, StockFile
    from .stock_import import Import, begin, check, settings_of

    with session.client() as client, StockFile(file) as stock:
        rules = Rules.of(client.get_policy(), measure=measure, delta=delta)
        report = check(stock, rules)
        if check_only:
            _write_check(report, as_json)
        if report.bad_lines and not skip_bad:
            write_note(f"{_told(report)}; nothing was posted. --skip-bad posts the others")
            raise typer.Exit(BAD_INPUT)
        settings = settings_of(client, stock, rules, source)
        states = StateFile.beside(file, settings["content"], state)
        begun = begin(states, settings, restart=restart)
        if begun.lines:
            write_note(f"going on after line {begun.lines} of an import that began at {begun.began}")
        try:
            Import(client, stock, rules, report, source=source, skip_bad=skip_bad).run(begun, states)
        except KeyboardInterrupt:
            write_note(f"stopped after line {begun.lines}; the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None
        except Exception:
            write_note(f"stopped after line {begun.lines}; the same command goes on from there")
            raise
    _write_report(report, as_json)
    if report.counts.get("conflict"):
        raise typer.Exit(REFUSED)


def post(
    session: Session,
    sku: Annotated[str, typer.Argument(metavar="SKU")],
    location: Annotated[str, typer.Argument(metavar="LOCATION")],
    quantity: Annotated[str, typer.Argument(metavar="QUANTITY", help="What was counted; with --delta the difference.")],
    delta: Annotated[bool, typer.Option("--delta", help="A difference, such as 12 or -3, not a count.")] = False,
    measure: _MeasureOption = "",
    position: Annotated[
        int, typer.Option(min=0, metavar="N", help="The source's own rising number of this figure; 0: now.")
    ] = 0,
    count_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the source began to count, such as 2026-01-31T12:00:00Z.")
    ] = None,
    expected_value: Annotated[
        int | None, typer.Option(metavar="N", help="Only if the measure still has this value.")
    ] = None,
    source: _SourceOption = "",
    dimension: DimensionOption = None,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Post one stock figure: what a source counted, or a difference.

    The first post of a key makes it known.

    Example: ringfence stock post LAMP berlin 10
    """
    from ringfence import StockFigure

    amount = inputs.whole_number(quantity, "QUANTITY")
    inputs.located(location)
    figure = StockFigure(
        sku,
        location,
        None if delta else amount,
        delta=amount if delta else None,
        measure=measure,
        position=position,
        count_time=inputs.instant(count_time, "--count-time") if count_time else None,
        expected_value=expected_value,
        dimensions=inputs.dimensions(dimension or ()),
    )
    with session.client() as client:
        result = client.post_stock(figure, source=source, request_id=request_id)
    if as_json:
        from .output import write_json
        from .plain import plain

        write_json({"request_id": result.request_id, **plain(result.raw)})
    else:
        _write_outcomes(result)
    if _in_conflict(result):
        raise typer.Exit(REFUSED)


def _in_conflict(result: PostStockResult) -> bool:
    return any(outcome.result == "conflict" for outcome in result.outcomes)


def _write_outcomes(result: PostStockResult) -> None:
    from .output import Column, write_note, write_table
    from .views import dimensions_of, key_cells, key_columns, note_replay

    note_replay(result.replayed)
    dimensions = dimensions_of(outcome.key for outcome in result.outcomes)
    numbers = ("value", "position", "supply")
    write_table(
        [
            *key_columns(dimensions),
            Column("measure"),
            Column("result"),
            *(Column(name, numeric=True) for name in numbers),
        ],
        (
            [
                *key_cells(outcome.key, dimensions),
                outcome.measure,
                outcome.result.value,
                *(getattr(outcome, name) for name in numbers),
            ]
            for outcome in result.outcomes
        ),
    )
    if _in_conflict(result):
        write_note("conflict: this position is known with another value, which stays; give a newer --position")


def show(
    session: Session,
    skus: Annotated[list[str] | None, typer.Argument(metavar="SKU", help="These SKUs; none: all.")] = None,
    location: Annotated[
        list[str] | None, typer.Option("--location", metavar="NAME", help="Only this location; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most N stock keys; 0: all.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show stock keys with their measures, one row per measure.

    Example: ringfence stock show LAMP --location berlin
    """
    with session.client() as client:
        pager = client.list_stock(skus=skus or (), locations=location or (), page_size=inputs.page_size(limit))
        from .output import Column, Limited, time_text, write_cut, write_note, write_table

        items = Limited(pager, limit)
        if as_json:
            from .output import write_json_list
            from .plain import plain

            write_json_list("stocks", items, lambda found: plain(found.raw), {})
            return
        from .views import dimension_names, key_cells, key_columns

        dimensions = dimension_names(client)
        columns = [
            *key_columns(dimensions),
            Column("supply", numeric=True),
            Column("measure"),
            Column("value", numeric=True),
            Column("position", numeric=True),
            *map(Column, ("source", "count time", "record time")),
        ]
        rows: Any = (
            [
                *key_cells(found.key, dimensions),
                found.supply,
                value.measure,
                value.value,
                value.position,
                value.source,
                time_text(value.count_time),
                time_text(value.record_time),
            ]
            for found in items
            for value in found.measures.values()
        )
        if not write_table(columns, rows):
            write_note("nothing matches; a key that no source ever posted is absent, not zero")
        else:
            write_cut(items, f"first {limit} keys")


def _told(report: Report) -> str:
    from .output import counted

    lines = counted(report.lines + len(report.bad_lines), "line")
    return f"{len(report.bad_lines)} of {lines} {'is' if len(report.bad_lines) == 1 else 'are'} bad"


def _document(report: Report) -> dict[str, Any]:
    return {
        "lines": report.lines,
        "posted": report.posted,
        **{name: report.counts.get(name, 0) for name in ("applied", "duplicate", "stale", "conflict")},
        "resumed_after_line": report.resumed_after_line,
        "bad_lines": [{"line": found.line, "reason": found.reason} for found in report.bad_lines],
    }


def _write_check(report: Report, as_json: bool) -> None:
    """Tells what the check found and ends the command."""
    if as_json:
        from .output import write_json

        write_json(_document(report))
    else:
        from .output import counted

        good = f"no bad line among {counted(report.lines, 'line')}"
        print(f"{_told(report)}; nothing was posted" if report.bad_lines else good)
    raise typer.Exit(BAD_INPUT if report.bad_lines else 0)


def _write_report(report: Report, as_json: bool) -> None:
    if as_json:
        from .output import write_json

        write_json(_document(report))
        return
    from .output import counted

    came = ", ".join(f"{count} {result}" for result, count in sorted(report.counts.items()))
    print(f"posted {counted(report.posted, 'figure')}" + (f": {came}" if came else ""))
    if report.bad_lines:
        print(f"skipped {counted(len(report.bad_lines), 'bad line')}")
