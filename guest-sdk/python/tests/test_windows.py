"""Windows: what they are by a naive account of them, as in the Rust SDK's tests."""

import random
from dataclasses import dataclass

import pytest

from sandbar_sdk import Plugin, Skip, Windows
from sandbar_sdk.declare import Declarations
from sandbar_sdk.testing import Host


def kind_of(shape: str, sizes: tuple[int, ...], late: int = 0) -> type[Plugin]:
    """A plugin that lists the numbers of each window's records."""
    class Viewed(Plugin):
        outputs = ("out", "late")
        views = Windows[list[int]](
            [], lambda numbers, event: [*numbers, event.json()["n"]], lambda one, other: sorted(one + other))
        getattr(views, shape)(*sizes, allowed_lateness=late)

        def process(self, event, out):
            if not self.views.add(event, out):
                out.emit(event.key, event.json()["n"], output="late")
            if event.json().get("refused"):
                raise Skip("told to")

        @views.closes
        def on_closed(self, window, out):
            out.emit(window.key, f"{window.start}..{window.end} {window.value}")

    return Viewed


def said(host: Host) -> list[str]:
    return [f"{out.output} {(out.key or b'').decode()} {out.text()} @{out.timestamp}" for out in host.outputs]


@dataclass
class Naive:
    """A window with the numbers of its records."""

    key: str
    start: int
    end: int
    all: list[int]


class Account:
    """What the windows are, found by trying."""

    def __init__(self, shape: str, sizes: tuple[int, ...], late: int) -> None:
        self.shape, self.sizes, self.late = shape, sizes, late
        self.open: list[Naive] = []
        self.watermark, self.said = -(2**63), list[str]()

    def push(self, key: str, number: int, time: int) -> None:
        is_late = True
        for window in self.session(key, time) if self.shape == "session" else self.hopping(key, time):
            if window.end - 1 + self.late <= self.watermark:
                continue
            is_late = False
            self.open = [one for one in self.open if one.key != key or not window.start <= one.start < window.end
                         or (self.shape != "session" and one.start != window.start)] + [window]
            window.all = sorted([*window.all, number])
            if window.end - 1 <= self.watermark:
                self.say(window)
        if is_late:
            self.said.append(f"late {key} {number} @{time}")

    def session(self, key: str, time: int) -> list[Naive]:
        end = time + self.sizes[0]
        touched = [one for one in self.open if one.key == key and one.start <= end and one.end >= time]
        return [Naive(key, min([time, *(one.start for one in touched)]), max([end, *(one.end for one in touched)]),
                      sum((one.all for one in touched), []))]

    def hopping(self, key: str, time: int) -> list[Naive]:
        size, every = self.sizes[0], self.sizes[-1]
        starts = [start for start in range(time - size + 1, time + 1) if start % every == 0]
        known = {(one.key, one.start): one for one in self.open}
        return [known.get((key, start)) or Naive(key, start, start + size, []) for start in starts]

    def advance(self, watermark: int) -> None:
        due = [one for one in self.open if self.watermark < one.end - 1 <= watermark]
        for one in sorted(due, key=lambda one: (one.end, one.key)):
            self.say(one)
        self.watermark = watermark
        self.open = [one for one in self.open if one.end - 1 + self.late > watermark]

    def say(self, window: Naive) -> None:
        self.said.append(f"out {window.key} {window.start}..{window.end} {window.all} @{window.end - 1}")


@pytest.mark.parametrize("late", [0, 6, 15])
@pytest.mark.parametrize(("shape", "sizes"), [
    ("tumbling", (10,)), ("tumbling", (1,)), ("hopping", (10, 4)), ("hopping", (12, 3)), ("session", (4,)),
    ("session", (1,))])
def test_windows_are_what_a_naive_account_of_them_says(shape: str, sizes: tuple[int, ...], late: int) -> None:
    chance = random.Random(f"{shape} {sizes} {late}")
    for _ in range(12):
        host, account = Host(kind_of(shape, sizes, late)), Account(shape, sizes, late)
        time, watermark = -40, -(2**63)
        for number in range(60):
            time += chance.randrange(25 if number % 9 == 0 else 4)
            key, at, refused = chance.choice(["a", "b", ""]), time - chance.randrange(14), chance.randrange(8) == 0
            host.push(key, {"n": number, "refused": refused}, at)
            if not refused:
                account.push(key, number, at)
            if time - 5 > watermark and chance.randrange(2) == 0:
                watermark = time - 5
                host.advance(watermark)
                account.advance(watermark)
            if chance.randrange(9) == 0:
                host.restart()
        host.advance(2**63 - 1)
        account.advance(2**63 - 1)
        assert said(host) == account.said
        assert host.state.kept == {} and host.pending() == []


def scene(host: Host, *steps: tuple[int | None, int, int]) -> list[str]:
    """Runs records of one key (number, time) with event time behind each."""
    for number, time, watermark in steps:
        if number is not None:
            host.push("k", {"n": number}, time)
        host.advance(watermark)
    return said(host)


