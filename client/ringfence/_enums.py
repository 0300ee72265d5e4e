"""Enumerations of the client, as plain strings that print well.

`UNKNOWN` stands in every enumeration that a server answers with: a server newer than this client may know more values,
and an unknown one must not break the reading of the rest. The number that was sent is in the result's `raw`.
"""

import enum

__all__ = [
    "BookingResult",
    "CancelReason",
    "CountResult",
    "DiscrepancyKind",
    "EntryKind",
    "Fallback",
    "FigureResult",
    "Fill",
    "LocationKind",
    "MeasureKind",
    "OrderEventKind",
    "OrderReplyResult",
    "Place",
    "ReservationState",
    "Restock",
    "RollUpBy",
    "ShortageReason",
    "TillProgress",
    "WatchEventKind",
]


class Fallback(enum.StrEnum):
    """How far a request may borrow when its own pool does not suffice. It may narrow the policy's, never widen it."""

    UNKNOWN = "unknown"
    """A value that this client does not know; never send it."""
    NONE = "none"
    """Only the pool of the path itself."""
    ANCESTORS = "ancestors"
    """The path's own pool, then each parent's, then the common pool."""


class LocationKind(enum.StrEnum):
    """Who keeps the count of a location."""

    UNKNOWN = "unknown"
    """A value that this client does not know; never send it."""
    OWNED = "owned"
    """The service: consuming lowers the count, and a sale is settled at once."""
    TILL = "till"
    """A till: a sale stays unsettled until a figure of the till contains it."""


class MeasureKind(enum.StrEnum):
    """Whether a measure is a count or a sum of differences."""

    UNKNOWN = "unknown"
    """A value that this client does not know; never send it."""
    FIGURE = "figure"
    """Absolute values with a position."""
    COUNTER = "counter"
    """Differences only, in any order."""


class ReservationState(enum.StrEnum):
    """Where a reservation stands; with several parts, where the one furthest behind stands."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    HELD = "held"
    """Units are tied to the lease; nothing or only a part has been consumed."""
    CONSUMED = "consumed"
    """Everything that was held is sold; a till has not been told yet."""
    SENT = "sent"
    """The order has been sent to the till."""
    RECEIVED = "received"
    """The till has acknowledged the order."""
    SETTLED = "settled"
    """The count contains the sale; at an OWNED location at once."""
    EXPIRED = "expired"
    """The lease ended with nothing consumed; the units went back at exactly `expire_time`."""
    CANCELLED = "cancelled"
    """Everything was taken back."""
    CANCELLING = "cancelling"
    """A sent order is being cancelled; its units stay counted as sold until the till confirms."""
    REJECTED = "rejected"
    """The till refused the order; the sale stands until the channel cancels or re-sources it."""


class Fill(enum.StrEnum):
    """Whether a reservation got all that it asked for."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    FULL = "full"
    """Every line got what it asked for."""
    PARTIAL = "partial"
    """Some line got less; only possible with `allow_partial`."""


class Restock(enum.StrEnum):
    """When cancelled units can be sold again."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    AT_ONCE = "at_once"
    """Now: a hold, a sale that no till has been sent, or an OWNED location."""
    WHEN_TILL_CONFIRMS = "when_till_confirms"
    """When the till confirms the cancellation; until then the units stay counted as sold."""
    NONE = "none"
    """Nothing was left to take back."""


class CancelReason(enum.StrEnum):
    """Why an order was given up: lost sales are not changed minds."""

    UNKNOWN = "unknown"
    """A value that this client does not know; never send it."""
    CUSTOMER = "customer"
    """The customer changed their mind."""
    PAYMENT = "payment"
    """The payment failed or did not come."""
    FRAUD = "fraud"
    """Suspected fraud."""
    OUT_OF_STOCK = "out_of_stock"
    """The goods could not be delivered: a lost sale."""
    RETURNED = "returned"
    """The goods came back after delivery."""
    OTHER = "other"
    """Anything else; say it in `reason_text`."""


class FigureResult(enum.StrEnum):
    """What came of a posted figure."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    APPLIED = "applied"
    """In force now."""
    DUPLICATE = "duplicate"
    """The same position and value were known already: nothing to do."""
    STALE = "stale"
    """A newer position is in force. Final, not an error: do not retry."""
    CONFLICT = "conflict"
    """The same position is known with another value: two reads share one number, or the source is at fault."""
    GAP = "gap"
    """A chained delta that is ahead of what is in force: something between is missing. Send the absolute figure."""


class BookingResult(enum.StrEnum):
    """What came of the report of one sale line."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    APPLIED = "applied"
    """Something new was learned."""
    DUPLICATE = "duplicate"
    """Everything was known already: nothing to do."""
    CONFLICT = "conflict"
    """A position is known with another quantity; the first stands, the other is listed."""
    UNKNOWN_ORDER = "unknown_order"
    """No such sale. It is listed and moves nothing: send it again when the order is there."""


class CountResult(enum.StrEnum):
    """What came of the begin or the end of a full count."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    BEGUN = "begun"
    """The session is open."""
    APPLIED = "applied"
    """The end is done: what was not mentioned is zero."""
    DUPLICATE = "duplicate"
    """Begun or ended in the same way before: nothing to do."""
    INCOMPLETE = "incomplete"
    """Another number of keys than the service has, or never begun: nothing became zero. Send what is missing and the
    end again, under a new request_id."""
    NEEDS_CONFIRMATION = "needs_confirmation"
    """More would become zero than the policy allows unasked: a person looks, and sends the end with `confirmed`."""
    CONTINUE = "continue"
    """Some keys became zero and more are left: send the end again, under a new request_id."""
    CONFLICT = "conflict"
    """The count_id was begun with another location, measure, position or epoch; the first begin stands."""


