# What jq 1.7 defines and jaq does not.
def ascii: [.] | implode;
def leaf_paths: paths(scalars);
def IN(xs): any(xs == .; .);
def IN(source; xs): any(source == xs; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def date: todate;
def dateadd(unit; $n): . + $n;
def datesub(unit; $n): . - $n;
def tostream: path(def r: (.[]? | r), .; r) as $p | getpath($p) | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);
def @csv: [.[] | if isstring then "\"" + (split("\"") | join("\"\"")) + "\"" elif . == null then "" elif . >= [] then
  error("an array or object is no field of a CSV row") else tostring end] | join(",");
def @tsv: [.[] | if isstring then (split("\\") | join("\\\\") | split("\t") | join("\\t") | split("\n") | join("\\n")
  | split("\r") | join("\\r")) elif . == null then "" elif . >= [] then
  error("an array or object is no field of a TSV row") else tostring end] | join("\t");
