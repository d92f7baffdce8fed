from plugin import Filter
from sandbar_sdk.testing import Host


def test_passes_what_is_high_enough():
    host = Host(Filter, {"field": "/ms", "at-least": 5})
    for value in ({"ms": 7}, {"ms": 3}, {"ms": "7"}, "no JSON"):
        host.push("a", value)
    assert [out.json() for out in host.outputs] == [{"ms": 7}]
    assert [number for number, why in host.refused] == [3]
