from plugin import Join
from sandbar_sdk.testing import Host


def test_pairs_what_is_near_in_time():
    host = Host(Join, {"kind": "inner", "within": {"before": "1s", "after": "5s"}})
    host.push("a", {"order": 1}, 10_000, input="left")
    for time in (8999, 9000, 15_000, 15_001):
        host.push("a", {"paid": time}, time, input="right")
    assert [(out.json(), out.timestamp) for out in host.outputs] == [
        ({"left": {"order": 1}, "right": {"paid": 9000}}, 10_000),
        ({"left": {"order": 1}, "right": {"paid": 15_000}}, 15_000)]
    host.advance(30_000)
    assert host.kept("rows", "a") == {} and host.pending() == []
    host.push("a", {"order": 2}, 30_000, input="left")
    assert host.outputs[-1].output == "late"
