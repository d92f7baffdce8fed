"""The oracle: random records through the ready-made plugins, and DuckDB for what has to come out.

`python tests/oracle [KIND …]`; SANDBAR_ORACLE_CASES says how many cases a kind, SANDBAR_SEED where chance begins."""

import argparse
import os
import random
import shutil
import sys
import time
from pathlib import Path

import duckdb

import records
import window_kinds
from engine import Engine

ROOT = Path(__file__).resolve().parents[2]


class Sql:
    """A database in memory; a statement gets those of the numbers that it names."""

    def __init__(self):
        self.database = duckdb.connect(config={"threads": 1})

    def __call__(self, statement, numbers):
        named = {name: value for name, value in numbers.items() if f"${name}" in statement}
        return self.database.execute(statement, named or None).fetchall()


def kind_of_window(kind, engine, sql, seeds, work):
    for seed in seeds:
        folder = work / f"{kind}-{seed}"
        if why := window_kinds.run(kind, engine, sql, random.Random(f"{kind} {seed}"), folder):
            yield f"seed {seed}, {folder}: {why}"
        else:
            shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SANDBAR_SEED", "1")))
    parser.add_argument("--cases", type=int, default=int(os.environ.get("SANDBAR_ORACLE_CASES", "1000")))
    parser.add_argument("--program", default=os.environ.get("SANDBAR_BIN", ROOT / "target/release/sandbar"))
    parser.add_argument("--plugins", default=ROOT / "target/plugins")
    parser.add_argument("--work", type=Path, default=ROOT / "target/oracle")
    options = parser.parse_args()
    engine, sql = Engine(options.program, options.plugins), Sql()
    # A key is a case.
    seeds = range(options.seed, options.seed + -(-options.cases // records.KEYS))
    failed = 0
    for kind in options.kinds or window_kinds.MODELS:
        since = time.monotonic()
        wrong = list(kind_of_window(kind, engine, sql, seeds, options.work))
        failed += bool(wrong)
        print("\n".join(wrong + [f"test oracle::{kind} ... {'FAILED' if wrong else 'ok'}"]))
        print(f"  {len(seeds) * records.KEYS} cases, {time.monotonic() - since:.1f} s", flush=True)
    passed = len(options.kinds or window_kinds.MODELS) - failed
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; 0 ignored")
    return failed > 0


sys.exit(main())
