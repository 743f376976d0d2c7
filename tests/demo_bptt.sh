#!/usr/bin/env bash
# The program bptt from outside: verdicts, exit statuses, one clear line for
# each thing that is wrong, no file lost.
#   demo_bptt.sh PROGRAM
# shellcheck disable=SC2015

# shellcheck source=tests/demo_common.sh
. "$(dirname "$0")/demo_common.sh"

golden=$here/golden

# agrees ARGUMENTS...: status 0, nothing on stderr, 12 rows that all agree.
agrees() {
  status 0 "$@" || return
  [ ! -s err ] || fail "stderr isn't empty: bptt $*"
  [ "$(grep -c ' agrees' out)" = 12 ] || fail "not 12 rows agree: bptt $*"
  grep -qx 'All agree\.' out || fail "no verdict: bptt $*"
}

# file NAME JSON BYTES: a safetensors file with that header and zeros as data.
file() {
  local n=${#2} i
  for i in 0 1 2 3 4 5 6 7; do
    printf '%b' "\\x$(printf '%02x' $(((n >> (8 * i)) & 255)))"
  done >"$1"
  printf '%s' "$2" >>"$1"
  head -c "$3" /dev/zero >>"$1"
}

# case_file NAME ARRAY=DTYPE:SHAPE...: arrays of zeros.
case_file() {
  local name=$1 json='' at=0 array dtype shape width n size
  shift
  for array in "$@"; do
    shape=${array#*:}
    dtype=${array#*=}
    dtype=${dtype%%:*}
    array=${array%%=*}
    width=8
    [ "$dtype" != F32 ] || width=4
    n=1
    for size in ${shape//,/ }; do n=$((n * size)); done
    json+="${json:+,}\"$array\":{\"dtype\":\"$dtype\",\"shape\":[$shape],"
    json+="\"data_offsets\":[$at,$((at + n * width))]}"
    at=$((at + n * width))
  done
  file "$name" "{$json}" "$at"
}

# ---- what works everywhere ----

agrees
agrees --steps 1 --batch 1 --tolerance 1e-12
agrees --steps 50 --batch 5 --activation relu --tolerance 1e-12
agrees --steps 7 --batch 5 --activation sigmoid --reduction mean
agrees --steps 20 --batch 2 --activation identity --seed 23
agrees --input 1 --hidden 1 --classes 2
agrees --dtype f32 --steps 50 --no-differences
grep -q 'differences can' out && fail "differences were asked to be left out"
agrees --dtype f32 --activation relu

# One class: no gradient at all, so nothing for differences to see.
agrees --classes 1
grep -q "W_xh.*can't tell" out || fail "a vanished gradient isn't told of"

# f32 can't be that good: the verdict must be able to fail.
status 1 --dtype f32 --tolerance 1e-14 --no-differences &&
  { grep -q 'DIFFERS from manual' out || fail "which side differs?"; }
[ ! -s err ] || fail "a verdict is no error"

status 0 --help && { grep -q '^usage: bptt' out || fail "no usage"; }
status 0 --seed 5 && cp out first
status 0 --seed 5 && { cmp -s out first || fail "same seed, other figures"; }
status 0 --seed 6 && { cmp -s out first && fail "the seed does nothing"; }

refuses "--stepps" --stepps 3
refuses "-q" -q
refuses "--steps" --steps
refuses "--no-differences" --no-differences=yes
refuses "--steps: \"3x\"" --steps 3x
refuses "--batch: 0" --batch 0
refuses "--hidden: -4" --hidden -4
refuses "--seed" --seed -1
refuses "--activation: \"gelu\"" --activation gelu
refuses "--reduction: \"max\"" --reduction max
refuses "--dtype: \"f16\"" --dtype f16
refuses "--tolerance: \"nan\"" --tolerance nan
refuses "\"case.safetensors\"" case.safetensors
refuses "out of memory" --steps 1000000000 --batch 1000000000
refuses "--steps doesn't go with --case" --steps 3 --case x.safetensors

agrees --dot graph.dot --steps 3
grep -q '^digraph' graph.dot || fail "no graph"
grep -q 'label="t=2"' graph.dot || fail "the steps aren't clusters"
refuses "--dot" --dot no/such/room/graph.dot
refuses "--dot: a file needs a name" --dot ""
cp graph.dot before
for option in --out --dot; do
  refuses "$option: graph.dot is already in use" \
    --case ./graph.dot $option graph.dot
done
cmp -s graph.dot before || fail "the case was overwritten"
refuses "--dot: both is already in use" --out both --dot both
[ ! -c /dev/full ] || refuses "--dot" --dot /dev/full
full_disk
full_disk --help

# ---- LSTM and GRU ----

# gated CELL ROWS ARGUMENTS...: status 0, and so many rows that agree.
gated() {
  local cell=$1 rows=$2
  shift 2
  status 0 --cell "$cell" "$@" || return
  [ ! -s err ] || fail "stderr isn't empty: bptt --cell $cell $*"
  [ "$(grep -c ' agrees' out)" = "$rows" ] || fail "not $rows rows: $cell $*"
  grep -q 'derivation by hand is that of the simple cell' out ||
    fail "not said what there is no derivation of: $cell $*"
}

gated lstm 8 --steps 5 --batch 2 --hidden 4
grep -qx '8 of 14 quantities agree; nothing to compare the others with\.' out ||
  fail "no verdict on what stands alone"
gated gru 7 --steps 5 --batch 2 --hidden 4 --reduction mean
gated lstm 8 --steps 1 --batch 1 --input 1 --hidden 1 --dtype f32
agrees --cell rnn --steps 3
refuses "--cell: \"elman\" is none of rnn, lstm, gru" --cell elman
refuses "--activation doesn't go with --cell" --cell gru --activation relu
refuses "--study is about the derivation by hand" --study --cell lstm
refuses "--no-differences leaves nothing" --cell lstm --no-differences

# ---- the study ----

# studies ARGUMENTS...: status 0, nothing on stderr, 8 statements that hold.
studies() {
  status 0 --study "$@" || return
  [ ! -s err ] || fail "stderr isn't empty: bptt --study $*"
  [ "$(grep -c ' agrees$' out)" = 8 ] || fail "not 8 hold: bptt --study $*"
  grep -qx 'All 8 statements hold\.' out || fail "no verdict: --study $*"
}

# table NAME COLUMNS ROWS: what --study wrote, a line of names and so many rows
# of numbers, the first COLUMNS of which are there.
table() {
  awk -F '\t' -v columns="$2" -v rows="$3" '
    NF != columns { exit 1 }
    NR > 1 && ($1 !~ /^[0-9]+$/ || $2 !~ /^[-+.e0-9]+$/) { exit 1 }
    END { if (NR != rows + 1) exit 1 }' "s.$1.tsv" ||
    fail "s.$1.tsv is not $2 columns and $3 rows"
}

studies --steps 9 --batch 2 --out s
table ledger 6 9
table paths 4 81
table lags 3 9
table jacobian 5 9
table truncation 7 9
table cost 7 6
table cost_units 7 4
awk -F '\t' 'NR > 1 { sum += $4 }
  END { exit !(sum > 0.999999 && sum < 1.000001) }' s.paths.tsv ||
  fail "the shares of all paths don't add up to 1"
# With the share S of the lags below a horizon and the cosine c, the truncated
# gradient is S/c as long as the whole one: error^2 = 1 - 2 S + (S/c)^2.
awk -F '\t' '
  FNR == 1 { next }
  FILENAME == "s.lags.tsv" { S[FNR] = S[FNR - 1] + $3; next }
  { apart = $2 ^ 2 - (1 - 2 * S[FNR] + (S[FNR] / $3) ^ 2); last = $2 + $4 + $6
    if (apart > 1e-7 || apart < -1e-7) exit 1
    if ($1 < 9 && ($3 == 1 || $5 == 1 || $7 == 1)) exit 1 }
  END { if (last > 1e-13) exit 1 }' s.lags.tsv s.truncation.tsv ||
  fail "the errors of truncation are not those of the lags it leaves out"
if ! grep -q 'without LAPACKE' out; then
  # of two units the squares of both singular values add up to the norm's
  studies --steps 6 --hidden 2 --out two &&
    awk -F '\t' 'NR > 1 { r = ($3 ^ 2 + $5 ^ 2) / $2 ^ 2 - 1
      if (r > 1e-7 || r < -1e-7 || $3 < $5) exit 1 }' two.jacobian.tsv ||
    fail "the singular values are not those of the norm"
fi
if command -v gnuplot >/dev/null; then
  for picture in ledger paths lags jacobian truncation cost; do
    grep -q '<svg' "s.$picture.svg" || fail "no picture of $picture"
  done
fi
studies --steps 1 --batch 1 --reduction mean
studies --steps 12 --activation relu --input 1 --classes 2
status 1 --study --steps 9 --tolerance 0 &&
  { grep -q 'DIFFERS' out || fail "which statement does not hold?"; }
refuses "--dtype f32 doesn't go with --study" --study --dtype f32
refuses "--dot doesn't go with --study" --study --dot s.dot
refuses "no/such/room/s.ledger.tsv" --study --steps 2 --out no/such/room/s
refuses "--study takes no value" --study=5
without_gnuplot --study --steps 3 --out plain
[ -s plain.cost.tsv ] && [ ! -e plain.cost.svg ] || fail "not the tables alone"

# ---- files ----

with_files() {
  local name activation
  for activation in tanh:sum relu:mean sigmoid:sum; do
    name=$golden/bptt_${activation%:*}.safetensors
    agrees --case "$name" --activation "${activation%:*}" \
      --reduction "${activation#*:}" --tolerance 1e-12
  done
  agrees --case "$golden/bptt_relu.safetensors" --dtype f32
  studies --case "$golden/bptt_relu.safetensors" --activation relu \
    --reduction mean

  name=$golden/bptt_lstm.safetensors
  gated lstm 14 --case "$name" --tolerance 1e-12
  grep -qx 'All agree\.' out || fail "LSTM: no verdict"
  gated gru 12 --case "$golden/bptt_gru.safetensors" --reduction mean \
    --tolerance 1e-12
  # figures of another loss, and of another cell's sizes
  status 1 --cell lstm --case "$name" --reduction mean &&
    { grep -q 'DIFFERS from PyTorch' out || fail "which side differs?"; }
  refuses "W_xh is [12, 4], but x and W_hy ask for [9, 4]" \
    --cell gru --case "$name"
  refuses "W_xh is [12, 4]" --case "$name"
  sed 's/want.loss/want.Loss/; s/want.delta_h/want.delta_H/' "$name" >bad
  gated lstm 12 --case bad
  refuses "--no-differences leaves" --cell lstm --case bad --no-differences
  sed 's/want.delta_z/want.delta_Z/; s/want.delta_h/want.delta_z/' "$name" >bad
  refuses "want.delta_z is not f64 of the quantity's shape" --cell lstm \
    --case bad

  agrees --out out.safetensors
  for name in loss h logits delta_o delta_h delta_z W_xh W_hh W_hy b_h b_y h0
  do
    grep -qaF "\"autograd.$name\"" out.safetensors &&
      grep -qaF "\"manual.$name\"" out.safetensors ||
      fail "--out has no $name"
  done
  cp out.safetensors before
  refuses "--dot" --out out.safetensors --dot no/such/room/graph.dot
  cmp -s out.safetensors before || fail "--out changed after an error"
  refuses "--out" --out no/such/room/out.safetensors
  [ ! -c /dev/full ] || refuses "--out" --out /dev/full

  refuses "nowhere" --case nowhere.safetensors
  : >empty
  refuses "empty" --case empty
  head -c 900 "$golden/bptt_tanh.safetensors" >short
  refuses "short" --case short
  bad_cases
}

bad_cases() {
  local x=x=F64:2,1,3 y=y=I64:2,1 hh=W_hh=F64:4,4 xh=W_xh=F64:4,3
  local hy=W_hy=F32:5,4 bh=b_h=F64:4 by=b_y=F64:5
  case_file good $x $y $hh $xh $hy $bh $by
  agrees --case good
  case_file bad $x $y $hh $xh $hy $bh
  refuses "bad has no b_y" --case bad
  case_file bad $x $y W_hh=F64:4,3 $xh $hy $bh $by
  refuses "W_hh is [4, 3], but x and W_hy ask for [4, 4]" --case bad
  case_file bad $x $y $hh W_xh=F64:4,2 $hy $bh $by
  refuses "W_xh is [4, 2], but x and W_hy ask for [4, 3]" --case bad
  case_file bad $x y=I64:1,2 $hh $xh $hy $bh $by
  refuses "y is [1, 2], but x and W_hy ask for [2, 1]" --case bad
  case_file bad $x $y $hh $xh $hy b_h=F64:4,1 $by
  refuses "b_h is [4, 1], but must have rank 1" --case bad
  case_file bad $x $y $hh $xh $hy $bh $by h0=F64:2,4
  refuses "h0 is [2, 4]" --case bad
  case_file bad x=F64:0,1,3 y=I64:0,1 $hh $xh $hy $bh $by
  refuses "x is [0, 1, 3], but no size may be 0" --case bad
  case_file bad $x y=F64:2,1 $hh $xh $hy $bh $by
  refuses "y is f64" --case bad
  case_file bad $x $y W_hh=I64:4,4 $xh $hy $bh $by
  refuses "W_hh is i64" --case bad
  # y's first byte comes right after the 48 of x's: class 5 of 0 .. 4.
  case_file bad $x $y $hh $xh $hy $bh $by
  local data=$(($(wc -c <bad) - 48 - 16 - 128 - 96 - 80 - 32 - 40))
  printf '\005' | dd of=bad bs=1 seek=$((data + 48)) conv=notrunc 2>/dev/null
  refuses "y[0, 0] is 5" --case bad
}

# Without jansson the library says so, and nothing is written.
without_files() {
  refuses jansson --case "$golden/bptt_tanh.safetensors"
  refuses jansson --out out.safetensors
  [ ! -e out.safetensors ] || fail "there is a file all the same"
}

if "$program" --no-differences --out probe >/dev/null 2>err; then
  with_files
elif grep -q jansson err; then
  without_files
else
  fail "files neither work nor are left out"
fi

finish
