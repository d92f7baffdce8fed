"""`join`, `deduplicate` and `top-n` on cases, which `sandbar test` runs."""

import random
import shutil

import cases
import compare
import deduplicate
import joins
import top_n
from engine import pairs

# By the kind's name: the plugin, the module that draws and knows what has to come, its own name there, and whether the
# order is promised in which outputs come.
KINDS = {
    "join within": ("join", joins, "within", False),
    "join window": ("join", joins, "window", False),
    "join session": ("join", joins, "session", False),
    "join table": ("join", joins, "table", True),
    "join as-of": ("join", joins, "as-of", False),
    "deduplicate first": ("deduplicate", deduplicate, "first", True),
    "deduplicate last": ("deduplicate", deduplicate, "last", False),
    "top-n changes": ("top-n", top_n, "changes", True),
    "top-n tumbling": ("top-n", top_n, "tumbling", True),
    "top-n hopping": ("top-n", top_n, "hopping", True),
    "top-n cumulating": ("top-n", top_n, "cumulating", True),
    "top-n session": ("top-n", top_n, "session", True),
}
# Keys of a case that comes out the same in every way of the matrix too: a restore after each of its records takes time.
KEYS_IN_MATRIX = 3


def run(kind, engine, sql, seeds, work):
    """What is not as it has to be, case by case."""
    plugin, model, name, in_order = KINDS[kind]
    home = work / kind.replace(" ", "-")
    shutil.rmtree(home, ignore_errors=True)
    of = lambda seed, keys: model.draw(random.Random(f"{kind} {seed}"), home / f"{keys}", f"{seed}", name, keys)
    for keys, some in ((cases.KEYS, seeds), (KEYS_IN_MATRIX, seeds[:1])):
        drawn = [of(seed, keys) for seed in some]
        cases.run(engine.program, home / f"{keys}", engine.plugins / f"{plugin}.wasm")
        for seed, case in zip(some, drawn):
            want, late = model.expected(sql, case, name)
            if why := difference(case, want, late, in_order):
                yield f"seed {seed}, {case.folder}: {case.config}\n{why}"
    cases.run(engine.program, home / f"{KEYS_IN_MATRIX}", engine.plugins / f"{plugin}.wasm", matrix=True)


def difference(case, want, late, in_order):
    """The first one, if any. `sandbar test` sorts the fields of what it writes, so their order is not looked at."""
    came, came_late = (by_name(case.came(output)) for output in ("output", "late"))
    want, late = by_name(want), by_name(late)
    if not in_order:
        came, want = sorted(came, key=repr), sorted(want, key=repr)
    return compare.equal(came, want) or compare.equal(came_late, late) or compare.equal(case.came("refused"), [])


def by_name(records):
    """Records whose values are what was read of JSON, or its text; objects become sorted lists of pairs."""
    return [(key, sorted_fields(pairs(of) if isinstance(of, str) else of), time) for key, of, time in records]


def sorted_fields(value):
    if not isinstance(value, list):
        return value
    if value and isinstance(value[0], tuple):
        return sorted((name, sorted_fields(inner)) for name, inner in value)
    return [sorted_fields(inner) for inner in value]
