#!/usr/bin/env bash
# char_rnn from outside: it learns, keeps and continues a text; the same seed
# gives the same losses; memory stays flat; what is wrong is said in one line.
# usage: demo_char_rnn.sh PROGRAM

set -u
export LC_ALL=C
program=$(readlink -f "${1:?usage: demo_char_rnn.sh PROGRAM}")
dir=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0

bad() {
  echo "FAIL: $*"
  failures=$((failures + 1))
}

# refuses STATUS PATTERN ARGUMENT...: that exit status, and one line on stderr.
refuses() {
  local want=$1 pattern=$2 status
  shift 2
  timeout 20 "$program" "$@" >out 2>err </dev/null
  status=$?
  [ "$status" = "$want" ] || bad "exit status $status, not $want: $*"
  [ "$(wc -l <err)" = 1 ] || bad "not one line on stderr: $*: $(cat err)"
  grep -q -- "$pattern" err || bad "no '$pattern' for $*: $(cat err)"
}

# 80 kB of words in random order, from a generator that is the same everywhere.
awk 'BEGIN {
  n = split("the autumn river carried seven yellow leaves below our bridge " \
            "where nobody had ever thought about winter until morning came " \
            "with silver frost upon every window", word, " ")
  for (x = 2385; bytes < 80000; bytes += length(w) + 1) {
    x = (x * 16807) % 2147483647
    w = word[1 + int(x / 65536) % n]
    printf "%s%s", w, (++k % 9 ? " " : "\n")
  }
}' >words.txt
small="--data words.txt --hidden 64 --batch 16 --steps 16"

# ---- it trains, the same each time, in flat memory ----

# shellcheck disable=SC2086  # $small is a list of words
train() { "$program" train $small "$@"; }

train --iterations 600 --log a.tsv >a.out || bad "training"
train --iterations 600 --log b.tsv >b.out || bad "training again"
cmp -s <(cut -f 1,3-6,8 a.tsv) <(cut -f 1,3-6,8 b.tsv) ||
  bad "the same seed gave other losses"
for threads in 1 3; do
  train --iterations 100 --batch 40 --threads "$threads" \
    --log "t$threads.tsv" >t.out || bad "$threads threads"
done
cmp -s <(cut -f 1,3-6,8 t1.tsv) <(cut -f 1,3-6,8 t3.tsv) ||
  bad "three threads gave other losses than one"
train --iterations 60 --seed 2 --log c.tsv >/dev/null
cmp -s <(cut -f 3 a.tsv | sed -n 2p) <(cut -f 3 c.tsv | sed -n 2p) &&
  bad "another seed gave the same losses"
[ "$(head -n 1 a.tsv | tr '\t' ' ')" = "iteration seconds train_loss \
train_bits val_loss val_bits chars_per_s grad_norm" ] || bad "the log's header"
awk -F '\t' 'NF != 8 { exit 1 }' a.tsv || bad "a row of the log is not whole"
grep -q "below the trigram baseline" a.out || bad "trigram: $(tail -n 5 a.out)"
grep -q "not below" a.out && bad "the network is not below the trigram"
awk '/the tapes hold/ { found = $4 == $8 && $11 == 0 }
     END { exit !found }' FS='[ :)]+' a.out || bad "memory: $(grep tape a.out)"

# ---- what is wrong ----

: >empty.txt
head -c 300 words.txt >short.txt
refuses 2 "which of" 
refuses 2 "none of" learn
refuses 2 "data" train
refuses 2 "not in" train --data words.txt --hidden 0
refuses 2 "not in" train --data words.txt --embedding -1
refuses 2 "no finite number" train --data words.txt --lr nan
refuses 2 "none of rnn, lstm, gru" train --data words.txt --cell rnm
refuses 2 "exclude" train --data words.txt --seconds 1 --iterations 1
refuses 2 "missing.txt" train --data missing.txt
refuses 2 "cannot read" train --data .
refuses 2 "empty" train --data empty.txt
refuses 2 "needs 1025" train --data short.txt
refuses 2 "missing" sample
refuses 2 "words.txt\|built without" sample --model words.txt
refuses 1 "nowhere" train --data words.txt --log nowhere/a.tsv
[ -e /dev/full ] && refuses 1 "/dev/full" train --data words.txt --log /dev/full
cp words.txt before.txt
ln -s words.txt link.txt
for option in --save --log; do
  refuses 2 "in use" train --data short.txt words.txt $option words.txt
  refuses 2 "in use" train --data words.txt $option ./link.txt
  refuses 2 "needs a name" train --data words.txt $option ""
done
refuses 2 "in use" train --data words.txt --save both --log both
cmp -s words.txt before.txt || bad "the text was overwritten"
refuses 1 "not finite" train --data words.txt --optimizer sgd --lr 1e38 \
  --clip 0 --hidden 16 --iterations 200

# ---- keeping a model, where the library can ----

started=$SECONDS
if ! train --iterations 1 --save probe.safetensors >out 2>err; then
  [ "$(wc -l <err)" = 1 ] || bad "no single line without a JSON library"
  [ -s out ] && bad "it began to train a model that cannot be kept"
  [ $((SECONDS - started)) -lt 5 ] || bad "it trained before it said so"
  echo "models cannot be saved in this build: that part is left out"
  [ "$failures" = 0 ]
  exit
