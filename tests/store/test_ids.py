"""Ids that the store makes: they rise, they are never given twice, and UUIDs are what they claim to be."""

from __future__ import annotations

from uuid import UUID

from ringfence_server.store.ids import Ids

NOW = 1_772_442_000_123_456


def test_a_reservation_id_is_a_uuid7_of_the_batch() -> None:
    """RFC 9562: version 7, the variant, and the batch's milliseconds in front."""
    ids = Ids()
    ids.now = NOW
    found = UUID(bytes=ids.reservation_id())
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert found.int >> 80 == NOW // 1_000


def test_reservation_ids_rise() -> None:
    """Within a batch, from batch to batch, and when the clock has gone back: later orders lie behind earlier ones."""
    ids = Ids()
    made = []
    for now in (NOW, NOW, NOW + 1_000, NOW - 5_000_000, NOW + 1_000, NOW + 2_000):
        ids.now = now
        made += [ids.reservation_id() for _ in range(1_000)]
    assert made == sorted(set(made))
    assert {UUID(bytes=each).version for each in made} == {7}
    assert {UUID(bytes=each).variant for each in made} == {"specified in RFC 4122"}


def test_reservation_ids_rise_when_a_millisecond_has_no_more() -> None:
    """While the clock stands still for long: the ids run ahead of it by a millisecond, and are UUIDs as before."""
    ids = Ids(slot_count=64)
    ids.now = NOW
    made = [ids.reservation_id(63)]
    ids._rest |= (1 << 61) | (1 << 62) - (1 << 38)
    made += [ids.reservation_id(63) for _ in range(1_000)]
    assert made == sorted(set(made))
    assert {UUID(bytes=each).version for each in made} == {7}
    assert {UUID(bytes=each).variant for each in made} == {"specified in RFC 4122"}
    assert {each[-1] & 63 for each in made} == {63}
    assert UUID(bytes=made[-1]).int >> 80 == NOW // 1_000 + 1


def test_two_servers_make_different_ids_in_one_millisecond() -> None:
    """After a restart, too: nothing but chance tells them apart, and it has 73 bits."""
    made = set()
    for _ in range(200):
        ids = Ids()
        ids.now = NOW
        made.add(ids.reservation_id())
    assert len(made) == 200


def test_stock_ids_rise_and_fit_64_bits() -> None:
    """They begin with the time, so that keys of one import lie together; a million a millisecond still rise."""
    ids = Ids()
    made = []
    for now in (NOW, NOW, NOW + 1_000, NOW - 5_000_000, NOW + 2_000):
        ids.now = now
        made += [ids.stock_id() for _ in range(1_000)]
    assert made == sorted(set(made))
    assert made[0] == NOW // 1_000 << 20
    assert made[-1] < 2**63
    # 10^15 µs is the year 2001, 4 × 10^15 the year 2096.
    ids.now = 4 * 10**15
    assert ids.stock_id() < 2**63


def test_stock_ids_go_on_from_the_last_one_stored() -> None:
    """A server whose clock is behind gives no number twice."""
    last = NOW // 1_000 << 20
    ids = Ids(last)
    ids.now = NOW - 3_600_000_000
    assert [ids.stock_id(), ids.stock_id()] == [last + 1, last + 2]
