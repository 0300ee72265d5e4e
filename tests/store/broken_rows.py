"""Rows that no server writes, and that every database must refuse."""

from typing import Final

BROKEN: Final = {
    "promised_not_negative": "UPDATE stock SET promised = -1",
    "free_not_negative": "UPDATE pool SET pool_id = 5, free = -1",
    "held_not_negative": "UPDATE pool SET held = -1",
    "unsettled_not_negative": "UPDATE pool SET unsettled = -1",
    "granted_accounted": "UPDATE part SET granted = granted + 1",
    "not_negative": "UPDATE part SET held = held - 2, cancelled = cancelled + 2",
    "ck_part_not_negative": "UPDATE part SET expired = -1, cancelled = 1",
    "quantity_positive": "UPDATE entry SET quantity = 0",
    "uq_stock": "UPDATE stock SET sku = 'BIKE'",
    "pool.path": "UPDATE pool SET path = NULL",
}
"""By the constraint that refuses it."""
