from plugin import WindowCount
from sandbar_sdk.testing import Host


def test_counts_in_windows_and_says_what_is_late():
    host = Host(WindowCount, {"size": "10s", "allowed-lateness": "5s"})
    for time in (1000, 9999, 10_000):
        host.push("a", "x", time)
    host.advance(9999)
    assert [(out.json(), out.timestamp) for out in host.outputs] == [({"start": 0, "end": 10_000, "count": 2}, 9999)]
    host.push("a", "x", 2000)
    host.advance(14_999)
    host.push("a", "x", 3000)
    assert host.outputs[1].json()["count"] == 3 and host.outputs[2].output == "late"
