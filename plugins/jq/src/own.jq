# What jq 1.7 has and jaq has not, or has in another way.
def ascii: [.] | implode;
def date: todate;
def dateadd(unit; $n): . + $n;
def datesub(unit; $n): . - $n;
def leaf_paths: paths(scalars);
def repeat(f): def rec: ., (f | rec); rec;
def walk(f): def rec: if . >= {} then map_values(rec) elif . >= [] then map(rec) else . end | f; rec;
def join($s): [.[] | if . == null then "" else tostring end]
  | if . == [] then "" else reduce .[1:][] as $x (.[0]; . + $s + $x) end;
def from_entries: reduce .[] as $x ({}; . + {
  ($x | if .key == null then .k // .name // .Name // .K // .Key else .key end | tostring):
  ($x | if has("value") then .value elif has("v") then .v else .Value end) });
def with_entries(f): to_entries | map(f) | from_entries;
def IN(xs): any(xs == .; .);
def IN(source; xs): any(source == xs; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def tostream: path(def r: (.[]? | r), .; r) as $p | getpath($p) | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);
def @csv: [.[] | if isstring then "\"" + (split("\"") | join("\"\"")) + "\"" elif . == null then "" elif . >= [] then
  error("an array or object is no field of a CSV row") else tostring end] | join(",");
def @tsv: [.[] | if isstring then (split("\\") | join("\\\\") | split("\t") | join("\\t") | split("\n") | join("\\n")
  | split("\r") | join("\\r")) elif . == null then "" elif . >= [] then
  error("an array or object is no field of a TSV row") else tostring end] | join("\t");
