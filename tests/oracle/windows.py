"""`window` over tumbling, hopping and cumulating windows: what has to come out, in SQL from event-time.md.

A record is seen first, then time moves: it is judged by the watermark that the records before it made, `wm`; the one
behind it is `moved`."""

import aggregates
from engine import duration

# How much of `time` lies behind the last multiple of `size`, counted from `from`; `%` has the sign of its left side.
BEHIND = "CREATE OR REPLACE MACRO behind(time, size, base) AS ((time - base) % size + size) % size"

RECORDS = f"""
CREATE OR REPLACE TABLE records AS
SELECT arrival, key, timestamp AS time, value, {aggregates.COLUMNS},
  coalesce(max(timestamp) OVER (ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - $moo - 1,
    (-1e15)::BIGINT) AS wm,
  max(timestamp) OVER (ORDER BY arrival) - $moo - 1 AS moved
FROM (SELECT row_number() OVER () AS arrival, * FROM
  read_json($file, format = 'newline_delimited', columns = {{key: 'VARCHAR', value: 'JSON', timestamp: 'BIGINT'}}))
"""

# Every window that a record belongs to.
GROUPINGS = {
    "tumbling": """
SELECT *, time - behind(time, $size, $base) AS begin, begin + $size AS finish FROM records""",
    "hopping": """
SELECT *, unnest(range(time - behind(time, $every, $base), time - $size, -$every)) AS begin, begin + $size AS finish
FROM records""",
    "cumulating": """
SELECT * FROM (
  SELECT *, time - behind(time, $size, $base) AS begin,
    unnest(range(begin + $every, begin + $size + 1, $every)) AS finish
  FROM records)
WHERE time < finish""",
    # Islands, which they are as long as no record comes late: up to and including one gap apart.
    "session": """
SELECT *, min(time) OVER island AS begin, max(time) OVER island + $size AS finish
FROM (
  SELECT *, sum(apart) OVER (PARTITION BY key ORDER BY time, arrival) AS island
  FROM (
    SELECT *, coalesce(time - lag(time) OVER (PARTITION BY key ORDER BY time, arrival) > $size, false)::INT AS apart
    FROM records))
WINDOW island AS (PARTITION BY key, island)""",
}

# Behind which record time has come how far; at the end of the input to its end.
MOVES = """
CREATE OR REPLACE TABLE moves AS SELECT moved, min(arrival) AS arrival FROM records GROUP BY moved;
INSERT INTO moves SELECT 1e15::BIGINT, 1e15::BIGINT
"""

# What a window holds, and the records that are late for all of theirs.
ACCEPTED = """
CREATE OR REPLACE TABLE members AS SELECT *, finish - 1 + $lateness <= wm AS late FROM ({windows});
CREATE OR REPLACE TABLE accepted AS SELECT * FROM members WHERE NOT late;
CREATE OR REPLACE TABLE panes AS SELECT DISTINCT key, begin, finish FROM accepted
"""

# When a window is put out: behind which record, and there in which order. What a record does itself comes before
# what the time does that it moves.
ON_CLOSE = """
SELECT moves.arrival AS place, 1 AS phase, finish - 1 AS due, key, begin, finish
FROM panes ASOF JOIN moves ON finish - 1 <= moved
WHERE EXISTS (FROM accepted a WHERE a.key = panes.key AND a.begin = panes.begin AND a.finish = panes.finish
  AND a.arrival <= moves.arrival)"""
ON_UPDATE = "SELECT arrival AS place, 0 AS phase, finish - 1 AS due, key, begin, finish FROM accepted"
ON_LATE = ON_UPDATE + " WHERE finish - 1 <= wm"
# A record has its window put out at the first tick that is behind it and that time has not passed, unless a tick before
# that did so: then it is shown.
TICKS = """
CREATE OR REPLACE TABLE wishes AS
SELECT a.key, begin, finish, a.arrival, tick, moves.arrival AS place
FROM (SELECT *, greatest(time, wm + 1) AS since, since - behind(since, $tick, begin) + $tick AS tick FROM accepted) AS a
ASOF JOIN moves ON tick - 1 <= moves.moved
WHERE tick < finish;
CREATE OR REPLACE TABLE ticks AS
WITH RECURSIVE next AS (
  SELECT key, begin, finish, min(tick) AS tick, min(place) AS place FROM wishes GROUP BY ALL
  UNION ALL
  SELECT key, begin, finish, min(wishes.tick) AS tick, min(wishes.place) AS place
  FROM next JOIN wishes USING (key, begin, finish) WHERE wishes.arrival > next.place GROUP BY ALL)
FROM next
"""
ON_TICK = "SELECT place, 1 AS phase, tick - 1 AS due, key, begin, finish FROM ticks"

