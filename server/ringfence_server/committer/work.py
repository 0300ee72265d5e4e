"""One batch of requests as a unit of work: pure but for the monotonic instant it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from ringfence_server.ledger.commands import SetPolicy
from ringfence_server.ledger.decide import bring_up_to_date, decide
from ringfence_server.ledger.idempotency import StoredOutcome, repeat_of, too_old
from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.needs import Needs, after_counts, after_reservations, needs_of
from ringfence_server.ledger.outcomes import REFUSAL_TYPES, UNSTORED_TYPES, Decision, RequestIdReused
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.policy_change import set_policy
from ringfence_server.ledger.state import Part, Reservation
from ringfence_server.ledger.till_state import CountKey, CountSession
from ringfence_server.ledger.work import OutcomeRow, PolicyUse, RequestKey

from .request import Answer, Failure, Request, Stamp


class Poisoned(Exception):
    """Deciding one request raised: a fault of ours. The batch is rolled back and run again without it."""

    def __init__(self, request: Request) -> None:
        super().__init__("a command could not be decided")
        self.request = request


class BatchWork:
    """Decides requests in their order on one state; each one's refusal touches no other."""

    def __init__(self, requests: Sequence[Request], monotonic_now: float) -> None:
        self.requests = requests
        self.request_keys: Sequence[RequestKey] = [(request.scope, request.request_id) for request in requests]
        self.organizations: Collection[str] = {request.organization for request in requests}
        first = requests[0].command if requests else None
        self.policy_organization: str | None = requests[0].organization if isinstance(first, SetPolicy) else None
        self._monotonic_now = monotonic_now
        self.answers: list[Answer] = []

    def needs(self, policies: Mapping[str, Policy], stored: Mapping[RequestKey, StoredOutcome]) -> Needs:
        """The rows to load for what is no repeat."""
        needs = Needs()
        for request, key in zip(self.requests, self.request_keys, strict=True):
            if key not in stored:
                policy = policies[request.organization]
                needs_of(needs, request.organization, request.caller, request.command, policy)
        return needs

    def needs_of_each(self, policies: Mapping[str, Policy]) -> Sequence[Needs]:
        """The rows that each request names by itself, repeats too."""
        named = [Needs() for _ in self.requests]
        for needs, request in zip(named, self.requests, strict=True):
            organization = request.organization
            needs_of(needs, organization, request.caller, request.command, policies[organization])
        return named

    def needs_after(
        self,
        needs: Needs,
        policies: Mapping[str, Policy],
        reservations: Mapping[bytes, Reservation],
        orders: Mapping[tuple[str, str, str], Iterable[bytes]] = MappingProxyType({}),
    ) -> None:
        """Adds what is known only when the named reservations are loaded."""
        for request in self.requests:
            after_reservations(needs, request.command, policies[request.organization], reservations, orders)

    def needs_after_counts(
        self, needs: Needs, policies: Mapping[str, Policy], counts: Mapping[CountKey, CountSession]
    ) -> None:
        """Adds what is known only when the full counts are loaded."""
        for request in self.requests:
            after_counts(needs, request.organization, request.command, counts)

    def decide(
        self,
        batch: Batch,
        stored: Mapping[RequestKey, StoredOutcome],
        due: Iterable[tuple[Reservation, Part]],
        use: PolicyUse | None,
    ) -> Sequence[OutcomeRow]:
        """Answers every request in order; what it moved stands in ``batch``. Runs again from nothing when repeated."""
        self.answers = answers = []
        decided: dict[RequestKey, OutcomeRow] = {}
        bring_up_to_date(batch, due)
        now = batch.now
        stamp = Stamp(batch.revision, now, batch.slots)
        for request, key in zip(self.requests, self.request_keys, strict=True):
            if request.deadline is not None and request.deadline < self._monotonic_now:
                answers.append(Answer(b"", True, False, now, Failure.DEADLINE))
                continue
            earlier = stored.get(key)
            if earlier is None and key in decided:
                # Twice in this batch.
                row = decided[key]
                earlier = StoredOutcome(row.fingerprint, row.refusal, row.payload)
            if earlier is not None:
                repeat = repeat_of(earlier, request.fingerprint)
                if isinstance(repeat, RequestIdReused):
                    answers.append(Answer(request.encode(repeat, stamp), True, False, now))
                else:
                    answers.append(Answer(repeat.payload, repeat.refusal, True, now))
                continue
            late = too_old(request.request_id, now, batch.forgotten_until.get(request.scope, 0))
            if late is not None:
                answers.append(Answer(request.encode(late, stamp), True, False, now))
                continue
            first_sequence = batch.newest_sequence
            batch.request_id = request.request_id
            try:
                decision = self._decide(batch, request, use)
                payload = request.encode(decision, stamp)
            except Exception as fault:
                raise Poisoned(request) from fault
            kind = type(decision)
            refusal = kind in REFUSAL_TYPES
            answers.append(Answer(payload, refusal, False, now))
            if request.kept and kind not in UNSTORED_TYPES:
                decided[key] = OutcomeRow(
                    request.request_id,
                    request.scope,
                    request.fingerprint,
                    refusal,
                    payload,
                    batch.record_time,
                    first_sequence,
                    batch.newest_sequence,
                )
        return list(decided.values())

    @staticmethod
    def _decide(batch: Batch, request: Request, use: PolicyUse | None) -> Decision:
        command = request.command
        if isinstance(command, SetPolicy):
            assert use is not None
            return set_policy(batch, request.organization, command, use.quotas, use.dimensions, use.unsettled)
        return decide(batch, request.organization, request.caller, command)


class SweepWork(BatchWork):
    """A batch without requests: the store applies what is due, nothing else."""

    def __init__(self) -> None:
        super().__init__((), 0.0)


class RevalueWork(BatchWork):
    """Touches stock keys that an older policy valued, so that nobody has to wait for their first decision."""

    def __init__(self, keys: Sequence[StockKey]) -> None:
        super().__init__((), 0.0)
        self._keys = keys
        self.organizations = {key.organization for key in keys}

    def needs(self, policies: Mapping[str, Policy], stored: Mapping[RequestKey, StoredOutcome]) -> Needs:
        """The keys with their common pools."""
        needs = Needs()
        for key in self._keys:
            needs.add_pools(key, ())
        return needs
