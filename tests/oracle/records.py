"""Random records: many keys in one file, which come in an order that is shuffled within a bound."""

KEYS = 50
PER_KEY = 20


def arrivals(random, unit_ms, spread_ms, disorder_ms):
    """Records in the order in which they come. Of each key there are some twenty; times stand on multiples of the unit,
    one beside them, or anywhere, over `spread_ms`. A record comes after no record that is more than `disorder_ms`
    newer than it."""
    # The epoch itself too, where windows begin before it.
    base = random.choice([0, 1_700_000_000_000 // unit_ms * unit_ms])
    drawn = []
    for key in range(KEYS):
        for _ in range(random.randint(1, 2 * PER_KEY)):
            time = base + instant(random, unit_ms, spread_ms)
            drawn.append((time + random.randint(0, disorder_ms), random.random(), time, key))
    return [
        {"key": f"k{key:02}", "value": value(random), "timestamp": time} for _, _, time, key in sorted(drawn)
    ]


def instant(random, unit_ms, spread_ms):
    time = random.randint(0, spread_ms)
    near = time // unit_ms * unit_ms + random.choice([-1, 0, 0, 0, 1])
    return max(0, random.choice([time, near, near, near]))


def value(random):
    """`n` is whole, `f` whole or not, `t` a text, `j` anything; each may be null or absent. Fractions are quarters, so
    that no order of adding changes a sum."""
    fields = {
        "n": random.choice([random.randint(-9, 9), random.randint(-(10**12), 10**12)]),
        "deep": {"f": random.choice([random.randint(-40, 40), random.randint(-4000, 4000) / 4])},
        "t/x": random.choice(["", "a", "b", "é", "Z", "ab", "😀", "\uffee", "a\nb"]),
        "j": random.choice([True, 0, -2.5, "x y", [1, [2]], {"b": 1, "a": None}, {}]),
    }
    for name in list(fields):
        fate = random.random()
        if fate < 0.1:
            fields[name] = None
        elif fate < 0.2:
            del fields[name]
    return fields
