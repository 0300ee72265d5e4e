"""The unit of work between committer and store: what to load, what to decide, what to write besides.

The committer makes it, the store runs it inside one transaction; neither imports the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from .idempotency import StoredOutcome
from .journal import Batch
from .names import StockKey
from .needs import Needs
from .outcomes import OpenSales, QuotaInUse
from .policy import Policy
from .state import Part, Reservation
from .till_state import CountKey, CountSession

RequestKey = tuple[int, bytes]
"""(scope of organization and caller, request_id)."""
Place = tuple[str, str]
"""(organization, location)."""


class OutcomeRow(NamedTuple):
    """An outcome to be kept, in the column order of its table."""

    request_id: bytes
    scope: int
    fingerprint: bytes
    refusal: bool
    payload: bytes
    record_time: int
    first_sequence: int
    """Ledger entries of the request, in every slot: first_sequence < sequence <= last_sequence."""
    last_sequence: int


class PolicyUse(NamedTuple):
    """What stands in the way of a new policy; loaded only when one is to be set."""

    quotas: Sequence[QuotaInUse]
    dimensions: Collection[str]
    unsettled: Mapping[str, OpenSales] = MappingProxyType({})
    """By location: what of its sales no figure contains yet."""


class Work(Protocol):
    """One batch, as the store sees it."""

    request_keys: Sequence[RequestKey]
    organizations: Collection[str]
    policy_organization: str | None
    """The organization whose policy this work sets; such a work holds nothing else."""

    def needs(self, policies: Mapping[str, Policy], stored: Mapping[RequestKey, StoredOutcome]) -> Needs:
        """The rows to load; what is a repeat needs none."""

    def needs_of_each(self, policies: Mapping[str, Policy]) -> Sequence[Needs]:
        """The rows that each request names by itself, in the order of ``request_keys``."""

    def needs_after(
        self,
        needs: Needs,
        policies: Mapping[str, Policy],
        reservations: Mapping[bytes, Reservation],
        orders: Mapping[tuple[str, str, str], Iterable[bytes]] = MappingProxyType({}),
    ) -> None:
        """Adds what is known only when the named reservations are loaded; ``orders`` is ``Batch.orders``."""

    def needs_after_counts(
        self, needs: Needs, policies: Mapping[str, Policy], counts: Mapping[CountKey, CountSession]
    ) -> None:
        """Adds what is known only when the full counts are loaded: ``needs.scopes``. Call it when ``needs.counts`` is
        not empty."""

    def decide(
        self,
        batch: Batch,
        stored: Mapping[RequestKey, StoredOutcome],
        due: Iterable[tuple[Reservation, Part]],
        use: PolicyUse | None,
    ) -> Sequence[OutcomeRow]:
        """Decides every request on the loaded state; answers the outcomes to keep."""


class Committed(NamedTuple):
    """What a durable batch was."""

    revision: int
    record_time: int
    changed: Sequence[StockKey]
    """Keys whose balances moved."""
    policies: Sequence[str] = ()
    """Organizations whose policy changed."""
    slots: int = 1
    """A bit for each slot of the store whose revision it is now."""
    orders: Collection[Place] = ()
    """Where order events became open to be handed over: new ones, those that failed and may
    be handed over again, and those that waited for an earlier one of their part. What opens by time alone is not
    told: ``Reader.orders_due``."""


class StoreUnavailable(Exception):
    """The store cannot be written or read now; nothing of the batch happened. The request_id tells what did."""


class RequestsBlocked(StoreUnavailable):
    """Somebody keeps what some requests of a work need; nothing of it happened. The work without them can be run."""

    def __init__(self, requests: Sequence[int]) -> None:
        super().__init__("another transaction keeps what they need locked, and does not go on")
        self.requests = requests
        """Their places in ``Work.request_keys``, rising; none only where the work has no requests."""


class BatchRejected(Exception):
    """The store refused the batch's rows (a constraint); nothing of the batch happened."""
