"""Which status a policy that is not put in force is: it says what stands in the way, and what would end that."""

from __future__ import annotations

from google.rpc import code_pb2

from ringfence.v1 import errors_pb2
from ringfence_server.ledger.outcomes import QuotaInUse, QuotasInUse, SettlementsInUse

from .render import dimension_metadata, key_fields, key_text
from .status import status_bytes


def quotas_in_use(refusal: QuotasInUse) -> bytes:
    """QUOTA_IN_USE: the pools that the new rules would orphan, and how the first of them is ended."""
    first = refusal.quotas[0]
    more = f", and {len(refusal.quotas) - 1} more pools" if len(refusal.quotas) > 1 else ""
    return status_bytes(
        code_pb2.FAILED_PRECONDITION,
        f"the policy no longer allows path {first.path!r}, which has a quota on {key_text(first.key)}: "
        f"{_what_ends(first)}{more}",
        "QUOTA_IN_USE",
        {
            "path": first.path,
            "allocated": str(first.allocated),
            "free": str(first.allocated - first.held),
            "held": str(first.held),
            "unsettled": str(first.unsettled),
            "sku": first.key.sku,
            "location": first.key.location,
            "quotas": str(len(refusal.quotas)),
            "more": str(len(refusal.quotas) - 1),
            **dimension_metadata(first.key),
        },
        errors_pb2.QuotasInUse(
            quotas=[
                {
                    "key": key_fields(quota.key),
                    "path": quota.path,
                    "allocated": quota.allocated,
                    "held": quota.held,
                    "unsettled": quota.unsettled,
                }
                for quota in refusal.quotas
            ]
        ),
    )


def _what_ends(quota: QuotaInUse) -> str:
    """What the pool has, and what would have to be done with it first."""
    free = quota.allocated - quota.held
    if not (free or quota.held or quota.unsettled):
        return "it is sold out, but cancelled units would come back to it; unallocate all its free units (0) to end it"
    steps = []
    if quota.held:
        steps.append(f"{quota.held} held: consume or cancel them, or let their leases end")
    if quota.unsettled:
        steps.append(f"{quota.unsettled} sold and not settled: post the till's figures, or cancel them")
    steps.append(f"{free} free: then unallocate all that is free")
    return "; ".join(steps)


def settlements_in_use(refusal: SettlementsInUse) -> bytes:
    """SETTLEMENT_IN_USE: locations with sales that no figure contains yet, and what of them has to stay until then."""
    keep, sales = refusal.locations[0]
    more = f"; {len(refusal.locations) - 1} more locations" if len(refusal.locations) > 1 else ""
    measure, source = keep.settlement_measure, keep.source
    return status_bytes(
        code_pb2.FAILED_PRECONDITION,
        f"location {keep.name!r} has {sales.units} units of {sales.sales} sales, of {sales.keys} keys, that no figure "
        f"contains yet{more}: keep its kind {keep.kind.name}, settlement_measure {measure!r} and source {source!r} "
        "until the till's figures settle them or they are cancelled",
        "SETTLEMENT_IN_USE",
        {
            "location": keep.name,
            "unsettled": str(sales.units),
            "sales": str(sales.sales),
            "keys": str(sales.keys),
            "kind": keep.kind.name,
            "settlement_measure": measure,
            "source": source,
            "locations": str(len(refusal.locations)),
            "more": str(len(refusal.locations) - 1),
        },
        errors_pb2.SettlementsInUse(
            locations=[
                {
                    "location": each.keep.name,
                    "unsettled": each.open.units,
                    "keys": each.open.keys,
                    "sales": each.open.sales,
                    "kind": each.keep.kind.value,
                    "settlement_measure": each.keep.settlement_measure,
                    "source": each.keep.source,
                }
                for each in refusal.locations
            ]
        ),
    )
