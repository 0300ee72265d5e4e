"""GetStock, ListStock and GetPolicy: the facts in force, and the rules."""

from __future__ import annotations

from typing import Any, Final

from ringfence.v1 import policy_service_pb2, stock_service_pb2
from ringfence_server.ledger.checks import dimensions_violation
from ringfence_server.ledger.names import MAX_SKU
from ringfence_server.ledger.outcomes import Invalid, StockNotFound, Violation
from ringfence_server.ledger.reading import KeyFilter, KeyPosition, Reader
from ringfence_server.ledger.state import MeasureValue, Stock

from . import forms
from .balance_messages import names_of
from .errors import Refused, invalid
from .identity import Identity
from .pages import key_items, key_of_items, page_size
from .render import Fields, key_fields, published_fields
from .render_policy import policy_message
from .services import Services
from .times import time_fields
from .tokens import page_position, page_token

_KEYS_A_READ: Final = 250


class GetStock:
    """The behaviour of GetStock."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: stock_service_pb2.GetStockRequest, identity: Identity, context: Any
    ) -> stock_service_pb2.GetStockResponse:
        """Answers the measures of one key, or refuses with STOCK_NOT_FOUND."""
        faults: list[Violation] = []
        key = forms.stock_key(request.key, identity.organization, "key", faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        read = await self._reader.points(identity.organization, (key,))
        stock = read.stocks.get(key)
        if stock is None:
            violation = dimensions_violation(read.policy, key, "key")
            raise Refused(StockNotFound(key, "key") if violation is None else Invalid((violation,)))
        return stock_service_pb2.GetStockResponse(
            stock=_stock_fields(stock), server_time=time_fields(read.moment.instant)
        )


class ListStock:
    """The behaviour of ListStock."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: stock_service_pb2.ListStockRequest, identity: Identity, context: Any
    ) -> stock_service_pb2.ListStockResponse:
        """Answers one page, in the order of the keys."""
        faults: list[Violation] = []
        skus = names_of(request.skus, "skus", faults, longest=MAX_SKU)
        locations = names_of(request.locations, "locations", faults)
        size = page_size(request.page_size, faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        organization = identity.organization
        position = page_position(organization, request, (str, str, str))
        begun = None if position is None else key_of_items(*position)
        start: KeyPosition | None = begun
        wanted = KeyFilter(organization, skus, locations or None)
        stocks: list[Stock] = []
        async with self._reader.snapshot(organization) as snapshot:
            while True:
                read = await snapshot.keys(wanted, start, min(_KEYS_A_READ, size + 2))
                stocks += [stock for stock in read.stocks if begun is None or _position(stock) != begun]
                start = read.last
                if start is None or len(stocks) > size:
                    break
            instant = snapshot.moment.instant
        token = ""
        if len(stocks) > size:
            token = page_token(organization, request, key_items(stocks[size - 1].key))
        return stock_service_pb2.ListStockResponse(
            stocks=[_stock_fields(stock) for stock in stocks[:size]],
            next_page_token=token,
            server_time=time_fields(instant),
        )


class GetPolicy:
    """The behaviour of GetPolicy."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: policy_service_pb2.GetPolicyRequest, identity: Identity, context: Any
    ) -> policy_service_pb2.GetPolicyResponse:
        """Answers the policy in force, or an earlier version."""
        organization, revision = identity.organization, request.revision
        if not revision:
            policy = await self._reader.policy(organization)
        else:
            version = await self._reader.policy_version(organization, revision)
            if version is None:
                current = (await self._reader.policy(organization)).revision
                text = f"1 to {current:,}, or 0 for the one in force; got {revision:,}"
                raise invalid("revision", "REVISION_UNKNOWN", text)
            policy = version
        return policy_service_pb2.GetPolicyResponse(policy=policy_message(policy))


def _position(stock: Stock) -> KeyPosition:
    key = stock.key
    return KeyPosition(key.sku, key.location, key.dimensions)


def _stock_fields(stock: Stock) -> Fields:
    return {
        "key": key_fields(stock.key),
        "measures": [_measure_fields(stock.measures[name]) for name in sorted(stock.measures)],
        "supply": stock.supply,
        "published": [published_fields(report) for _, report in sorted((stock.published or {}).items())],
    }


def _measure_fields(value: MeasureValue) -> Fields:
    fields: dict[str, Any] = {
        "measure": value.measure,
        "value": value.value,
        "position": value.position,
        "source": value.source,
    }
    if value.epoch:
        fields["epoch"] = value.epoch
    if value.count_time is not None:
        fields["count_time"] = time_fields(value.count_time)
    if value.record_time:
        # A measure that only sales have changed was never recorded from a source.
        fields["record_time"] = time_fields(value.record_time)
    return fields
