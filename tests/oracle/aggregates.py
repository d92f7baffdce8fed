"""What the aggregates of `window` have to be, in SQL over columns `n`, `f`, `t` and `j`, and how they are compared."""

import math

from engine import pairs

# The columns: text, if the pointer meets something that is not null.
COLUMNS = """
  json_extract_string(value, '/n')::BIGINT AS n,
  json_extract_string(value, '/deep/f')::DOUBLE AS f,
  json_extract_string(value, '/t~1x') AS t,
  nullif(json_extract(value, '/j')::VARCHAR, 'null') AS j
"""


def list_of(column):
    return f"list({column} ORDER BY arrival) FILTER ({column} IS NOT NULL)"


def quantile(column, at):
    # `at` stays a decimal number, so that its rank is exact.
    return f"list_sort({list_of(column)})[greatest(1, ceil({at} * count({column})))::BIGINT]"


def same(got, want):
    return type(got) is type(want) and got == want


def same_number(got, want):
    """A sum of whole numbers and others is no whole number; how it is written is not promised."""
    return (got is None) == (want is None) and not isinstance(got, (bool, str)) and got == want


def about(got, want):
    if got is None or want is None:
        return got is want
    return math.isclose(got, want, rel_tol=0.01)


def same_json(got, want):
    return got == (None if want is None else pairs(want))


def same_texts(got, want):
    return got == (want or [])


def same_list(got, want):
    return got == [pairs(text) for text in want or []]


# Name in the output: configuration, SQL, comparison.
ALL = {
    "records": ("count", "count(*)", same),
    "some": ({"count": "/j"}, "count(j)", same),
    "total": ({"sum": "/n"}, "sum(n)", same),
    "sum": ({"sum": "/deep/f"}, "sum(f)", same_number),
    "least": ({"min": "/n"}, "min(n)", same),
    "most": ({"max": "/n"}, "max(n)", same),
    "lowest": ({"min": "/deep/f"}, "min(f)", same_number),
    "first text": ({"min": "/t~1x"}, "min(t)", same),
    "last text": ({"max": "/t~1x"}, "max(t)", same),
    "mean": ({"avg": "/deep/f"}, "sum(f) / count(f)", same_number),
    "first": ({"first": "/j"}, f"({list_of('j')})[1]", same_json),
    "last": ({"last": "/j"}, f"({list_of('j')})[-1]", same_json),
    "all": ({"collect": "/j"}, list_of("j"), same_list),
    "texts": ({"collect": "/t~1x"}, list_of("t"), same_texts),
    "different": ({"count-distinct": "/t~1x"}, "count(DISTINCT t)", same),
    "median": ({"quantile": "/n", "at": 0.5}, quantile("n", 0.5), about),
    "p07": ({"quantile": "/deep/f", "at": 0.07}, quantile("f", 0.07), about),
    "p99": ({"quantile": "/deep/f", "at": 0.99}, quantile("f", 0.99), about),
}


def some(random):
    """Names of some of them, in any order."""
    return random.sample(list(ALL), random.randint(1, 6))


def configured(names):
    return {name: ALL[name][0] for name in names}


def sql(names):
    return ", ".join(f'{ALL[name][1]} AS "{name}"' for name in names)
