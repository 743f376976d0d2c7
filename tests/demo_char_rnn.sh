#!/usr/bin/env bash
# char_rnn from outside: it learns, keeps and continues a text; the same seed
# gives the same losses; memory stays flat; what is wrong is said in one line.
# usage: demo_char_rnn.sh PROGRAM

# shellcheck source=tests/demo_common.sh
. "$(dirname "$0")/demo_common.sh"

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

train --iterations 600 --log a.tsv >a.out || fail "training"
train --iterations 600 --log b.tsv >b.out || fail "training again"
cmp -s <(cut -f 1,3-6,8 a.tsv) <(cut -f 1,3-6,8 b.tsv) ||
  fail "the same seed gave other losses"
for threads in 1 3; do
  train --iterations 100 --batch 40 --threads "$threads" \
    --log "t$threads.tsv" >t.out || fail "$threads threads"
done
cmp -s <(cut -f 1,3-6,8 t1.tsv) <(cut -f 1,3-6,8 t3.tsv) ||
  fail "three threads gave other losses than one"
train --iterations 60 --seed 2 --log c.tsv >/dev/null
cmp -s <(cut -f 3 a.tsv | sed -n 2p) <(cut -f 3 c.tsv | sed -n 2p) &&
  fail "another seed gave the same losses"
[ "$(head -n 1 a.tsv | tr '\t' ' ')" = "iteration seconds train_loss \
train_bits val_loss val_bits chars_per_s grad_norm" ] || fail "the log's header"
awk -F '\t' 'NF != 8 { exit 1 }' a.tsv || fail "a row of the log is not whole"
grep -q "below the trigram baseline" a.out || fail "trigram: $(tail -n 5 a.out)"
grep -q "not below" a.out && fail "the network is not below the trigram"
awk '/the tapes hold/ { found = $4 == $8 && $11 == 0 }
     END { exit !found }' FS='[ :)]+' a.out || fail "memory: $(grep tape a.out)"

# ---- the curve's picture replaces none but gnuplot's ----

if command -v gnuplot >/dev/null; then
  grep -qx "learning curve drawn in a.svg" a.out || fail "no picture of a.tsv"
  echo "a drawing of mine" >d.svg
  train --iterations 20 --log d.tsv >d.out || fail "training beside a d.svg"
  grep -q "d.svg is another file" d.out || fail "the picture's place is taken"
  grep -qx "a drawing of mine" d.svg || fail "another's drawing was overwritten"
  train --iterations 20 --log a >a.out || fail "training to a again"
  grep -qx "learning curve drawn in a.svg" a.out || fail "no picture again"
fi

# ---- what is wrong ----

: >empty.txt
head -c 300 words.txt >short.txt
refuses "which of"
refuses "none of" learn
refuses "data" train
refuses "not in" train --data words.txt --hidden 0
refuses "not in" train --data words.txt --embedding -1
refuses "no finite number" train --data words.txt --lr nan
refuses "none of rnn, lstm, gru" train --data words.txt --cell rnm
refuses "exclude" train --data words.txt --seconds 1 --iterations 1
refuses "missing.txt" train --data missing.txt
refuses "cannot read" train --data .
refuses "empty" train --data empty.txt
refuses "needs 1025" train --data short.txt
refuses "missing" sample
refuses "" sample --model words.txt
grep -q "words.txt\|built without" err || fail "no model, but why?"
complains 1 "nowhere" train --data words.txt --log nowhere/a.tsv
[ -e /dev/full ] &&
  complains 1 "/dev/full" train --data words.txt --log /dev/full
cp words.txt before.txt
ln -s words.txt link.txt
for option in --save --log; do
  refuses "in use" train --data short.txt words.txt $option words.txt
  refuses "in use" train --data words.txt $option ./link.txt
  refuses "needs a name" train --data words.txt $option ""
done
refuses "in use" train --data words.txt --save both --log both
# The picture of the log has its name, but for the end.
ln words.txt curve.svg
refuses "curve.svg is already in use" train --data words.txt --log curve.tsv
refuses "curve.svg is already in use" train --data words.txt --log curve
refuses "m.svg is already in use" train --data words.txt --log m --save m.svg
refuses "m.svg is already in use" train --data words.txt --log m --resume m.svg
cmp -s words.txt before.txt || fail "the text was overwritten"
complains 1 "not finite" train --data words.txt --optimizer sgd --lr 1e38 \
  --clip 0 --hidden 16 --iterations 200

# ---- keeping a model, where the library can ----

started=$SECONDS
if ! train --iterations 1 --save probe.safetensors >out 2>err; then
  [ "$(wc -l <err)" = 1 ] || fail "no single line without a JSON library"
  [ -s out ] && fail "it began to train a model that cannot be kept"
  [ $((SECONDS - started)) -lt 5 ] || fail "it trained before it said so"
  echo "models cannot be saved in this build: that part is left out"
  finish
  exit
