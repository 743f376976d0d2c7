/* task_reber.c - the embedded Reber grammar (Hochreiter, Schmidhuber 1997): a
 * string of the grammar between two Ts or two Ps. The net reads it symbol by
 * symbol and says which may come next; the last but one depends on the second.
 * It learns online, a sequence at a time.
 */
#include <math.h>
#include <string.h>

#include "task_net.h"

enum { SYMBOLS = 7, LONGEST = 64, TESTS = 256, EVERY = 100 };

static const char alphabet[SYMBOLS + 1] = "BTPSXVE";

/* From each state two symbols, drawn evenly, lead on. */
static const struct {
  char symbol[2];
  int next[2];
} grammar[] = {{"TP", {1, 2}}, {"SX", {1, 3}}, {"TV", {2, 4}},
               {"XS", {2, 5}}, {"PV", {3, 5}}};
enum { LAST = 5 };

typedef struct string {
  int length;
  int64_t symbol[LONGEST];
  uint8_t legal[LONGEST]; /* bit k: symbol k may follow */
} string;

static int index_of(char c) { return (int)(strchr(alphabet, c) - alphabet); }

/* Appends c, which is one of those of `legal`. */
static void append(string *s, char c, const char *legal) {
  if (s->length > 0) {
    uint8_t *set = &s->legal[s->length - 1];
    for (*set = 0; *legal; legal++) *set |= (uint8_t)(1 << index_of(*legal));
  }
  s->symbol[s->length++] = index_of(c);
}

static void draw_inner(string *s, cg_rng *rng) {
  append(s, 'B', "B");
  for (int state = 0; state != LAST;) {
    int way = (int)cg_rng_below(rng, 2);
    char legal[3] = {grammar[state].symbol[0], grammar[state].symbol[1], 0};
    append(s, legal[way], legal);
    state = grammar[state].next[way];
  }
  append(s, 'E', "E");
}

static void draw(string *s, cg_rng *rng) {
  do {
    char outer[2] = {"TP"[cg_rng_below(rng, 2)], 0};
    s->length = 0;
    append(s, 'B', "B");
    append(s, *outer, "TP");
    draw_inner(s, rng);
    append(s, *outer, outer);
    append(s, 'E', "E");
  } while (s->length > LONGEST - 8);
}

/* Logits for what follows each symbol but the last, [n, 7]. */
static cg_tensor *logits(const task_net *net, const string *s) {
  int64_t n = s->length - 1;
  cg_tensor *x = cg_borrow(net->tape, CG_I64, CG_DIMS(n, 1), s->symbol);
  cg_tensor *o = task_net_all(net, cg_one_hot(net->tape, x, SYMBOLS, CG_F32));
  return cg_reshape(net->tape, o, CG_DIMS(n, SYMBOLS));
}

static cg_tensor *loss_of(const task_net *net, void *batch, cg_rng *rng) {
  string *s = batch;
  draw(s, rng);
  int64_t n = s->length - 1;
  cg_tensor *y = cg_borrow(net->tape, CG_I64, CG_DIMS(n), s->symbol + 1);
  return cg_sum_all(net->tape, cg_cross_entropy(net->tape, logits(net, s), y));
}

/* Is every legal successor more probable than any other symbol? */
static bool knows(const float *o, uint8_t legal) {
  float least = INFINITY, most = -INFINITY;
  for (int k = 0; k < SYMBOLS; k++)
    if (legal >> k & 1)
      least = o[k] < least ? o[k] : least;
    else
      most = o[k] > most ? o[k] : most;
  return least > most;
}

/* The share of test strings of which every step is known. */
static bool test(const task_net *net, void *batch, cg_rng *rng,
                 task_result *result) {
  string *s = batch;
  int known = 0;
  for (int i = 0; i < TESTS; i++) {
    draw(s, rng);
    task_net_begin(net, false);
    cg_tensor *o = logits(net, s);
    if (!o) return false;
    const float *row = cg_tensor_data(o);
    int t = 0;
    while (t < s->length - 1 && knows(row + t * SYMBOLS, s->legal[t])) t++;
    known += t == s->length - 1;
  }
  result->score = (double)known / TESTS;
  result->solved = known == TESTS;
  return true;
}

void task_reber(const task *t, uint64_t seed, task_result *result) {
  const task_net_config config = {.cell = t->cell, .inputs = SYMBOLS,
                                  .hidden = 16, .outputs = SYMBOLS, .lr = 1e-2,
                                  .clip = 5, .seed = seed};
  const task_kind kind = {loss_of, test, 1, EVERY};
  string s;
  task_net_solve(t, &config, &kind, &s, result);
}
