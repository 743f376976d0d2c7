#!/usr/bin/env bash
# The program gradient_flow from outside: verdicts, exit statuses, files, and
# one clear line for each thing that is wrong.
#   demo_gradient_flow.sh PROGRAM

# shellcheck source=tests/demo_common.sh
. "$(dirname "$0")/demo_common.sh"

small=(--hidden 6 --gap 12 --steps 400)
status 0 "${small[@]}" --out g
[ ! -s err ] || fail "stderr isn't empty"
[ "$(grep -c ' agrees$' out)" = 4 ] || fail "not 4 checks agree"
grep -qx 'All agree\.' out || fail "no verdict"
for table in norms spectrum clipping; do
  [ "$(grep -vc -e '^#' -e '^$' "g.$table.tsv")" = $((14 * 12)) ] ||
    fail "not a row for each gap of 14 nets: $table"
done
[ "$(grep -vc -e '^#' -e '^$' g.lyapunov.tsv)" = 14 ] || fail "not 14 exponents"
# without activation, radius 0.5 vanishes and 1.5 explodes; the clipped signal
# stays below the bound behind the first clip, once it is explosive
awk -F '\t' '
  /^#/ { next }
  $1 == "no activation" && $2 == 0.5 && $3 == 12 && $4 > 0.02 { exit 1 }
  $1 == "no activation" && $2 == 1.5 && $3 == 12 && $4 < 20 { exit 1 }
  $9 > 2 { exit 1 }' g.norms.tsv || fail "norms do not do what they must"
# what was clipped is shorter by the same factor from there on
awk -F '\t' '
  /^#/ || !NF { next }
  $3 > 1 { r = $9 / $8 / factor - 1; if (r > 3e-5 || r < -3e-5) exit 1 }
  { factor = $9 / $8 * ($9 > 0.1 ? 0.1 / $9 : 1) }' g.norms.tsv ||
  fail "clipping does not cut to its bound"
# radius, ..., |dL/dW_hh|, clipped, cosine
awk '/^ +[0-9.]+ +-?[0-9.]+ +-?[0-9.]+ / && NF == 8 {
       n++; if (!($7 < $6 && $8 > 0.3 && $8 < 0.99)) exit 1 }
     END { if (n != 14) exit 1 }' out || fail "clipping turns no gradient"
status 0 "${small[@]}" --clip 1e9
awk '/^ +[0-9.]+ +-?[0-9.]+ +-?[0-9.]+ / && NF == 8 {
       n++; if ($7 != $6 || $8 != 1) exit 1 }
     END { if (n != 14) exit 1 }' out || fail "a wide bound clips"

if command -v gnuplot >/dev/null; then
  for picture in norms clipping lyapunov; do
    grep -q '<svg' "g.$picture.svg" || fail "no picture of $picture"
  done
fi
if ! grep -q 'without LAPACKE' out; then
  # an orthogonal matrix would not do: but for 2 units and one radius the two
  # singular values multiply to the determinant, radius^(2 gap)
  status 0 --hidden 2 --radius 0.9 --gap 5 --steps 1000 --out two &&
    awk -F '\t' '
      $1 == "no activation" {
        n++; d = $5 * $7 / 0.9 ^ (2 * $3) - 1
        if (d > 1e-4 || d < -1e-4) exit 1
      }
      END { if (n != 5) exit 1 }' two.spectrum.tsv ||
    fail "the singular values are not those of W_hh^gap"
fi

status 0 "${small[@]}" --radius 1.1 --seed 5 && cp out first
status 0 "${small[@]}" --radius 1.1 --seed 5
cmp -s out first || fail "same seed, other figures"
status 0 "${small[@]}" --radius 1.1 --seed 6
cmp -s out first && fail "the seed does nothing"
status 0 "${small[@]}" --hidden 7 --radius 2 --radius 0.3 # an odd one
status 0 --help

without_gnuplot "${small[@]}" --out plain
[ -s plain.norms.tsv ] && [ ! -e plain.norms.svg ] || fail "not tables alone"

refuses "--radios" --radios 1
refuses "--radius: 0 is not in" --radius 0
refuses "--radius: \"nan\"" --radius nan
# shellcheck disable=SC2046
refuses "at most 16" $(for _ in {1..17}; do echo --radius 1; done)
refuses "--hidden: 1 is not in" --hidden 1
refuses "--hidden: 257 is not in" --hidden 257
refuses "--gap: the longest gap must be below --steps" --gap 50 --steps 50
refuses "--steps: \"3x\"" --steps 3x
refuses "--clip: 0 is not in" --clip 0
refuses "--seed" --seed -1
refuses "\"flow.tsv\"" flow.tsv
refuses "--out: a file needs a name" --out ""
refuses "no/such/room/g.norms.tsv" --out no/such/room/g "${small[@]}"
full_disk "${small[@]}" --radius 1

finish
