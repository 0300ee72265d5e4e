"""A way to the service on which messages are lost, come twice and out of order."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ringfence._client import Client
from ringfence._commands import PostStock
from ringfence._errors import OutcomeUnknown, RingfenceError, Unavailable
from ringfence._outcomes import CommandWithId, Outcome, split
from ringfence._results import PostStockResult
from ringfence.adapters.certify._scenarios import Scenario


class ChaoticClient(Client):
    """A client whose posts meet the scenario's accidents. What else it sends goes through."""

    def __init__(self, target: str, scenario: Scenario, chance: random.Random, **options: Any) -> None:
        super().__init__(target, **options)
        self._scenario = scenario
        self._chance = chance
        self._old: deque[PostStock] = deque(maxlen=50)
        self.calm = False
        """True: no more accidents."""
        self.accidents = 0
        """How many there were."""

    def post_stock(self, figures: Any = (), **named: Any) -> PostStockResult:
        """Posts, unless something happens on the way."""
        request_id, timeout = named.pop("request_id", None), named.pop("timeout", None)
        command = PostStock(figures, **named)
        return self._on_the_way(command, lambda: self.send(command, request_id=request_id, timeout=timeout))

    def sync_stock(self, posts: Iterable[CommandWithId], **named: Any) -> Iterator[Outcome[Any]]:
        """Posts one after the other, unless something happens on the way."""
        for entry in posts:
            request_id, command = split(entry)
            assert isinstance(command, PostStock)
            try:
                result = self.post_stock(
                    command.figures,
                    source=command.source,
                    bookings=command.bookings,
                    count_id=command.count_id,
                    request_id=request_id,
                )
            except RingfenceError as error:
                yield Outcome(command, request_id or "", None, error)
            else:
                yield Outcome(command, request_id or "", result, None)

    def _on_the_way(self, command: PostStock, post: Callable[[], PostStockResult]) -> PostStockResult:
        if self.calm:
            return post()
        if self._happens(self._scenario.lost_requests):
            raise Unavailable("lost on the way", code="UNAVAILABLE")
        if self._old and self._happens(self._scenario.copies):
            # An older message arrives again, before this one.
            self.send(self._chance.choice(self._old))
        result = post()
        if not command.count_id:
            self._old.append(command)
        if self._happens(self._scenario.lost_answers):
            raise OutcomeUnknown("the answer was lost", code="UNAVAILABLE")
        return result

    def _happens(self, chance: float) -> bool:
        happens = self._chance.random() < chance
        self.accidents += happens
        return happens
