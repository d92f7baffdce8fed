"""State by key: what is read, what is kept, what is taken back."""

import pytest

from sandbar_sdk import DeadLetter, List, Map, Plugin, Skip, Value
from sandbar_sdk.testing import Host


class Keep(Plugin):
    one = Value[object]()
    some = List[object]()
    named = Map[object]()

    def process(self, event, out):
        what = event.json()
        for store in (self.one, self.some, self.named):
            if store.name in what:
                getattr(store, what[store.name][0])(*what[store.name][1:])
        out.emit(event.key, [self.one.get(), self.some.items(), dict(self.named.scan())])
        if what.get("then") == "refuse":
            raise Skip("told to")
        if what.get("then") == "crash":
            raise SystemExit(1)


def test_a_value_is_set_read_and_deleted() -> None:
    host = Host(Keep)
    host.push("a", {"one": ["set", {"b": [1, None, "é"], "a": 2.0}]})
    assert host.kept("one", "a") == {"b": [1, None, "é"], "a": 2}
    assert host.state.kept == {(0, b"a"): '{"b":[1,null,"é"],"a":2}'.encode()}
    host.push("a", {"one": ["delete"]})
    assert host.kept("one", b"a") is None and host.outputs[-1].json() == [None, [], {}]


def test_a_value_that_is_none_or_empty_is_kept_as_such() -> None:
    host = Host(Keep)
    host.push("a", {"one": ["set", None]})
    assert host.state.kept == {(0, b"a"): b"null"}


def test_items_keep_their_order() -> None:
    host = Host(Keep)
    for item in ("b", "a", 3):
        host.push("a", {"some": ["push", item]})
    assert host.kept("some", "a") == ["b", "a", 3]
    host.push("a", {"some": ["clear"]})
    assert host.kept("some", "a") == []


def test_entries_are_in_the_order_of_the_bytes_of_their_keys() -> None:
    host = Host(Keep)
    for key in ("é", "b", "z", "a", ""):
        host.push("k", {"named": ["put", key, 1]})
    host.push("k", {"named": ["delete", "b"]})
    assert list(host.outputs[-1].json()[2]) == list(host.kept("named", "k")) == ["", "a", "z", "é"]
    host.push("k", {"named": ["clear"]})
    assert host.kept("named", "k") == {}


def test_a_scan_goes_on_behind_a_thousand_entries_and_by_prefix() -> None:
    class Scan(Plugin):
        named = Map[int]()

        def process(self, event, out):
            for number in range(2500):
                self.named.put(f"n{number:04}", number)
            self.named.put("m", 0)
            out.emit(event.key, [number for _, number in self.named.scan("n")])
            out.emit(event.key, self.named.get("n0007"))

    host = Host(Scan)
    host.push("a", None)
    assert host.outputs[0].json() == list(range(2500)) and host.outputs[1].text() == "7"


def test_keys_do_not_see_each_other() -> None:
    host = Host(Keep)
    host.push("a", {"one": ["set", 1]})
    host.push("", {"one": ["set", 2]})
    assert (host.kept("one", "a"), host.kept("one", ""), host.kept("one", "b")) == (1, 2, None)


def test_what_a_refused_record_wrote_is_taken_back() -> None:
    host = Host(Keep)
    host.push("a", {"one": ["set", 1], "some": ["push", 1], "named": ["put", "x", 1]})
    before = dict(host.state.kept)
    host.push("a", {"one": ["set", 2], "some": ["push", 2], "named": ["put", "x", 2], "then": "refuse"})
    assert host.state.kept == before and len(host.outputs) == 1
    assert [(number, type(why), why.reason) for number, why in host.refused] == [(1, Skip, "told to")]


def test_what_a_crash_left_is_taken_back() -> None:
    host = Host(Keep)
    with pytest.raises(SystemExit):
        host.push("a", {"one": ["set", 2], "then": "crash"})
    assert host.state.kept == {} and host.outputs == []


def test_a_record_without_a_key_has_no_state() -> None:
    host = Host(Keep)
    host.push(None, {"one": ["set", 1], "then": "refuse"})
    assert host.state.kept == {} and host.outputs == []
    number, why = host.refused[0]
    assert (number, type(why), why.reason) == (0, DeadLetter, "the record has no key")


def test_state_outlives_the_instance_and_attributes_do_not() -> None:
    host = Host(Keep)
    host.plugin.cache = "remembered"  # type: ignore[attr-defined]
    host.push("a", {"one": ["set", 1]})
    host.restart()
    host.push("a", {})
    assert host.outputs[-1].json()[0] == 1 and not hasattr(host.plugin, "cache")


def test_a_store_is_used_through_the_plugin() -> None:
    with pytest.raises(RuntimeError, match="`one` is used through the plugin: `self.one`"):
        Keep.one.get()


def test_hosts_do_not_share_state() -> None:
    first, second = Host(Keep), Host(Keep)
    first.push("a", {"one": ["set", 1]})
    assert second.kept("one", "a") is None
    with pytest.raises(ValueError, match="there is no store `two`"):
        second.kept("two", "a")


def test_what_a_store_holds_has_to_be_json() -> None:
    class Nan(Plugin):
        one = Value[float]()

        def process(self, event, out):
            self.one.set(float("nan"))

    host = Host(Nan)
    host.push("a", None)
    assert "not JSON compliant" in host.refused[0][1].reason
