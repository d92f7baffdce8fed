"""Timers: when they fire, in which order, and what is taken back."""

import pytest

from sandbar_sdk import DeadLetter, EventTimer, Fail, Plugin, ProcessingTimer, Retry, Skip, Value
from sandbar_sdk.testing import Host

ERRORS = {"skip": Skip("s"), "dead": DeadLetter("d"), "fail": Fail("f"), "retry": Retry("r"), "other": KeyError("o")}


class Timed(Plugin):
    b = EventTimer()
    a = EventTimer()
    clock = ProcessingTimer()
    count = Value[int]()

    def process(self, event, out):
        for name, verb, at in event.json():
            getattr(getattr(self, name), verb)(at)
        out.emit(event.key, [self.a.now(), self.clock.now()])

    @b.fires
    def on_b(self, fired, out):
        self.count.set((self.count.get() or 0) + 1)
        out.emit(fired.key, f"{fired.timer} {fired.at}")

    @a.fires
    def on_a(self, fired, out):
        self.on_b(fired, out)
        if fired.at == 7:
            self.b.set(3)
            self.a.set(50)

    @clock.fires
    def on_clock(self, fired, out):
        self.on_b(fired, out)
        self.a.set(1)
        if fired.key.decode() in ERRORS:
            self.b.set(1)
            raise ERRORS[fired.key.decode()]


def fired(host: Host[Timed]) -> list[tuple[str, str, int]]:
    return [((out.key or b"").decode(), out.text(), out.timestamp) for out in host.outputs if out.text()[0] != "["]


def test_they_fire_by_time_then_name_then_key() -> None:
    host = Host(Timed)
    for key in ("y", "x"):
        host.push(key, [["b", "set", 5], ["a", "set", 5], ["b", "set", 4], ["a", "set", 11], ["b", "set", 5]])
    assert fired(host) == []
    host.advance(10)
    assert fired(host) == [("x", "b 4", 4), ("y", "b 4", 4), ("x", "a 5", 5), ("y", "a 5", 5),
                           ("x", "b 5", 5), ("y", "b 5", 5)]
    assert host.pending() == [(11, "a", b"x"), (11, "a", b"y")]


def test_what_a_timer_sets_fires_in_its_turn_if_it_is_due() -> None:
    host = Host(Timed)
    host.push("x", [["a", "set", 7], ["b", "set", 8]])
    host.advance(10)
    assert [text for _, text, _ in fired(host)] == ["a 7", "b 3", "b 8"]
    assert host.pending() == [(50, "a", b"x")]


def test_one_that_is_due_when_it_is_set_fires_behind_the_record() -> None:
    host = Host(Timed)
    host.advance(10)
    host.push("x", [["b", "set", 10]], 99)
    assert [out.text() for out in host.outputs] == ["[10,0]", "b 10"]


def test_one_that_is_cleared_does_not_fire() -> None:
    host = Host(Timed)
    host.push("x", [["b", "set", 1], ["b", "set", 2], ["b", "clear", 1], ["b", "clear", 9]])
    host.push("y", [["b", "clear", 2]])
    host.advance(10)
    assert fired(host) == [("x", "b 2", 2)]


def test_event_time_never_moves_back() -> None:
    host = Host(Timed)
    host.advance(10)
    host.advance(5)
    assert host.watermark == 10
    assert Host(Timed).watermark == -(2**63)


def test_the_clock_has_timers_of_its_own() -> None:
    host = Host(Timed)
    host.advance(10)
    host.push("x", [["clock", "set", 0], ["clock", "set", 20]])
    assert fired(host) == []
    host.clock(15)
    assert fired(host) == [("x", "clock 0", 0), ("x", "a 1", 1)]
    assert host.pending() == [(20, "clock", b"x")]


@pytest.mark.parametrize(("key", "kind", "why"), [
    ("skip", Fail, "s"), ("dead", Fail, "d"), ("fail", Fail, "f"), ("retry", Retry, "r"),
    ("other", Fail, "KeyError: 'o'"),
])
def test_an_error_of_a_timer_is_raised_and_leaves_all_as_it_was(key: str, kind: type[Exception], why: str) -> None:
    host = Host(Timed)
    host.push(key, [["clock", "set", 1]])
    with pytest.raises(kind) as raised:
        host.clock(5)
    assert str(raised.value) == why
    assert host.pending() == [(1, "clock", key.encode())] and fired(host) == [] and host.state.kept == {}


def test_a_refused_record_sets_nothing() -> None:
    class Refuses(Plugin):
        later = EventTimer()

        def process(self, event, out):
            if event.value:
                self.later.set(1)
            else:
                self.later.clear(1)
                raise Skip("no")

        @later.fires
        def on_later(self, fired, out):
            out.emit(fired.key, "later")

    host = Host(Refuses)
    host.push("a", None)
    assert host.pending() == []
    host.push("a", "x")
    host.push("a", None)
    assert host.pending() == [(1, "later", b"a")]
    host.push(None, "x")
    assert host.refused[-1][1].reason == "the record has no key" and len(host.pending()) == 1


@pytest.mark.parametrize("time", [1.5, "1", None, 2**63])
def test_a_time_is_a_whole_number(time: object) -> None:
    host = Host(Timed)
    host.push("x", [["b", "set", time]])
    assert host.refused[0][1].reason == f"a time is a whole number of milliseconds since 1970, not {time!r}"


def test_a_timer_has_to_call_something() -> None:
    class Mute(Plugin):
        later = EventTimer()

    with pytest.raises(TypeError, match="timer `later` of Mute calls nothing when it fires: put `@later.fires`"):
        Host(Mute)


def test_a_class_below_may_call_something_else() -> None:
    class Below(Timed):
        def on_b(self, fired, out):
            out.emit(fired.key, "below")

    host = Host(Below)
    host.push("x", [["b", "set", 1]])
    host.advance(1)
    assert host.outputs[-1].text() == "below"
