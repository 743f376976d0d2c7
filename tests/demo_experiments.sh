#!/usr/bin/env bash
# The programs experiments and sunspots from outside: quick forms, verdicts,
# exit statuses, and one clear line for each thing that is wrong.
#   demo_experiments.sh EXPERIMENTS SUNSPOTS

set -u
export LC_ALL=C

experiments=$(readlink -f "$1")
sunspots=$(readlink -f "$2")
room=$(mktemp -d) || exit 1
trap 'rm -rf "$room"' EXIT
cd "$room" || exit 1
failures=0

fail() {
  echo "FAILED: $*"
  sed 's/^/  out| /' out 2>/dev/null | head -n 30
  sed 's/^/  err| /' err 2>/dev/null
  failures=$((failures + 1))
}

# status WANT PROGRAM ARGUMENTS...: the exit status, output in ./out and ./err.
status() {
  local want=$1 got
  shift
  "$@" >out 2>err
  got=$?
  [ "$got" = "$want" ] || { fail "status $got, not $want: $*"; return 1; }
}

# refuses WORDS PROGRAM ARGUMENTS...: status 2, and a line on stderr with WORDS.
refuses() {
  local words=$1
  shift
  status 2 "$@" || return
  [ "$(wc -l <err)" = 1 ] || fail "not one line: $*"
  grep -qF -- "$words" err || fail "\"$words\" isn't said: $*"
}

status 0 "$experiments" --quick &&
  { grep -q 'every criterion was met' out || fail "no verdict"; }
[ "$(grep -c '/.* met$' out)" = 2 ] || fail "not two experiments"
sed -n 's/.*\(reber.*\) sequences.*/\1/p' out >first
status 0 "$experiments" --quick --threads 1 reber
sed -n 's/.*\(reber.*\) sequences.*/\1/p' out | cmp -s - first ||
  fail "the same seed, other figures"

# what has no time to learn has not learned, and is not said to have
status 1 "$experiments" --seeds 1 --seed 5 --most 64 adding/gru order &&
  { grep -q 'NOT every criterion was met' out || fail "no verdict of no"; }
[ "$(grep -c 'NOT MET$' out)" = 2 ] || fail "not two criteria unmet"

status 0 "$experiments" --list
[ "$(wc -l <out)" = 6 ] || fail "not six experiments"
refuses 'no experiment "nosuch"' "$experiments" nosuch
refuses '--seeds' "$experiments" --seeds 0
refuses '--threads' "$experiments" --threads x

status 0 "$sunspots" --out s
grep -q 'the criterion is met' out || fail "no verdict"
awk '$1 == "linear" { ok = $4 == "0.1266" } END { exit !ok }' out ||
  fail "not the least squares that others find"
[ "$(wc -l <s.tsv)" = 298 ] || fail "not a row for each year"
awk -F '\t' 'NR > 1 && NF != 4 { exit 1 }' s.tsv || fail "s.tsv has no 4 columns"
status 1 "$sunspots" --steps 1 --nets 1
refuses 'No such file' "$sunspots" --nets 1 --steps 1 --out /nonexistent/s
refuses '--hidden' "$sunspots" --hidden 0

[ "$failures" = 0 ] && echo "all as it should be"
exit "$((failures > 0))"
