"""What an integrator writes for a till: four methods, and what a runner tells them."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from ringfence._till_types import OrderEvent
from ringfence.adapters._types import (
    Answer,
    Cancelled,
    Later,
    NotCancelled,
    ReadReport,
    Received,
    Rejected,
    Shown,
    TillRead,
)

__all__ = ["PosAdapter"]


class PosAdapter(abc.ABC):
    """A till or ERP system, as a runner sees it. All methods are called from one thread, one at a time, and may block.

    What is raised counts as a failure of the other system: it is logged and counted, and the call comes again after a
    pause. After a crash any call may come again, so each must end in the same state when it is done twice.
    """

    @abc.abstractmethod
    def read(self) -> TillRead | None:
        """Bookings and figures in ONE consistent read; None when there is nothing new.

        A till that cannot read both at once reads bookings first and figures second, never the other way round.
        """

    @abc.abstractmethod
    def post_order(self, order: OrderEvent, *, repeated: bool) -> Received | Rejected | Later:
        """Gives the till an online order. Book it by `order_reference`, line and part, not by `event_id` alone.

        `repeated` is True when the same event may have reached the till before, because the program ended in between:
        look whether it is there.
        """

    @abc.abstractmethod
    def cancel_order(self, cancellation: OrderEvent, *, repeated: bool) -> Cancelled | NotCancelled | Later:
        """Asks the till to cancel `quantity` units of an order that it was given before."""

    @abc.abstractmethod
    def publish(self, shown: Sequence[Shown]) -> None:
        """Shows what is available: absolute quantities, only those that differ from what was shown before, at most
        1,000 at a time."""

    def changed(self) -> bool:
        """Whether there is something to read, for the schedule "on change": asked every few seconds."""
        return True

    def more(self) -> bool:
        """Whether there is more to read at once, such as another export of the same folder."""
        return False

    def posted(self, read: TillRead, report: ReadReport) -> None:  # noqa: B027  # a till needs none of these
        """The read is durable at the service: it need not be read again."""

    def refused(self, read: TillRead, reason: str) -> None:  # noqa: B027
        """The service refused a part of the read for good, and took the rest: reading the same again will not help."""

    def answers(self) -> Sequence[Answer]:
        """Late answers of the till to what it was told with Later, at most 1,000 at a time."""
        return ()

    def answered(self, answer: Answer) -> None:  # noqa: B027
        """A late answer is durable at the service."""

    def answer_refused(self, answer: Answer, reason: str) -> None:
        """A late answer does not fit its event, or breaks a rule of form. By default it is dropped like one that is
        durable."""
        self.answered(answer)

    def close(self) -> None:  # noqa: B027
        """Frees what the adapter holds; nothing is called after it."""
