"""The rules of Ringfence: pure functions over plain state, nothing but Python.

No I/O, no clock, no protobuf, no SQL: ``(state, command, now) -> movements | refusal``. Every rule stands here exactly
once. Where to look:

===================  ==================================================================================
``names``            stock keys, group paths, limits of quantities
``policy``           what an organization's policy allows
``state``            the loaded rows a batch works on: stocks, pools, reservations, parts
``till_state``       those of the till side: sales, events, counts, discrepancies
``journal``          the one function that moves a quantity and writes its ledger entry
``promise``          net, sellable, the draft in which demands are tried before anything moves
``sourcing``         which location gives a line that names none
``allocate``         Allocate, Unallocate, Reallocate
``reserve``          Reserve, UpdateReservation
``consume``          Consume, with revive
``cancel``           Cancel and what it restocks
``lease``            when a hold ends, and applying what is due
``supply``           the supply formula, re-valuation
``post_stock``       PostStock: bookings, figures and counts of one request
``figure``           which figure is newer, and what a newer one moves
``settle``           what a till's figure contains of a sale, what is owed, rule S
``booking``          what a till books for online sales
``full_count``       a count that zeroes what it did not mention
``feed``             orders out to tills, their replies in
``reassign``         ReassignPart
``published``        what adapters last showed to the world
``balance``          what a query answers: figures, shortfalls, roll-ups
``decide``           one command in, one outcome out
===================  ==================================================================================
"""
