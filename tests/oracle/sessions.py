"""`window` over sessions. While no record comes late they are islands, in SQL. If some do, what belongs together
depends on what time has passed, and a plain model says which records are in which result; the aggregates are SQL's."""

import aggregates
import windows
from engine import duration

def draw(random, _kind):
    unit = random.choice([1, 10, 250, 1000])
    size = unit * random.randint(1, 5)
    return {"window": {"session": duration(size)}}, {"size": size}, unit


class Session:
    def __init__(self, begin, finish, arrivals):
        self.begin, self.finish, self.arrivals = begin, finish, arrivals
        self.closed = False
        # The results put out that the next one replaces.
        self.shown = []


class Model:
    """The sessions of all keys while records come and time moves."""

    def __init__(self, config, numbers):
        self.gap, self.lateness = numbers["size"], numbers["lateness"]
        self.update, self.retract = config["emit"] == "update", config["retract"]
        self.live = {}
        self.out, self.retracted, self.late = [], [], []

    def record(self, arrival, key, time, wm):
        live = self.live.setdefault(key, [])
        live[:] = [session for session in live if session.finish - 1 + self.lateness > wm]
        touched = [s for s in live if s.begin - self.gap <= time <= s.finish]
        merged = Session(
            min([time] + [s.begin for s in touched]),
            max([time + self.gap] + [s.finish for s in touched]),
            [arrival] + [a for s in touched for a in s.arrivals],
        )
        if merged.finish - 1 + self.lateness <= wm:
            self.late.append(arrival)
            return
        merged.shown = [shown for s in sorted(touched, key=lambda s: s.begin) for shown in s.shown]
        live[:] = [s for s in live if s not in touched] + [merged]
        merged.closed = merged.finish - 1 <= wm
        if self.update or merged.closed:
            self.show(key, merged)

    def moved(self, wm):
        due = [(s.finish, key, s) for key, live in self.live.items() for s in live if not s.closed]
        for finish, key, session in sorted(due, key=lambda found: found[:2]):
            if finish - 1 <= wm:
                session.closed = True
                if not self.update:
                    self.show(key, session)

    def show(self, key, session):
        result = (key, session.begin, session.finish, list(session.arrivals))
        if self.retract:
            self.retracted += session.shown
        session.shown = [result]
        self.out.append(result)


def expected(sql, kind, config, numbers, names):
    if "emit" not in config:
        return windows.expected(sql, kind, config, numbers, names)
    sql(windows.RECORDS, numbers)
    model = Model(config, numbers)
    for arrival, key, time, wm, moved in sql("SELECT arrival, key, time, wm, moved FROM records ORDER BY arrival", {}):
        model.record(arrival, key, time, wm)
        model.moved(moved)
    model.moved(10**15)
    late = sql("SELECT key, value, time FROM records WHERE arrival IN $late ORDER BY arrival", {"late": model.late})
    return {
        "out": aggregated(sql, model.out, names),
        "retracted": aggregated(sql, model.retracted, names),
        "late": late,
    }


def aggregated(sql, results, names):
    """The rows of results that are given as key, start, end and arrivals."""
    sql("CREATE OR REPLACE TABLE parts (place BIGINT, begin BIGINT, finish BIGINT, arrival BIGINT)", {})
    parts = [(at, begin, finish, a) for at, (_, begin, finish, arrivals) in enumerate(results) for a in arrivals]
    if not parts:
        return []
    columns = dict(zip("abcd", map(list, zip(*parts))))
    sql("INSERT INTO parts SELECT unnest($a), unnest($b), unnest($c), unnest($d)", columns)
    return sql(
        f"SELECT key, begin, finish, finish - 1, {aggregates.sql(names)} FROM parts JOIN records USING (arrival) "
        "GROUP BY place, key, begin, finish ORDER BY place",
        {},
    )
