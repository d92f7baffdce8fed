"""The oracle: random records through the ready-made plugins, and DuckDB for what has to come out.

`python tests/oracle [KIND …]`; SANDBAR_ORACLE_CASES says how many cases a kind, SANDBAR_SEED where chance begins."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb

import case_kinds
import large
import records
import window_kinds
from engine import Engine

LARGE = "large"
# One such run stands for so many cases of the other kinds.
LARGE_CASES = 500
ROOT = Path(__file__).resolve().parents[2]


class Sql:
    """A database in memory; a statement gets those of the numbers that it names."""

    def __init__(self):
        self.database = duckdb.connect(config={"threads": 1})

    def __call__(self, statement, numbers):
        named = {name: value for name, value in numbers.items() if f"${name}" in statement}
        return self.database.execute(statement, named or None).fetchall()


def run(kind, engine, sql, seeds, work):
    """What is not as it has to be, by its seed; the folders of the others go."""
    if kind in case_kinds.KINDS:
        yield from case_kinds.run(kind, engine, sql, seeds, work)
        return
    for seed in seeds:
        folder, chance = work / f"{kind}-{seed}", random.Random(f"{kind} {seed}")
        if kind == LARGE:
            why = large.run(engine, sql, chance, folder)
        else:
            why = window_kinds.run(kind, engine, sql, chance, folder)
        if why:
            yield f"seed {seed}, {folder}: {why}"
        else:
            shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SANDBAR_SEED", "1")))
    parser.add_argument("--cases", type=int, default=int(os.environ.get("SANDBAR_ORACLE_CASES", "250")))
    parser.add_argument("--program", default=os.environ.get("SANDBAR_BIN", ROOT / "target/release/sandbar"))
    parser.add_argument("--plugins", default=ROOT / "target/plugins")
    parser.add_argument("--work", type=Path, default=ROOT / "target/oracle")
    options = parser.parse_args()
    engine, sql = Engine(options.program, options.plugins), Sql()
    kinds = options.kinds or [*window_kinds.MODELS, LARGE, *case_kinds.KINDS]
    failed = 0
    for kind in kinds:
        since = time.monotonic()
        # A key is a case.
        runs = -(-options.cases // (LARGE_CASES if kind == LARGE else records.KEYS))
        try:
            wrong = list(run(kind, engine, sql, range(options.seed, options.seed + runs), options.work))
        except (AssertionError, OSError, subprocess.TimeoutExpired) as why:
            wrong = [f"{kind}: {why}"]
        failed += bool(wrong)
        print("\n".join(wrong + [f"test oracle::{kind.replace(' ', '::')} ... {'FAILED' if wrong else 'ok'}"]))
        print(f"  {runs} runs, {time.monotonic() - since:.1f} s", flush=True)
    passed = len(kinds) - failed
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; 0 ignored")
    return failed > 0


sys.exit(main())
