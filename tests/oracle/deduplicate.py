"""`deduplicate`: what has to come out, in SQL from event-time.md.

A group begins with a record that no group of its key and text reaches, and reaches `within` both ways in time. Groups
follow from one another in the order of arrival, so the SQL is recursive."""

import cases
from engine import duration

GROUPS = """
CREATE OR REPLACE TABLE named AS
SELECT *, CASE WHEN $by THEN coalesce(json_extract(value, '/id')::VARCHAR, 'null') ELSE '' END AS name FROM records;
CREATE OR REPLACE TABLE firsts AS
WITH RECURSIVE first AS (
  SELECT key, name, arg_min(time, arrival) AS time, min(arrival) AS arrival, [arg_min(time, arrival)] AS seen
  FROM named WHERE time > wm GROUP BY key, name
  UNION ALL
  SELECT key, name, arg_min(n.time, n.arrival), min(n.arrival), list_append(any_value(seen), arg_min(n.time, n.arrival))
  FROM first JOIN named n USING (key, name)
  WHERE n.arrival > first.arrival AND n.time > n.wm AND len(list_filter(seen, lambda s: abs(s - n.time) <= $within)) = 0
  GROUP BY key, name, first.arrival)
SELECT key, name, time, arrival FROM first;
CREATE OR REPLACE TABLE members AS
SELECT n.*, f.arrival AS first, f.time AS since
FROM named n JOIN firsts f ON f.key = n.key AND f.name = n.name AND f.arrival <= n.arrival
  AND abs(f.time - n.time) <= $within AND f.time + $within > n.wm;
CREATE OR REPLACE VIEW late AS FROM named WHERE arrival NOT IN (SELECT arrival FROM members)
"""
FIRST = "SELECT key, value, time FROM records WHERE arrival IN (SELECT arrival FROM firsts) ORDER BY arrival"
# A record that two groups reach is in the one that began first.
LAST = """
SELECT key, arg_max(value, arrival), arg_max(time, arrival)
FROM (SELECT *, min(first) OVER (PARTITION BY arrival) AS own FROM members)
WHERE first = own AND since + $within <= $final GROUP BY key, name, own
"""


def draw(random, home, name, kind, keys):
    unit = random.choice([1, 10, 1000])
    within = unit * random.randint(0, 6)
    by = random.random() < 0.7
    config = ({"by": "/id"} if by else {}) | {"within": duration(within), "keep": kind}
    case = cases.Case(home, name, config, {"within": within, "by": by})
    lines = cases.draw_lines(random, keys, unit, 10 * max(unit, within), random.random() < 0.5, value)
    case.write(lines)
    return case


def value(random, number):
    ids = random.choice([{}, {"id": None}, {"id": "a"}, {"id": 1}, {"id": "1"}, {"id": True}])
    return {"value": ids | {"n": number}}


def expected(sql, case, kind):
    for statement in cases.statements(cases.RECORDS + ";" + GROUPS):
        sql(statement, case.numbers)
    rows = sql(FIRST if kind == "first" else LAST, case.numbers)
    return rows, sql("SELECT key, value, time FROM late ORDER BY arrival", {})