fi

train --iterations 1200 --save m.safetensors >m.out || fail "training to keep"
"$program" sample --model m.safetensors --length 2000 --prompt "the " >s1 ||
  fail "sampling"
"$program" sample --model m.safetensors --length 2000 --prompt "the " >s2
cmp -s s1 s2 || fail "the same seed wrote another sample"
[ "$(wc -c <s1)" = 2005 ] || fail "the sample has $(wc -c <s1) bytes"
# Of the sampled words, at least 4 in 5 are words of the text.
tr -s ' ' '\n' <words.txt | sort -u >known
tr -s ' ' '\n' <s1 | sort | grep . >sampled
real=$(grep -c -x -F -f <(grep . known) sampled)
total=$(wc -l <sampled)
[ $((5 * real)) -ge $((4 * total)) ] || fail "$real of $total words are real"
"$program" eval --model m.safetensors --data words.txt | grep -q perplexity ||
  fail "evaluating"

# ---- the other cells: their file says which it is ----

for cell in lstm gru; do
  train --iterations 300 --cell "$cell" --save "$cell.safetensors" >cell.out ||
    fail "training --cell $cell"
  grep -q "^$cell, 1 layer" cell.out || fail "$cell: $(head -n 2 cell.out)"
  grep -q "below the trigram baseline" cell.out || fail "$cell: trigram"
  grep -q "not below" cell.out && fail "$cell is not below the trigram"
  "$program" sample --model "$cell.safetensors" --length 300 >cell.txt ||
    fail "sampling from $cell"
  [ "$(wc -c <cell.txt)" = 301 ] || fail "$cell wrote $(wc -c <cell.txt) bytes"
  "$program" eval --model "$cell.safetensors" --data words.txt >cell.txt ||
    fail "evaluating $cell"
  grep -q perplexity cell.txt || fail "$cell: $(cat cell.txt)"
done

# ---- embeddings: their file says how long they are ----

train --iterations 300 --embedding 12 --cell gru --save embed.safetensors \
  >embed.out || fail "training --embedding"
grep -q "not below" embed.out && fail "with embeddings, not below the trigram"
"$program" sample --model embed.safetensors --length 300 >embed.txt ||
  fail "sampling with embeddings"
[ "$(wc -c <embed.txt)" = 301 ] || fail "$(wc -c <embed.txt) bytes of a sample"
sed 's/"embedding":"12"/"embedding":"13"/' embed.safetensors >13.safetensors
refuses "embedding.weight" sample --model 13.safetensors
sed 's/"embedding":"12"/"embedding":"1x"/' embed.safetensors >1x.safetensors
refuses '"embedding" makes no sense' sample --model 1x.safetensors
# A file from before there were any has no such line.
sed 's/"embedding":"0"/"embeddinh":"0"/' gru.safetensors >older.safetensors
"$program" sample --model older.safetensors --length 5 >/dev/null ||
  fail "a file without that line"

sed 's/"cell":"gru"/"cell":"rnn"/' gru.safetensors >rnn.safetensors
refuses "weight_ih_l0" sample --model rnn.safetensors
sed 's/"cell":"gru"/"cell":"gnu"/' gru.safetensors >gnu.safetensors
refuses "gnu" sample --model gnu.safetensors

sum=$(cksum <m.safetensors)
refuses "0x51" sample --model m.safetensors --prompt "Quebec"
printf 'the \377' >byte.txt
refuses "0xff at offset 4" eval --model m.safetensors --data byte.txt
head -c 5000 m.safetensors >cut.safetensors
refuses "cut.safetensors" sample --model cut.safetensors
refuses "gone" sample --model gone.safetensors
complains 1 "nowhere" train --data words.txt --save nowhere/m.safetensors
[ -s out ] && fail "it began to train a model that cannot be kept"
refuses "directory" train --data words.txt --save .
if [ -e /dev/full ]; then
  complains 1 "/dev/full" train --data words.txt --save /dev/full
  [ -s out ] && fail "it began to train for a full disk"
  "$program" sample --model m.safetensors >/dev/full 2>err &&
    fail "a sample that nobody got counts as written"
fi
complains 1 "not finite" train --data words.txt --save m.safetensors \
  --optimizer sgd --lr 1e38 --clip 0 --hidden 16 --iterations 200
[ "$(cksum <m.safetensors)" = "$sum" ] ||
  fail "a failure changed the model file"

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
wait "$job" || fail "a stopped training failed: $(cat stopped.out)"
grep -q "saved stopped.safetensors" stopped.out || fail "it did not save"
"$program" sample --model stopped.safetensors --length 5 >/dev/null ||
  fail "what it saved when stopped cannot be used"

finish