def test_a_tumbling_window_closes_at_its_last_moment_and_takes_late_records_for_so_long() -> None:
    host = Host(kind_of("tumbling", (10,), 5))
    assert scene(host, (1, 3, 8), (2, 9, 9), (3, 4, 13), (4, 5, 14), (5, 6, 15)) == [
        "out k 0..10 [1, 2] @9", "out k 0..10 [1, 2, 3] @9", "out k 0..10 [1, 2, 3, 4] @9", "late k 5 @6"]


def test_sessions_up_to_a_gap_apart_are_one() -> None:
    steps = ((1, 0, 0), (2, 5, 0), (3, 11, 0), (None, 0, 100))
    assert scene(Host(kind_of("session", (5,))), *steps) == ["out k 0..10 [1, 2] @9", "out k 11..16 [3] @15"]
    steps = ((1, 0, 4), (2, 9, 13), (3, 5, 13), (None, 0, 100))
    assert scene(Host(kind_of("session", (5,), 20)), *steps) == [
        "out k 0..5 [1] @4", "out k 9..14 [2] @13", "out k 0..14 [1, 2, 3] @13"]


def test_what_is_kept_shows_the_open_windows() -> None:
    host = Host(kind_of("hopping", (10, 5), 2))
    host.push("k", {"n": 7}, -1)
    assert host.kept("views", "k") == [[-10, 0, [7]], [-5, 5, [7]]]
    assert [(at, name) for at, name, _ in host.pending()] == [(-1, "views"), (1, "views"), (4, "views"), (6, "views")]
    declared = Declarations.of(kind_of("tumbling", (1,)))
    assert [one.name for one in (*declared.stores, *declared.timers)] == ["views", "views"]


def test_each_window_begins_with_a_value_of_its_own() -> None:
    class Grows(Plugin):
        views = Windows[list[int]]([], lambda numbers, event: numbers.append(event.timestamp) or numbers).hopping(4, 2)

        def process(self, event, out):
            self.views.add(event, out)

        @views.closes
        def on_closed(self, window, out):
            out.emit(window.key, window.value)

    host = Host(Grows)
    for time in (0, 1, 2):
        host.push("k", None, time)
    host.advance(100)
    assert [out.json() for out in host.outputs] == [[0, 1], [0, 1, 2], [2]]


def test_another_lateness_than_before_holds_for_windows_that_are_open() -> None:
    before, after = kind_of("tumbling", (10,)), kind_of("tumbling", (10,), 5)
    host = Host(before)
    host.push("k", {"n": 1}, 3)
    host._kind = after
    host._declared = Declarations.of(after)
    host.restart()
    assert scene(host, (None, 0, 9), (2, 4, 13), (None, 0, 14)) == ["out k 0..10 [1] @9", "out k 0..10 [1, 2] @9"]
    assert host.state.kept == {} and host.pending() == []


def test_a_record_without_a_key_is_a_dead_letter_also_if_it_is_late() -> None:
    host = Host(kind_of("tumbling", (10,)))
    host.push(None, {"n": 1}, 3)
    host.advance(50)
    host.push(None, {"n": 2}, 3)
    assert [why.reason for _, why in host.refused] == ["the record has no key"] * 2 and host.outputs == []


@pytest.mark.parametrize(("shape", "sizes"), [("tumbling", (10,)), ("hopping", (12, 3)), ("session", (4,))])
def test_times_at_the_ends_of_all_time_are_refused_or_kept(shape: str, sizes: tuple[int, ...]) -> None:
    for time in (-(2**63), 1 - 2**63, 20 - 2**63, 2**63 - 20, 2**63 - 1):
        host = Host(kind_of(shape, sizes, 5))
        host.push("a", {"n": 1}, time)
        host.push("a", {"n": 2}, 0)
        host.advance(2**63 - 1)
        host.push("a", {"n": 3}, time)
        assert all(why.reason == f"the record's time, {time}, is beyond all windows" for _, why in host.refused)
        assert len(host.refused) <= 2 and len(host.outputs) > 0


@pytest.mark.parametrize(("shape", "sizes", "late", "why"), [
    ("tumbling", (0,), 0, "1 ms at least"), ("hopping", (10, 0), 0, "1 ms at least"),
    ("hopping", (10, 20), 0, "more than their size"), ("hopping", (20_000, 1), 0, "in 20000 windows, 10000 at most"),
    ("session", (0,), 0, "less than 1 ms"), ("tumbling", (5,), -1, "the allowed lateness is negative")])
def test_windows_that_cannot_be_are_refused(shape: str, sizes: tuple[int, ...], late: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        kind_of(shape, sizes, late)


def test_what_is_missing_is_said() -> None:
    class Unfinished(Plugin):
        views = Windows(0, lambda count, event: count + 1)

        def process(self, event, out):
            self.views.add(event, out)

    with pytest.raises(TypeError, match="windows `views` of Unfinished call nothing when one is over: put `@views.clo"):
        Host(Unfinished)
    with pytest.raises(ValueError, match="sessions can become one: the windows `views` want a `merge`"):
        Unfinished.views.session(5)
    with pytest.raises(RuntimeError, match="`views` is used through the plugin: `self.views`"):
        Unfinished.views.add(None, None)  # type: ignore[arg-type]
    Unfinished.views.closes(Unfinished.process)
    host = Host(Unfinished)
    host.push("k", None)
    assert "are of no kind: call `tumbling`, `hopping` or `session`" in host.refused[0][1].reason
