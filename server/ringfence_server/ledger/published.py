"""ReportPublished: what an adapter last showed to the world, beside what is. It moves nothing."""

from __future__ import annotations

from .checks import dimensions_violation, path_violation
from .commands import ReportPublished
from .journal import Batch
from .outcomes import Invalid, PublishedReported, Refusal, StockNotFound
from .till_state import Published


def report_published(batch: Batch, organization: str, command: ReportPublished) -> PublishedReported | Refusal:
    """Keeps the newest report per key, path and publisher, by the publisher's own time."""
    policy = batch.policy(organization)
    for number, each in enumerate(command.quantities):
        field = f"quantities[{number}]"
        violation = path_violation(policy, each.path, f"{field}.path")
        violation = violation or dimensions_violation(policy, each.key, f"{field}.key")
        if violation is not None:
            return Invalid((violation,))
        if each.key not in batch.stocks:
            return StockNotFound(each.key, f"{field}.key")
    applied = 0
    for each in command.quantities:
        known = batch.stocks[each.key].published
        if known is None:
            raise LookupError(f"what was published of {each.key} was not loaded")
        name = (command.publisher, each.path)
        report = known.get(name)
        if report is None:
            known[name] = Published(command.publisher, each.path, each.quantity, each.publish_time, batch.record_time)
        elif each.publish_time >= report.publish_time:
            report.quantity, report.publish_time = each.quantity, each.publish_time
            report.record_time = batch.record_time
            report.changed = True
        else:
            continue
        applied += 1
    return PublishedReported(applied)
