"""Cases as `sandbar test` reads them: random records, between them lines that move event time, and what has to come.

The SQL reads the same `input.jsonl` as the program does."""

import json
import subprocess

from engine import LIMIT_S, dumps, read_lines, write_lines

KEYS = 50
PER_KEY = 12

# `wm`: where event time stands when the record comes; `$final`: where it stands at the end.
RECORDS = """
CREATE OR REPLACE TABLE lines AS
SELECT row_number() OVER () AS arrival, *
FROM read_json($file, format = 'newline_delimited',
  columns = {key: 'VARCHAR', value: 'JSON', timestamp: 'BIGINT', input: 'VARCHAR', watermark: 'BIGINT', "end": 'BOOL'});
CREATE OR REPLACE TABLE records AS
SELECT arrival, key, nullif(value::VARCHAR, 'null') AS value, timestamp AS time, input,
  coalesce(wm, (-1e15)::BIGINT) AS wm
FROM (
  SELECT *, max(watermark) OVER (ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS wm FROM lines)
WHERE key IS NOT NULL;
CREATE OR REPLACE MACRO behind(time, size, base) AS ((time - base) % size + size) % size
"""


class Case:
    """A folder with its input, its configuration and the numbers of its SQL."""

    def __init__(self, home, name, config, numbers):
        self.folder = home / "cases" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config, self.numbers = config, numbers

    def write(self, lines):
        (self.folder / "config.json").write_text(dumps(self.config) + "\n", encoding="utf-8")
        write_lines(self.folder / "input.jsonl", lines)
        moved = [line["watermark"] for line in lines if "watermark" in line]
        self.numbers["final"] = 10**15 if "end" in lines[-1] else max(moved)
        self.numbers["file"] = str(self.folder / "input.jsonl")

    def came(self, output="output"):
        path = self.folder / f"{output}.jsonl"
        return read_lines(path) if path.exists() else []


def draw_lines(random, keys, unit_ms, spread_ms, late, values, margin_ms=0):
    """Records of all keys in the order in which they come, and how event time moves between them. If none may be
    `late`, it stays behind each record that is still to come, by a margin. `values` makes a record of a number."""
    base = random.choice([0, 1_700_000_000_000 // unit_ms * unit_ms])
    disorder = random.choice([0, unit_ms, spread_ms // 8])
    drawn = []
    for key in range(keys):
        for _ in range(random.randint(1, 2 * PER_KEY)):
            time = base + max(0, random.randint(0, spread_ms) // unit_ms * unit_ms + random.choice([-1, 0, 0, 0, 1]))
            drawn.append((time + random.randint(0, disorder), random.random(), time, f"k{key:02}"))
    lines, newest, moved = [{"watermark": base - 10 * spread_ms}], base, base - 10 * spread_ms
    for number, (_, _, time, key) in enumerate(sorted(drawn)):
        lines.append({"key": key, "timestamp": time} | values(random, number))
        newest = max(newest, time)
        ahead = 0 if late else disorder + margin_ms
        if random.random() < 0.3 and newest - ahead - 1 > moved:
            moved = newest - ahead - 1 - random.choice([0, 0, unit_ms])
            lines.append({"watermark": moved})
    return lines + ([{"end": True}] if random.random() < 0.6 else [])


def run(program, home, plugin, matrix=False):
    """Runs the cases of a folder, which takes what came as what is expected. With the matrix they have to come out the
    same in every way."""
    command = [program, "test", str(home), "--plugin", str(plugin), "-o", "json"]
    command.append("--matrix" if matrix else "--bless")
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert ran.returncode == 0, f"{' '.join(map(str, command))}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}"


def statements(text):
    return [statement for statement in text.split(";") if statement.strip()]


def parsed(text):
    return None if text is None else json.loads(text)
