"""PostStock as a frozen command."""

from __future__ import annotations

from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.ledger.commands import Figure, PostStock
from ringfence_server.ledger.names import MAX_QUANTITY
from ringfence_server.ledger.outcomes import Violation

from . import forms
from .identity import Identity


def post_stock(request: pb.PostStockRequest, identity: Identity, faults: list[Violation]) -> PostStock:
    """A PostStock; its source is the caller unless it names one."""
    source = forms.name(request.source, "source", faults, required=False) or identity.caller
    figures: list[Figure] = []
    if forms.line_count(len(request.figures), "figures", faults):
        organization = identity.organization
        for number, figure in enumerate(request.figures):
            field = f"figures[{number}]"
            key = forms.stock_key(figure.key, organization, f"{field}.key", faults)
            measure = figure.measure
            if measure:
                forms.name(measure, f"{field}.measure", faults)
            change = figure.WhichOneof("change")
            units = 0
            if change is None:
                text = "a value (absolute) or a delta (a difference); 0 is set explicitly"
                faults.append(Violation(f"{field}.change", "REQUIRED", text))
            else:
                units = figure.value if change == "value" else figure.delta
                if abs(units) > MAX_QUANTITY:
                    forms.amount(units, f"{field}.{change}", faults)
            position = figure.position
            if position < 0:
                text = f"1 to 2^63-1, or 0 where the location is OWNED; got {position}"
                faults.append(Violation(f"{field}.position", "OUT_OF_RANGE", text))
            count_time = expected = None
            if figure.HasField("count_time"):
                count_time = forms.instant(figure.count_time, f"{field}.count_time", faults)
            if figure.HasField("expected_value"):
                expected = forms.amount(figure.expected_value, f"{field}.expected_value", faults)
            figures.append(Figure(key, measure, units, change == "delta", position, count_time, expected))
    return PostStock(source, tuple(figures))
