"""`top-n`: what has to come out, in SQL from event-time.md."""

import cases
import sessions
import windows

# A record without what it is ranked by does not count: it prolongs no session and is not late. Of equal ones the
# earlier stands first.
COUNTED = """
CREATE OR REPLACE TABLE records AS
SELECT * FROM (
  SELECT *, json_extract_string(value, '/a')::DOUBLE AS a, json_extract_string(value, '/b') AS b FROM records)
WHERE a IS NOT NULL AND (b IS NOT NULL OR NOT $two)
"""
AT_CLOSE = """
WITH ranked AS (
  SELECT *, row_number() OVER (PARTITION BY key, begin, finish ORDER BY {order}, arrival) AS place
  FROM ({grouping}) WHERE finish - 1 > wm AND finish - 1 <= $final)
SELECT key, begin, finish, place, value, finish - 1 FROM ranked WHERE place <= $n
ORDER BY finish, key, begin, place
"""
LATE = """
SELECT key, value, time FROM ({grouping})
GROUP BY arrival, key, value, time HAVING bool_and(finish - 1 <= wm) ORDER BY arrival
"""
# Behind each record the ranks at which another one stands than before it.
AT_ONCE = """
WITH ranked AS (
  SELECT now.arrival AS now, now.time AS time, now.nth, c.key, c.arrival, c.value,
    row_number() OVER (PARTITION BY now.arrival ORDER BY {order}, c.arrival) AS place
  FROM (SELECT key, arrival, time, row_number() OVER (PARTITION BY key ORDER BY arrival) AS nth FROM records) AS now
  JOIN records c ON c.key = now.key AND c.arrival <= now.arrival)
SELECT key, NULL, NULL, place, value, time
FROM ranked WHERE place <= $n AND NOT EXISTS (
  FROM ranked b WHERE b.key = ranked.key AND b.nth = ranked.nth - 1 AND b.place = ranked.place
    AND b.arrival = ranked.arrival)
ORDER BY now, place
"""


def draw(random, home, name, kind, keys):
    n = random.randint(1, 5)
    config, numbers, unit = {"n": n}, {}, 10
    if kind != "changes":
        config, numbers, unit = (sessions if kind == "session" else windows).draw(random, kind)
        config = {"n": n} | config
    numbers |= {"n": n, "two": random.random() < 0.5}
    ways = [random.choice(["ascending", "descending"]) for _ in "ab"]
    if numbers["two"]:
        config["by"] = [["/a", ways[0]], ["/b", ways[1]]]
    else:
        config["by"] = "/a"
        # Descending is what it is if nothing is said.
        if ways[0] == "ascending" or random.random() < 0.5:
            config["order"] = ways[0]
    words = {"ascending": "ASC", "descending": "DESC"}
    numbers["order"] = f"a {words[ways[0]]}" + (f", b {words[ways[1]]}" if numbers["two"] else "")
    case = cases.Case(home, name, config, numbers)
    spread = 8 * numbers.get("size", 100) * (4 if kind == "session" else 1)
    late = kind != "session" and random.random() < 0.5
    case.write(cases.draw_lines(random, keys, unit, spread, late, value, kind == "session"))
    return case


def value(random, number):
    a = random.choice([{"a": random.randint(-3, 3)}, {"a": random.randint(-6, 6) / 2}, {"a": None}, {}])
    return {"value": {"n": number} | a | {"b": random.choice(["", "x", "é", "Z", "xy"])}}


def expected(sql, case, kind):
    numbers = dict(case.numbers)
    order = numbers.pop("order")
    for statement in cases.statements(cases.RECORDS + ";" + COUNTED):
        sql(statement, numbers)
    if kind == "changes":
        return [output(row) for row in sql(AT_ONCE.format(order=order), numbers)], []
    grouping = windows.GROUPINGS[kind]
    late = LATE.format(grouping=grouping)
    return [output(row) for row in sql(AT_CLOSE.format(grouping=grouping, order=order), numbers)], sql(late, numbers)


def output(row):
    key, begin, finish, place, value, time = row
    bounds = [] if begin is None else [("start", begin), ("end", finish)]
    return (key, bounds + [("rank", place), ("value", list(cases.parsed(value).items()))], time)
