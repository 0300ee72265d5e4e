"""Which instant a batch writes and a reader answers for: asked for again, an instant gives the same answer."""

from __future__ import annotations

from random import Random

import pytest

from ringfence_server.store.moments import Moments


def test_a_batch_is_recorded_now() -> None:
    """Where nothing stands in the way its record_time is the clock's."""
    assert Moments().begin(100, 0) == 100


def test_batches_of_one_instant_are_told_apart() -> None:
    """Two batches never share a record_time, also when the clock stands still or has gone back."""
    moments = Moments()
    first = moments.begin(100, 0)
    moments.end(committed=True)
    second = moments.begin(100, first)
    moments.end(committed=True)
    assert (first, second, moments.begin(40, second)) == (100, 101, 102)


def test_a_batch_lies_after_what_a_reader_was_answered_for() -> None:
    """A reader that was told how things stood at 100 must find the same at 100 later: what comes now comes after."""
    moments = Moments()
    assert moments.read_time(100, 0) == 100
    assert moments.begin(100, 0) == 101


def test_a_snapshot_stands_for_an_instant_before_the_batch_that_it_lacks() -> None:
    """A batch that is being written when the snapshot is taken lies after it, whether it commits in the end or not."""
    moments = Moments()
    moments.begin(100, 0)
    assert moments.read_time(200, 0) == 99
    moments.end(committed=False)
    assert moments.read_time(200, 0) == 200


def test_a_snapshot_stands_for_an_instant_before_a_batch_that_committed_after_it() -> None:
    """A reader may come to ask for its instant when the next batches are through already."""
    moments = Moments()
    for now in (100, 110, 120):
        moments.begin(now, 0)
        moments.end(committed=True)
    assert moments.read_time(200, 100) == 109


def test_a_snapshot_contains_the_batch_that_it_shows() -> None:
    """A batch that is visible before its writer has said so is part of the instant, also for a clock behind it."""
    moments = Moments()
    record_time = moments.begin(100, 0)
    assert moments.read_time(50, record_time) == record_time


def test_a_batch_that_was_undone_bounds_nobody() -> None:
    """Its record_time may be given again."""
    moments = Moments()
    moments.begin(100, 0)
    moments.end(committed=False)
    assert moments.read_time(150, 0) == 150
    assert moments.begin(120, 0) == 151


@pytest.mark.parametrize("seed", range(200))
def test_what_an_instant_was_answered_with_never_changes(seed: int) -> None:
    """In any order of batches, commits, failures, snapshots and late questions, with a clock that jumps: the batches up
    to the instant are exactly those that the snapshot had."""
    random = Random(seed)
    moments = Moments()
    clock = 1_000
    committed: list[int] = []
    in_flight: int | None = None
    visible = False
    snapshots: list[int] = []
    answers: list[tuple[int, int]] = []
    for _ in range(200):
        clock += random.choice((-3, 0, 0, 1, 1, 7))
        match random.randrange(5):
            case 0 if in_flight is None:
                in_flight = moments.begin(clock, committed[-1] if committed else 0)
                assert not committed or in_flight > committed[-1]
                visible = False
            case 1 if in_flight is not None and not visible:
                # Committed in the file; the writer has not got to say so yet.
                visible = True
                committed.append(in_flight)
            case 2 if in_flight is not None:
                moments.end(committed=visible)
                in_flight = None
            case 3:
                snapshots.append(committed[-1] if committed else 0)
            case 4 if snapshots:
                snapshot = snapshots.pop(random.randrange(len(snapshots)))
                answers.append((moments.read_time(clock, snapshot), snapshot))
    for instant, snapshot in answers:
        assert [moment for moment in committed if moment <= instant] == [
            moment for moment in committed if moment <= snapshot
        ]
