#!/usr/bin/env bash
# The programs experiments and sunspots from outside: quick forms, verdicts,
# exit statuses, and one clear line for each thing that is wrong.
#   demo_experiments.sh EXPERIMENTS SUNSPOTS

sunspots=$(readlink -f "$2") || exit 1
# shellcheck source=tests/demo_common.sh
. "$(dirname "$0")/demo_common.sh"

status 0 --quick &&
  { grep -q 'every criterion was met' out || fail "no verdict"; }
[ "$(grep -c '/.* met$' out)" = 2 ] || fail "not two experiments"
sed -n 's/.*\(reber.*\) sequences.*/\1/p' out >first
status 0 --quick --threads 1 reber
sed -n 's/.*\(reber.*\) sequences.*/\1/p' out | cmp -s - first ||
  fail "the same seed, other figures"

# what has no time to learn has not learned, and is not said to have
status 1 --seeds 1 --seed 5 --most 64 adding/gru order &&
  { grep -q 'NOT every criterion was met' out || fail "no verdict of no"; }
[ "$(grep -c 'NOT MET$' out)" = 2 ] || fail "not two criteria unmet"

status 0 --list
[ "$(wc -l <out)" = 6 ] || fail "not six experiments"
refuses 'no experiment "nosuch"' nosuch
refuses '--seeds' --seeds 0
refuses '--threads' --threads x

program=$sunspots
called=sunspots
status 0 --out s
grep -q 'the criterion is met' out || fail "no verdict"
awk '$1 == "linear" { ok = $4 == "0.1266" } END { exit !ok }' out ||
  fail "not the least squares that others find"
[ "$(wc -l <s.tsv)" = 298 ] || fail "not a row for each year"
awk -F '\t' 'NR > 1 && NF != 4 { exit 1 }' s.tsv ||
  fail "s.tsv has no 4 columns"
status 1 --steps 1 --nets 1
refuses 'No such file' --nets 1 --steps 1 --out /nonexistent/s
refuses '--hidden' --hidden 0

finish
