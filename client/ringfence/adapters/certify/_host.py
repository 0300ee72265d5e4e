"""The real service, in memory, with a clock that is moved by hand."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from ringfence._client import Client
from ringfence._enums import LocationKind
from ringfence._policy_types import Location
from ringfence._uuid7 import Uuid7Generator
from ringfence.testing import RingfenceServer


class ServerHost:
    """A RingfenceServer as the bench needs it. Use it with `with`. Needs `ringfence[server]`."""

    def __init__(self) -> None:
        self._server = RingfenceServer()
        # By the wall clock the ids would be too old, or of the future.
        self._ids = Uuid7Generator(lambda: int(self.now().timestamp() * 1_000))

    def __enter__(self) -> ServerHost:
        self._server.start()
        return self

    def __exit__(self, *raised: object) -> None:
        with suppress(Exception):
            self._server.stop()

    @property
    def target(self) -> str:
        """Where it is."""
        return self._server.target

    def prepare(self, location: str, organization: str) -> None:
        """Makes a location a till's."""
        with Client(self.target, organization=organization, caller="certify", request_ids=self._ids) as client:
            policy = client.get_policy()
            places = [Location(location, LocationKind.TILL, "on_hand", source="pos")]
            client.set_policy(replace(policy, locations=places))

    def now(self) -> datetime:
        """Its time."""
        return self._server.clock.time

    def request_id(self) -> str:
        """An id of the service's time."""
        return self._ids()

    def advance(self, span: timedelta) -> None:
        """Moves its clock."""
        self._server.clock.advance(span)
