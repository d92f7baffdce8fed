"""`window` over numbers of records, and over all there are: what has to come out, in SQL from event-time.md."""

import aggregates
import windows
from engine import duration

NTH = "SELECT *, row_number() OVER (PARTITION BY key ORDER BY arrival) AS nth FROM records"

# By arrival: the last `$size` after every `$every`.
BY_NUMBER = """
SELECT place, key, first(time ORDER BY arrival) AS begin, last(time ORDER BY arrival) AS finish,
  max(time) AS newest, {columns}
FROM (SELECT arrival AS place, key, nth AS until FROM ({nth}) WHERE nth % $every = 0) AS ends
JOIN ({nth}) USING (key)
WHERE nth <= until AND nth > until - $size
GROUP BY place, key
ORDER BY place
"""

# All until then: after each record, or at the ticks behind a record that time has not passed.
EACH = "SELECT arrival AS place, 0 AS due, key FROM records"
ACCEPTED = "CREATE OR REPLACE TABLE accepted AS SELECT *, 0 AS begin, 1e15::BIGINT AS finish FROM records"
TICKS = "SELECT place, tick - 1 AS due, key FROM ticks"
ALL = """
SELECT place, due, key, NULL AS begin, NULL AS finish, max(time) AS newest, {columns}
FROM ({events}) AS events JOIN records USING (key)
WHERE arrival <= place
GROUP BY place, due, key
ORDER BY place, due, key
"""


def draw(random, kind):
    unit = random.choice([1, 10, 1000])
    if kind == "global":
        numbers = {"tick": unit * random.randint(1, 9), "size": 4 * unit, "every": 1}
        emit = random.choice(["update", {"every": duration(numbers["tick"])}])
        return {"window": "global", "emit": emit, "retract": random.choice([True, False])}, numbers, unit
    size = random.randint(1, 12)
    every = random.choice([size, random.randint(1, size)])
    window = {"count": size} | ({} if every == size else {"every": every})
    return {"window": window}, {"size": size, "every": every, "tick": 1}, unit


def expected(sql, kind, config, numbers, names):
    """Rows of key, start, end, time, the aggregates."""
    for statement in ";".join([windows.BEHIND, windows.RECORDS, windows.MOVES, ACCEPTED, windows.TICKS]).split(";"):
        sql(statement, numbers)
    columns = aggregates.sql(names)
    if kind == "count":
        rows = sql(BY_NUMBER.format(columns=columns, nth=NTH), numbers)
        return {"out": [row[1:] for row in rows], "retracted": [], "late": []}
    rows = sql(ALL.format(columns=columns, events=EACH if config["emit"] == "update" else TICKS), numbers)
    out = [row[2:] for row in rows]
    return {"out": out, "retracted": replaced(out) if config["retract"] else [], "late": []}


def replaced(out):
    """With each result of a key goes the one before it."""
    before, gone = {}, []
    for row in out:
        gone += before.get(row[0], [])
        before[row[0]] = [row]
    return gone