fi

train --iterations 1200 --save m.safetensors >m.out || bad "training to keep"
"$program" sample --model m.safetensors --length 2000 --prompt "the " >s1 ||
  bad "sampling"
"$program" sample --model m.safetensors --length 2000 --prompt "the " >s2
cmp -s s1 s2 || bad "the same seed wrote another sample"
[ "$(wc -c <s1)" = 2005 ] || bad "the sample has $(wc -c <s1) bytes"
# Of the sampled words, at least 4 in 5 are words of the text.
tr -s ' ' '\n' <words.txt | sort -u >known
tr -s ' ' '\n' <s1 | sort | grep . >sampled
real=$(grep -c -x -F -f <(grep . known) sampled)
total=$(wc -l <sampled)
[ $((5 * real)) -ge $((4 * total)) ] || bad "$real of $total words are real"
"$program" eval --model m.safetensors --data words.txt | grep -q perplexity ||
  bad "evaluating"

# ---- the other cells: their file says which it is ----

for cell in lstm gru; do
  train --iterations 300 --cell "$cell" --save "$cell.safetensors" >cell.out ||
    bad "training --cell $cell"
  grep -q "^$cell, 1 layer" cell.out || bad "$cell: $(head -n 2 cell.out)"
  grep -q "below the trigram baseline" cell.out || bad "$cell: trigram"
  grep -q "not below" cell.out && bad "$cell is not below the trigram"
  "$program" sample --model "$cell.safetensors" --length 300 >cell.txt ||
    bad "sampling from $cell"
  [ "$(wc -c <cell.txt)" = 301 ] || bad "$cell wrote $(wc -c <cell.txt) bytes"
  "$program" eval --model "$cell.safetensors" --data words.txt >cell.txt ||
    bad "evaluating $cell"
  grep -q perplexity cell.txt || bad "$cell: $(cat cell.txt)"
done

# ---- embeddings: their file says how long they are ----

train --iterations 300 --embedding 12 --cell gru --save embed.safetensors \
  >embed.out || bad "training --embedding"
grep -q "not below" embed.out && bad "with embeddings, not below the trigram"
"$program" sample --model embed.safetensors --length 300 >embed.txt ||
  bad "sampling with embeddings"
[ "$(wc -c <embed.txt)" = 301 ] || bad "$(wc -c <embed.txt) bytes of a sample"
sed 's/"embedding":"12"/"embedding":"13"/' embed.safetensors >13.safetensors
refuses 2 "embedding.weight" sample --model 13.safetensors
sed 's/"embedding":"12"/"embedding":"1x"/' embed.safetensors >1x.safetensors
refuses 2 '"embedding" makes no sense' sample --model 1x.safetensors
# A file from before there were any has no such line.
sed 's/"embedding":"0"/"embeddinh":"0"/' gru.safetensors >older.safetensors
"$program" sample --model older.safetensors --length 5 >/dev/null ||
  bad "a file without that line"

sed 's/"cell":"gru"/"cell":"rnn"/' gru.safetensors >rnn.safetensors
refuses 2 "weight_ih_l0" sample --model rnn.safetensors
sed 's/"cell":"gru"/"cell":"gnu"/' gru.safetensors >gnu.safetensors
refuses 2 "gnu" sample --model gnu.safetensors

sum=$(cksum <m.safetensors)
refuses 2 "0x51" sample --model m.safetensors --prompt "Quebec"
printf 'the \377' >byte.txt
refuses 2 "0xff at offset 4" eval --model m.safetensors --data byte.txt
head -c 5000 m.safetensors >cut.safetensors
refuses 2 "cut.safetensors" sample --model cut.safetensors
refuses 2 "gone" sample --model gone.safetensors
refuses 1 "nowhere" train --data words.txt --save nowhere/m.safetensors
[ -s out ] && bad "it began to train a model that cannot be kept"
refuses 2 "directory" train --data words.txt --save .
if [ -e /dev/full ]; then
  refuses 1 "/dev/full" train --data words.txt --save /dev/full
  [ -s out ] && bad "it began to train for a full disk"
  "$program" sample --model m.safetensors >/dev/full 2>err &&
    bad "a sample that nobody got counts as written"
fi
refuses 1 "not finite" train --data words.txt --save m.safetensors \
  --optimizer sgd --lr 1e38 --clip 0 --hidden 16 --iterations 200
[ "$(cksum <m.safetensors)" = "$sum" ] || bad "a failure changed the model file"

# ---- Ctrl-C ----

# shellcheck disable=SC2086  # as above
"$program" train $small --seconds 60 --save stopped.safetensors \
  >stopped.out 2>&1 &
job=$!
for _ in $(seq 50); do
  grep -q iteration stopped.out && break
  sleep 0.1
done
kill -TERM "$job"
wait "$job" || bad "a stopped training failed: $(cat stopped.out)"
grep -q "saved stopped.safetensors" stopped.out || bad "it did not save"
"$program" sample --model stopped.safetensors --length 5 >/dev/null ||
  bad "what it saved when stopped cannot be used"

[ "$failures" = 0 ] && echo "char_rnn: all as it should be"
[ "$failures" = 0 ]
