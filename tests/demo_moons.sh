#!/usr/bin/env bash
# The program moons from outside: verdicts, exit statuses, files, and one clear
# line for each thing that is wrong.
#   demo_moons.sh PROGRAM

# shellcheck source=tests/demo_common.sh
. "$(dirname "$0")/demo_common.sh"

for seed in 1 2 3; do
  status 0 --seed "$seed" || continue
  [ ! -s err ] || fail "stderr isn't empty, seed $seed"
  [ "$(grep -c ' agrees$' out)" = 20 ] || fail "not 20 rows agree, seed $seed"
  grep -qx 'All agree, and the moons are told apart.' out || fail "no verdict"
done
grep -v ' steps in ' out >first
status 0 --seed 3
grep -v ' steps in ' out | cmp -s - first || fail "same seed, other figures"
status 0 --seed 4
grep -v ' steps in ' out | cmp -s - first && fail "the seed does nothing"

# too little of everything: the signals still agree, the verdict is no
status 1 --steps 1 --hidden 1 --points 3 --noise 3 &&
  { grep -q 'NOT told apart' out || fail "no verdict of no"; }
[ "$(grep -c ' agrees$' out)" = 20 ] || fail "not 20 rows agree"

# a grid of 121 x 121, and the points
status 0 --out "it's" --points 50
[ "$(grep -c . "it's.tsv")" = $((121 * 121 + 50)) ] || fail "not the table"
awk -F '\t' 'NF == 3 && ($3 < 0 || $3 > 1) { exit 1 }' "it's.tsv" ||
  fail "a probability is none"
if command -v gnuplot >/dev/null; then
  grep -q '<svg' "it's.svg" || fail "no picture"
fi
without_gnuplot --out plain
[ -s plain.tsv ] && [ ! -e plain.svg ] || fail "not the table alone"

status 0 --help
refuses "--stepps" --stepps 3
refuses "--points: 1 is not in" --points 1
refuses "--noise: \"nan\"" --noise nan
refuses "--hidden: 0 is not in" --hidden 0
refuses "--steps: \"3x\"" --steps 3x
refuses "--seed" --seed -1
refuses "\"moons.tsv\"" moons.tsv
refuses "no/such/room/moons.tsv" --out no/such/room/moons --steps 1
full_disk --steps 1

finish