class DiscrepancyKind(enum.StrEnum):
    """What did not fit between a till and the service."""

    UNKNOWN = "unknown"
    """A value that this client does not know; never send it."""
    SURPLUS_BOOKING = "surplus_booking"
    """The till booked more for an order line than was sold: the surplus counts as a walk-in."""
    BOOKED_AFTER_END = "booked_after_end"
    """The till booked an order that had expired or been cancelled: the units count as a walk-in."""
    BOOKED_WHILE_HELD = "booked_while_held"
    """The till booked an order that was only held: it is consumed by that fact."""
    POSITION_CONFLICT = "position_conflict"
    """Two figures of one position with different values; the first stands."""
    BOOKING_CONFLICT = "booking_conflict"
    """Two bookings of one line and position with different quantities; the first stands."""
    UNKNOWN_ORDER = "unknown_order"
    """The till booked an order that the service does not know."""
    SHORTFALL = "shortfall"
    """A fact left more promised than is there."""
    MOVED_STORE = "moved_store"
    """The till of another store booked the order: the sale moved there."""


class TillProgress(enum.StrEnum):
    """Where the part of an order stands on its way into a till, for lists of what is stuck."""

    UNKNOWN = "unknown"
    """A value that this client does not know; never send it."""
    NOT_SENT = "not_sent"
    """Sold, and not handed to an adapter yet."""
    NOT_RECEIVED = "not_received"
    """Handed to an adapter, and not acknowledged by the till."""
    NOT_SETTLED = "not_settled"
    """Acknowledged, and not in a figure of the till yet."""
    REJECTED = "rejected"
    """Rejected or closed short: the channel has to decide."""
    CANCELLING = "cancelling"
    """A cancellation that the till has not answered."""


class OrderEventKind(enum.StrEnum):
    """What an event of the order feed tells the till."""

    UNKNOWN = "unknown"
    """A value that this client does not know: fail the event, so that a newer adapter gets it."""
    ORDER = "order"
    """An online sale: book it."""
    CANCELLATION = "cancellation"
    """An online sale that was handed over before is to be cancelled: reverse it or refuse."""


class OrderReplyResult(enum.StrEnum):
    """What became of a reply to an event of the order feed."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    RECORDED = "recorded"
    """Durable."""
    DUPLICATE = "duplicate"
    """The event was replied to before: nothing changed. Final, not an error."""
    UNKNOWN_EVENT = "unknown_event"
    """There is no such event at the subscription's locations."""
    REFUSED = "refused"
    """The reply does not answer this kind of event, or breaks a rule of form. Nothing changed."""


class RollUpBy(enum.StrEnum):
    """What a roll-up keeps apart; all else is summed."""

    SKU = "sku"
    """One row per SKU."""
    LOCATION = "location"
    """One row per location."""
    LOCATION_GROUP = "location_group"
    """One row per location group; a location in several groups counts in each."""
    LEVEL = "level"
    """One row per path prefix of a given depth."""
    DIMENSION = "dimension"
    """One row per value of a given dimension."""


class WatchEventKind(enum.StrEnum):
    """What an event of a watch is."""

    UNKNOWN = "unknown"
    """A value that this client does not know: nothing to do."""
    RESET = "reset"
    """Forget what you have: a fresh snapshot follows."""
    SNAPSHOT = "snapshot"
    """A piece of the first state."""
    SNAPSHOT_END = "snapshot_end"
    """The first state is complete."""
    CHANGES = "changes"
    """Changes since the event before."""
    CHECKPOINT = "checkpoint"
    """Nothing changed; the resume token is newer."""


class ShortageReason(enum.StrEnum):
    """Why a line is short."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    NO_QUOTA = "no_quota"
    """The path has no quota on this key: it has nothing of its own."""
    QUOTA_EXHAUSTED = "quota_exhausted"
    """The pools that the line may draw on have fewer free units."""
    NET_SHORT = "net_short"
    """The pools have the units on paper, but more is promised than is there."""
    CAP_REACHED = "cap_reached"
    """A cap of the policy is reached."""


class Place(enum.StrEnum):
    """Where units of a stock key can be."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    OUTSIDE = "outside"
    """Outside: supply that comes or goes by a fact."""
    FREE = "free"
    """Free units of a pool."""
    HELD = "held"
    """Held units of a pool."""
    UNSETTLED = "unsettled"
    """Sold units of a pool that the till's figure does not contain yet."""
    SOLD = "sold"
    """Sold units that have left the count."""


class EntryKind(enum.StrEnum):
    """What caused a movement in the ledger."""

    UNKNOWN = "unknown"
    """A value that this client does not know."""
    SUPPLY = "supply"
    """A figure or delta of a source changed the supply."""
    ALLOCATE = "allocate"
    """Allocate."""
    UNALLOCATE = "unallocate"
    """Unallocate."""
    REALLOCATE = "reallocate"
    """Reallocate."""
    RESERVE = "reserve"
    """Reserve, or an increase by UpdateReservation."""
    RELEASE = "release"
    """A reduction by UpdateReservation, or `release_rest` of Consume."""
    CONSUME = "consume"
    """Consume."""
    CANCEL = "cancel"
    """Cancel."""
    EXPIRE = "expire"
    """The end of a lease."""
    REVIVE = "revive"
    """A lease that was over took its stock back."""
    REVALUE = "revalue"
    """A change of policy valued the key anew."""
    SETTLE = "settle"
    """A figure of the till came to contain a sale."""
