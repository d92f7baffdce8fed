from plugin import Count
from sandbar_sdk.testing import Host


def test_counts_each_key_also_behind_a_crash():
    host = Host(Count)
    host.push("a", "x")
    host.push("b", "x")
    host.restart()
    host.push("a", "x")
    assert [(out.key, out.text()) for out in host.outputs] == [(b"a", "1"), (b"b", "1"), (b"a", "2")]
    assert host.kept("total", "a") == 2
