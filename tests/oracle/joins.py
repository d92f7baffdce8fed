"""`join`: what has to come out, in SQL from event-time.md. The order of pairs that come together is not promised, so
outputs are compared as sets that count."""

import cases
import windows
from engine import duration

SIDES = """
CREATE OR REPLACE VIEW l AS FROM {accepted} WHERE input = 'left';
CREATE OR REPLACE VIEW r AS FROM {accepted} WHERE input = 'right'
"""
# A record at or before the watermark comes late, and is in no pair.
IN_TIME = """
CREATE OR REPLACE VIEW late AS FROM records WHERE time <= wm;
CREATE OR REPLACE VIEW in_time AS FROM records WHERE time > wm
"""

# Pairs come at once. A record without a partner comes once time has passed the last that it could have.
WITHIN = """
WITH pairs AS (
  SELECT l.key, l.arrival AS l, r.arrival AS r, l.value AS lv, r.value AS rv, greatest(l.time, r.time) AS time
  FROM l JOIN r ON l.key = r.key AND r.time BETWEEN l.time - $before AND l.time + $after)
SELECT key, NULL, NULL, lv, rv, time FROM pairs
UNION ALL
SELECT key, NULL, NULL, value, NULL, time FROM l
WHERE $left AND arrival NOT IN (SELECT l FROM pairs) AND time + $after <= $final
UNION ALL
SELECT key, NULL, NULL, NULL, value, time FROM r
WHERE $right AND arrival NOT IN (SELECT r FROM pairs) AND time + $before <= $final
"""

# Of each window what both sides have in it, at its close.
WINDOW = """
WITH l AS (SELECT *, begin, finish FROM ({grouping}) WHERE input = 'left' AND finish - 1 > wm AND finish - 1 <= $final),
r AS (SELECT *, begin, finish FROM ({grouping}) WHERE input = 'right' AND finish - 1 > wm AND finish - 1 <= $final),
both_sides AS (
  SELECT coalesce(l.key, r.key) AS key, coalesce(l.begin, r.begin) AS begin, coalesce(l.finish, r.finish) AS finish,
    l.value AS lv, r.value AS rv, greatest(l.time, r.time) AS time
  FROM l FULL JOIN r ON l.key = r.key AND l.begin = r.begin AND l.finish = r.finish)
SELECT key, begin, finish, lv, rv, time FROM both_sides
WHERE (rv IS NOT NULL OR $left) AND (lv IS NOT NULL OR $right)
"""
WINDOW_LATE = """
CREATE OR REPLACE VIEW late AS
SELECT arrival, key, value, time FROM ({grouping}) GROUP BY arrival, key, value, time HAVING bool_and(finish - 1 <= wm)
"""

# The right side's latest value by arrival; null deletes it.
TABLE = """
SELECT l.key, NULL, NULL, l.value, r.value, CASE WHEN r.value IS NULL THEN l.time ELSE greatest(l.time, r.time) END
FROM l ASOF LEFT JOIN r ON l.key = r.key AND l.arrival > r.arrival
WHERE r.value IS NOT NULL OR $left
ORDER BY l.arrival
"""
# The version that is valid at the left record's time, once time has passed it; of equal times the later arrival.
AS_OF = """
SELECT l.key, NULL, NULL, l.value, r.value, l.time
FROM l ASOF LEFT JOIN (SELECT key, time, arg_max(coalesce(value, 'null'), arrival) AS v, nullif(v, 'null') AS value
  FROM r GROUP BY key, time) AS r ON l.key = r.key AND l.time >= r.time
WHERE (r.value IS NOT NULL OR $left) AND l.time <= $final
"""
NO_LATE = "CREATE OR REPLACE VIEW late AS FROM records WHERE false"


def draw(random, home, name, kind, keys):
    """A case of `within`, `window`, `session`, `table` or `as-of`."""
    unit = random.choice([1, 10, 1000])
    size = unit * random.randint(1, 6)
    how = random.choice(["inner", "left"] + ["right", "outer"] * (kind not in ("table", "as-of")))
    numbers = {"left": how in ("left", "outer"), "right": how in ("right", "outer"), "size": size, "lateness": 0}
    config = {"kind": how}
    if kind == "within":
        before, after = random.randint(-2, 5) * unit, random.randint(-2, 5) * unit
        # Together they are not negative.
        after = max(after, -before)
        numbers |= {"before": before, "after": after}
        config["within"] = {"before": signed(before), "after": signed(after)}
    elif kind == "window":
        shape = random.choice(["tumbling", "hopping", "cumulating"])
        drawn, more, _ = windows.draw(random, shape)
        numbers |= more | {"shape": shape}
        config |= drawn
        size = numbers["size"]
    elif kind == "session":
        numbers["shape"] = "session"
        config["window"] = {"session": duration(size)}
    else:
        config[kind] = "right"
    case = cases.Case(home, name, config, numbers)
    # What a late record means for a session or a version is looked at elsewhere.
    late = kind not in ("session", "as-of") and random.random() < 0.5
    spread = 8 * size * (4 if kind == "session" else 1)
    unit = max(1, size // random.randint(1, 4))
    case.write(cases.draw_lines(random, keys, unit, spread, late, value_of(kind), kind == "session"))
    return case


def value_of(kind):
    def value(random, number):
        side = random.choice(["left", "right"])
        is_null = kind in ("table", "as-of") and side == "right" and random.random() < 0.2
        return {"value": None if is_null else {"n": number}, "input": side}

    return value


def signed(ms):
    return duration(ms) if ms >= 0 else "-" + duration(-ms)


def expected(sql, case, kind):
    """Rows of key, start, end, left, right, time; and the late ones: key, value, time."""
    numbers = case.numbers
    grouping = windows.GROUPINGS.get(numbers.get("shape"))
    late = {"within": IN_TIME, "table": NO_LATE, "as-of": IN_TIME}.get(kind) or WINDOW_LATE.format(grouping=grouping)
    if grouping:
        late = late.replace("$size", str(numbers["size"])).replace("$base", str(numbers.get("base", 0)))
        late = late.replace("$every", str(numbers.get("every", 0)))
    sides = SIDES.format(accepted="in_time" if kind in ("within", "as-of") else "records")
    for statement in cases.statements(cases.RECORDS + ";" + late + ";" + sides):
        sql(statement, numbers)
    query = {"within": WITHIN, "table": TABLE, "as-of": AS_OF}.get(kind) or WINDOW.format(grouping=grouping)
    rows = sql(query, numbers)
    return [output(row) for row in rows], sql("SELECT key, value, time FROM late ORDER BY arrival", {})


def output(row):
    key, begin, finish, left, right, time = row
    bounds = [] if begin is None else [("start", begin), ("end", finish)]
    number = lambda text: text and [("n", cases.parsed(text)["n"])]
    return (key, bounds + [("left", number(left)), ("right", number(right))], time)
