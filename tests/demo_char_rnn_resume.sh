#!/usr/bin/env bash
# char_rnn --resume from outside: training that is killed again and again, at
# any moment, ends with the same files, bit for bit, as one that was not.
# usage: demo_char_rnn_resume.sh PROGRAM

# shellcheck source=tests/demo_common.sh
. "$(dirname "$0")/demo_common.sh"

awk 'BEGIN {
  n = split("every winter the old lighthouse keeper wrote eleven letters to " \
            "his brother who never answered but kept them all in a tin", w, " ")
  for (x = 911; bytes < 30000; bytes += length(s) + 1) {
    x = (x * 16807) % 2147483647
    s = w[1 + int(x / 65536) % n]
    printf "%s%s", s, (++k % 9 ? " " : "\n")
  }
}' >words.txt

if ! "$program" train --data words.txt --hidden 8 --iterations 1 \
  --resume probe.state >out 2>err; then
  [ "$(wc -l <err)" = 1 ] || fail "no single line without a JSON library"
  echo "states cannot be saved in this build: that part is left out"
  finish
  exit
fi

# killed SECONDS ARGUMENT...: runs it again and again, each time killed after a
# random part of SECONDS, until it comes to its end.
kills=0
killed() {
  local longest=$1 job runs=0
  shift
  while [ $((runs += 1)) -le 200 ]; do
    "$program" train "$@" >run.out 2>run.err &
    job=$!
    sleep "$(awk -v s="$longest" -v r="$RANDOM" 'BEGIN {
      printf "%.3f", s * r / 32768 }')"
    if kill -KILL "$job" 2>/dev/null; then
      wait "$job" 2>/dev/null && return
      kills=$((kills + 1))
    else
      wait "$job" && return
    fi
    [ -s run.err ] && fail "it complained: $(cat run.err)"
    [ "$runs" -gt 25 ] && longest=$((runs / 5))
  done
  fail "it never came to its end: $*"
}

# The columns of a log that are not times.
figures() { cut -f 1,3-6,8 "$1"; }

RANDOM=2385
i=0
for options in "--cell rnn --layers 2 --schedule cosine --warmup 0.1" \
  "--cell lstm --optimizer rmsprop --schedule plateau --validations 30" \
  "--cell gru --embedding 6 --optimizer sgd --schedule one-cycle"; do
  i=$((i + 1))
  # shellcheck disable=SC2086  # lists of words
  set -- --data words.txt --hidden 48 --batch 8 --steps 16 --iterations 600 \
    --save-every 7 $options
  "$program" train "$@" --resume whole$i.state --save whole$i.safetensors \
    --log whole$i.tsv >whole.out || fail "training at one go: $options"
  killed 0.2 "$@" --resume part$i.state --save part$i.safetensors \
    --log part$i.tsv
  cmp whole$i.state part$i.state || fail "another state: $options"
  cmp whole$i.safetensors part$i.safetensors || fail "another model: $options"
  cmp -s <(figures whole$i.tsv) <(figures part$i.tsv) ||
    fail "another log: $options"
  # Without --resume the numbers are those, too.
  "$program" train "$@" --save plain.safetensors >plain.out || fail "plain"
  cmp -s whole$i.safetensors plain.safetensors ||
    fail "--resume changes the model: $options"
done
echo "$kills kills"
[ "$kills" -ge 5 ] || fail "only $kills runs were killed"

# ---- after the end, and after Ctrl-C ----

set -- --data words.txt --hidden 16 --batch 8 --steps 16 --save-every 10
"$program" train "$@" --iterations 60 --resume done.state >one.out
cp done.state before.state
"$program" train "$@" --iterations 60 --resume done.state >two.out ||
  fail "resuming what is done"
grep -q "resuming done.state after 60 iterations" two.out || fail "not resumed"
grep -q "trained 0 iterations" two.out || fail "it trained on"
cmp -s done.state before.state || fail "what is done has changed"

# The same command twice, each time stopped as soon as it has said something.
for expected in "bytes to train on" "resuming timed.state"; do
  : >timed.out # not what the first one said
  "$program" train "$@" --seconds 20 --resume timed.state >>timed.out 2>&1 &
  job=$!
  for _ in $(seq 100); do
    grep -q "% *iteration" timed.out && break
    sleep 0.1
  done
  kill -TERM "$job"
  wait "$job" || fail "a stopped training failed: $(cat timed.out)"
  grep -q "$expected" timed.out || fail "no '$expected': $(cat timed.out)"
done

# ---- what is wrong ----

set -- --data words.txt --hidden 16 --batch 8 --steps 16
base="--iterations 60 --resume done.state"
# shellcheck disable=SC2086  # a list of words
{
  refuses "begun with hidden 16, not 17" train "$@" $base --hidden 17
  refuses "begun with embedding 0, not 5" train "$@" $base --embedding 5
  refuses "begun with seed 1, not 2" train "$@" $base --seed 2
  refuses "begun with iterations 60, not 61" train "$@" $base --iterations 61
  refuses "optimizer-name adam, not sgd" train "$@" $base --optimizer sgd
  refuses "schedule cosine, not step" train "$@" $base --schedule step
  head -c 29990 words.txt >other.txt
  refuses "another text" train "$@" $base --data other.txt
}
refuses "in use" train "$@" --resume words.txt
refuses "in use" train "$@" --resume both --save both
refuses "none of constant" train "$@" --schedule sinus
refuses "none of adam" train "$@" --optimizer lbfgs
refuses "not in 0" train "$@" --warmup 2
complains 1 "nowhere" train "$@" --resume nowhere/a.state
head -c 3000 done.state >cut.state
refuses "cut.state" train "$@" --iterations 60 --resume cut.state
"$program" train "$@" --iterations 1 --save m.safetensors >/dev/null
refuses "no state of char_rnn" train "$@" --iterations 60 --resume m.safetensors
sed 's/"optimizer":"adam"/"optimizer":"adab"/' done.state >kind.state
refuses "adab" train "$@" --iterations 60 --resume kind.state
cmp -s done.state before.state || fail "a refusal changed the state"

finish
