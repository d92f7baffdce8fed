"""`window` on files of records, in the program that a person runs."""

import aggregates
import compare
import counts
import records
import sessions
import windows
from engine import duration, write_lines

MODELS = {
    "tumbling": windows,
    "hopping": windows,
    "cumulating": windows,
    "session": sessions,
    "count": counts,
    "global": counts,
}
# How many windows lie behind one another.
SPREAD = 12


def run(kind, engine, sql, random, folder):
    """One configuration and one file of records: what is not as it has to be, if anything."""
    folder.mkdir(parents=True, exist_ok=True)
    config, numbers, names = draw(kind, random, folder)
    got = engine.run(folder, "window", config, numbers["moo"], ["out", "late", "retracted"])
    want = MODELS[kind].expected(sql, kind, config, numbers, names)
    difference = (
        compare.unchanged(got["late"], want["late"])
        or compare.windows(got["out"], want["out"], names)
        or compare.windows(got["retracted"], want["retracted"], names)
        or (got["dead"] and f"refused: {got['dead'][0]}")
    )
    return difference and f"{config}, max-out-of-orderness {duration(numbers['moo'])}\n{difference}"


def draw(kind, random, folder):
    model = MODELS[kind]
    config, numbers, unit = model.draw(random, kind)
    numbers |= {"lateness": 0, "moo": random.choice([0, unit, numbers["size"]])}
    disorder = numbers["moo"]
    if kind == "session":
        # A record one gap behind its session and at the very bound comes when the session has just been put out.
        numbers["moo"] += 1
    if random.random() < 0.7:
        if model is not counts:
            windows.draw_lateness(random, config, numbers, ticks=kind != "session")
        disorder += numbers["lateness"] + numbers["size"] * random.choice([1, 2, 5])
    names = aggregates.some(random)
    config["aggregates"] = aggregates.configured(names)
    spread = SPREAD * numbers["size"] * (5 if kind == "session" else 1)
    write_lines(folder / "in.jsonl", records.arrivals(random, unit, spread, disorder))
    numbers["file"] = str(folder / "in.jsonl")
    return config, numbers, names