RESULTS = """
CREATE OR REPLACE TABLE results AS
SELECT place, phase, due, key, begin, finish, {columns}
FROM ({events}) AS events JOIN accepted USING (key, begin, finish)
WHERE arrival <= place
GROUP BY ALL
"""
ORDER = "ORDER BY place, phase, due, key, begin, finish"


def draw(random, kind):
    """A configuration, and the numbers of its SQL."""
    unit = random.choice([1, 10, 250, 1000, 7000])
    steps = random.randint(1, 5)
    size = unit * steps * random.randint(1, 4)
    numbers = {"size": size, "base": random.choice([0, 0, 1, -1]) * random.randint(0, 3 * size)}
    window = {kind: duration(size)}
    if kind == "hopping":
        numbers["every"] = random.choice([size // steps, size, unit, random.randint(1, size)])
    if kind == "cumulating":
        numbers["every"] = size // steps
    if numbers.get("every", size) * 20 < size:
        numbers["every"] = size // 20
    if kind != "tumbling":
        window["every"] = duration(numbers["every"])
    if numbers["base"]:
        window["offset"] = duration(numbers["base"])
    return {"window": window}, numbers, unit


def draw_lateness(random, config, numbers, ticks):
    """The keys of the configuration that matter where records come late."""
    size = numbers["size"]
    numbers["lateness"] = random.choice([0, 0, 1, size // 2, size, 3 * size])
    if numbers["lateness"]:
        config["allowed-lateness"] = duration(numbers["lateness"])
    emit = random.choice(["close", "close", "update"] + ["every"] * ticks)
    if emit == "every":
        numbers["tick"] = max(1, size // random.choice([1, 2, 3, 4]))
        emit = {"every": duration(numbers["tick"])}
    config["emit"] = emit
    config["retract"] = random.choice([True, False])


def events(config):
    emit = config.get("emit", "close")
    if emit == "update":
        return ON_UPDATE
    return " UNION ALL ".join([ON_CLOSE, ON_LATE] + ([ON_TICK] if isinstance(emit, dict) else []))


def expected(sql, kind, config, numbers, names):
    """The rows of each output: key, start, end, the aggregates; the late ones as they came."""
    statements = ";".join([BEHIND, RECORDS, MOVES, ACCEPTED.format(windows=GROUPINGS[kind])])
    for statement in statements.split(";"):
        sql(statement, numbers)
    if "tick" in numbers:
        for statement in TICKS.split(";"):
            sql(statement, numbers)
    sql(RESULTS.format(columns=aggregates.sql(names), events=events(config)), numbers)
    shown = "key, begin, finish, finish - 1, " + ", ".join(f'"{name}"' for name in names)
    out = sql(f"SELECT {shown} FROM results {ORDER}", numbers)
    retracted = []
    if config.get("retract"):
        # Every result but the last of its window is replaced, when the next one comes.
        next_one = "OVER (PARTITION BY key, begin, finish ORDER BY place, phase, due)"
        following = ", ".join(f"lead({c}) {next_one} AS {c}" for c in ("place", "phase", "due"))
        retracted = sql(
            f"SELECT {shown} FROM (SELECT * EXCLUDE (place, phase, due), {following} FROM results) "
            f"WHERE place IS NOT NULL {ORDER}",
            numbers,
        )
    late = sql(
        "SELECT key, value, time FROM members GROUP BY arrival, key, value, time "
        "HAVING bool_and(late) ORDER BY arrival",
        numbers,
    )
    return {"out": out, "retracted": retracted, "late": late}
