"""Compares what came with what has to come."""

import aggregates
from engine import pairs


def windows(got, want, names):
    """The first difference, if any, between what `window` put out and rows of key, start, end, time, aggregates."""
    for at, (record, row) in enumerate(zip(got, want)):
        key, begin, end, time, *values = row
        fields = ([] if end is None else [("start", begin), ("end", end)]) + list(zip(names, values))
        if why := differs(record, key, fields, time):
            return f"record {at}: {why}\n  came {record}\n  want {key} {fields} @{time}"
    return length(got, want)


def differs(record, key, fields, time):
    got_key, value, got_time = record
    if (got_key, got_time) != (key, time):
        return "another key or time"
    if [name for name, _ in value] != [name for name, _ in fields]:
        return "other fields"
    for (name, got), (_, want) in zip(value, fields):
        same = aggregates.ALL[name][2] if name in aggregates.ALL else aggregates.same
        if not same(got, want):
            return f"another {name}"
    return None


def unchanged(got, want):
    """Records that have to come as they were: rows (key, JSON text, time)."""
    return equal(got, [(key, pairs(value), time) for key, value, time in want])


def equal(got, want):
    for at, (came, has_to) in enumerate(zip(got, want)):
        if came != has_to:
            return f"record {at}:\n  came {came}\n  want {has_to}"
    return length(got, want)


def length(got, want):
    if len(got) == len(want):
        return None
    shared = min(len(got), len(want))
    next_ones = f"came {got[shared:][:1]}, want {want[shared:][:1]}"
    return f"{len(got)} records came, {len(want)} were to come; the next: {next_ones}"
