"""The contract on the wire: protobuf in, domain commands out; identities, errors, deadlines. Knows grpc, not SQL.

=====================  ================================================================================
``services``           what handlers work with
``identity``           who calls, from the call's metadata
``times``              timestamps and durations as integer microseconds
``forms``              rules of form that every request shares: names, paths, keys, quantities
``parse_*``            a request message as a frozen command, or every rule it breaks
``render``             reservations, pools and keys as messages
``encode``             a decision as the bytes that are stored and answered
``wire``               protobuf written by hand, where a payload must not be serialised twice
``tokens``             revision and page tokens
``status``             google.rpc.Status as bytes, cut to what a call's trailer carries
``errors``             which status a refusal or a failure is
``handlers``           gRPC handlers around plain coroutines: no fault leaves them unmapped
``methods``            the mutating methods, each with its parser and its encoder
``commands``           the unary mutating RPCs
``execute``            the streams of commands and of facts
``order_feed``         StreamOrders
``queries``            every read but the watch; ``query_*`` hold them
``watch``              WatchBalances
``registry``           every handler of the service, by its full method name
=====================  ================================================================================
"""
