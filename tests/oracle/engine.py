"""Runs a ready-made plugin in the program that a person runs, on files, and reads what came out."""

import json
import subprocess
from pathlib import Path

LIMIT_S = 300


def dumps(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def duration(ms):
    """As pipeline files and configurations have it."""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def write_lines(path, records):
    with open(path, "w", encoding="utf-8") as file:
        for record in records:
            file.write(dumps(record) + "\n")


def read_lines(path):
    """Records as (key, value, time); objects are lists of pairs, since the order of fields is promised."""
    records = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        record = dict(pairs(line))
        records.append((record["key"], record["value"], record["timestamp"]))
    return records


def pairs(text):
    return DECODER.decode(text)


DECODER = json.JSONDecoder(object_pairs_hook=lambda found: [tuple(pair) for pair in found])


class Engine:
    """The program, and the folder in which the plugins lie."""

    def __init__(self, program, plugins):
        self.program = Path(program).resolve()
        self.plugins = Path(plugins).resolve()

    def run(self, folder, plugin, config, out_of_orderness_ms, outputs):
        """Reads `in.jsonl` of the folder; gives the records of each output by its name, and those refused as `dead`."""
        sinks = "".join(
            f'[sink.{name}]\nfrom = ["it{"" if name == "out" else "." + name}"]\nfile = "{name}.jsonl"\n'
            for name in outputs
        )
        pipeline = (
            'name = "oracle"\n'
            f'[source.in]\nfile = "in.jsonl"\nmax-out-of-orderness = "{duration(out_of_orderness_ms)}"\n'
            f'[operator.it]\nplugin = "{self.plugins / plugin}.wasm"\ninputs = ["in"]\nconfig = {toml(config)}\n'
            f'{sinks}[dead-letters]\nfile = "dead.jsonl"\n'
        )
        (folder / "pipeline.toml").write_text(pipeline, encoding="utf-8")
        command = [self.program, "run", "pipeline.toml"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert ran.returncode == 0, f"{folder}: exit code {ran.returncode}\n{ran.stderr}"
        return {name: read_lines(folder / f"{name}.jsonl") for name in [*outputs, "dead"]}


def toml(value):
    """A value of JSON as an inline value of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)
