"""Adapters: between Ringfence and the systems it serves.

`PosAdapter` is what an integrator writes for a till, four methods; `PosRunner` does the rest: when to read, positions,
what survives a crash, orders in, availability out. `ChannelAdapter` and `ChannelRunner` are the same for a shop.

    from ringfence import Client
    from ringfence.adapters import PosRunner, RunnerConfig

    runner = PosRunner(MyTill(), Client(), RunnerConfig(name="till-1", locations=["berlin"], state=Path("state")))
    runner.run()

`csv_folder` and `sql_tables` are two adapters for real; `ringfence adapter run` runs them from a configuration file.
`simulated_till` is a till whose journal is known: what an adapter's behaviour is judged by.
"""

from ringfence.adapters._channel import (
    ChannelAdapter,
    ChannelConfig,
    ChannelOrder,
    ChannelResult,
    ChannelRunner,
    OrderStage,
)
from ringfence.adapters._metrics import Counters
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._publishing import Balances, QueriedBalances, WatchedBalances
from ringfence.adapters._runner import PosRunner, RunnerConfig
from ringfence.adapters._schedule import Backoff, Schedule
from ringfence.adapters._types import (
    AdapterError,
    Answer,
    Cancelled,
    Later,
    NotCancelled,
    OrderAnswer,
    ReadReport,
    Received,
    Rejected,
    SaleTotal,
    Shown,
    TillRead,
)

__all__ = [
    "AdapterError",
    "Answer",
    "Backoff",
    "Balances",
    "Cancelled",
    "ChannelAdapter",
    "ChannelConfig",
    "ChannelOrder",
    "ChannelResult",
    "ChannelRunner",
    "Counters",
    "Later",
    "NotCancelled",
    "OrderAnswer",
    "OrderStage",
    "PosAdapter",
    "PosRunner",
    "QueriedBalances",
    "ReadReport",
    "Received",
    "Rejected",
    "RunnerConfig",
    "SaleTotal",
    "Schedule",
    "Shown",
    "TillRead",
    "WatchedBalances",
]
