"""`window` over many records of a key: aggregates that are about right, and how far off they may be."""

import math

import windows
from engine import write_lines

AGGREGATES = {
    "records": "count",
    "total": {"sum": "/id"},
    "different": {"count-distinct": "/id"},
    "p01": {"quantile": "/x", "at": 0.01},
    "p50": {"quantile": "/x", "at": 0.5},
    "p99": {"quantile": "/x", "at": 0.99},
}
EXPECTED = """
SELECT key, n, total, different, xs[ceil(0.01 * n)::BIGINT], xs[ceil(0.5 * n)::BIGINT], xs[ceil(0.99 * n)::BIGINT]
FROM (
  SELECT key, count(*) AS n, sum(id)::BIGINT AS total, count(DISTINCT id) AS different, list_sort(list(x)) AS xs
  FROM (SELECT key, json_extract(value, '/id')::BIGINT AS id, json_extract(value, '/x')::DOUBLE AS x FROM records)
  GROUP BY key)
ORDER BY key
"""
# Of so many values a key has so many different ones: exactly as many as are counted exactly, one more, and many.
EXACT = 1000
DIFFERENT = [EXACT - 1, EXACT, EXACT + 1, 5 * EXACT]


def run(engine, sql, random, folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "in.jsonl", list(drawn(random)))
    config = {"window": {"tumbling": "1h"}, "aggregates": AGGREGATES}
    came = engine.run(folder, "window", config, 0, ["out"])["out"]
    sql(windows.RECORDS, {"file": str(folder / "in.jsonl"), "moo": 0})
    for (key, value, _), want in zip(came, sql(EXPECTED, {}), strict=True):
        got = [key] + [field for _, field in value[2:]]
        if not all(close(name, a, b) for name, a, b in zip(["key", *AGGREGATES], got, want, strict=True)):
            return f"came {got}\n  want {list(want)}"
    return None


def drawn(random):
    for key, different in enumerate(DIFFERENT):
        scale = random.choice([1, 1e-9, 1e9])
        ids = list(range(different)) + [random.randrange(different) for _ in range(different // 2)]
        random.shuffle(ids)
        for number in ids:
            x = random.choice([random.gauss(0, scale), random.expovariate(1 / scale)])
            yield {"key": f"k{key}", "value": {"id": number, "x": x}, "timestamp": 0}


def close(name, got, want):
    if name == "different" and want > EXACT:
        return math.isclose(got, want, rel_tol=0.02)
    return math.isclose(got, want, rel_tol=0.01) if name.startswith("p") else got == want
