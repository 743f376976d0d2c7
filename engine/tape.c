/* tape.c - the life of a tape: making, marking, rewinding, errors, figures. */
#include "tape_impl.h"
#include "watch.h"

#include <string.h>

#define FIRST_BLOCK ((size_t)32 << 10)

/* ---- life ---- */

cg_tape *cg_tape_new(const cg_tape_options *options) {
  const cg_allocator *a = options && options->allocator
                              ? options->allocator
                              : cg_allocator_default();
  cg_tape *tape = a->alloc(a->context, sizeof *tape);
  if (!tape) return NULL;
  memset(tape, 0, sizeof *tape);
  tape->mem = (mem){.allocator = a, .held = sizeof *tape, .calls = 1};
  if (mem_grow(&tape->mem, (void **)&tape->rewinds, &tape->cap_rewinds, 0, 1,
               sizeof *tape->rewinds)) {
    a->release(a->context, tape, sizeof *tape);
    return NULL;
  }
  tape->mem.peak = tape->mem.held;
  tape->mem.limit = options ? options->byte_limit : 0;
  arena_init(&tape->nodes, &tape->mem, FIRST_BLOCK);
  arena_init(&tape->data, &tape->mem, FIRST_BLOCK);
  pool_init(&tape->pool, &tape->mem);
  tape->cookie = (uint32_t)((uintptr_t)tape >> 6) * 0x85EBCA6Bu | 1u;
  return tape;
}

void cg_tape_free(cg_tape *tape) {
  if (!tape) return;
  mem *m = &tape->mem;
  profile_free(tape);
  arena_free(&tape->nodes);
  arena_free(&tape->data);
  pool_free_all(&tape->pool);
  mem_free(m, tape->proxies, tape->cap_proxies * sizeof *tape->proxies);
  mem_free(m, tape->table, tape->table_size * sizeof *tape->table);
  mem_free(m, tape->scopes, tape->cap_scopes * sizeof *tape->scopes);
  mem_free(m, tape->rewinds, tape->cap_rewinds * sizeof *tape->rewinds);
  mem_free(m, tape->hooks, tape->cap_hooks * sizeof *tape->hooks);
  mem_free(m, tape->order, tape->cap_order * sizeof(cg_tensor *));
  mem_free(m, tape->replay.nodes, tape->replay.cap * sizeof(cg_tensor *));
  const cg_allocator *a = m->allocator;
  a->release(a->context, tape, sizeof *tape);
}

/* ---- marks ---- */

/* The contents of a cg_mark. */
typedef struct mark_state {
  const cg_tape *tape;
  arena_mark nodes, data;
  cg_tensor *last;
  uint64_t epoch, position;
  uint32_t serial, scope, n_scopes, n_proxies;
} mark_state;

_Static_assert(sizeof(mark_state) <= sizeof(cg_mark), "cg_mark is too small");

cg_mark cg_tape_mark(const cg_tape *tape) {
  cg_mark mark = {{0}};
  if (!tape) return mark;
  mark_state s = {
      .tape = tape,
      .nodes = tape->position == tape->gap_position && tape->epoch
                   ? tape->gap_mark
                   : arena_get_mark(&tape->nodes),
      .data = arena_get_mark(&tape->data),
      .last = tape->last,
      .epoch = tape->epoch,
      .position = tape->position,
      .serial = tape->serial,
      .scope = tape->scope,
      .n_scopes = (uint32_t)tape->n_scopes,
      .n_proxies = (uint32_t)tape->n_proxies,
  };
  memcpy(&mark, &s, sizeof s);
  return mark;
}

/* Did a rewind since the mark was made go below it? */
static bool mark_died(const cg_tape *tape, const mark_state *s) {
  size_t lo = 0, hi = tape->n_rewinds; /* first rewind after the mark */
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    if (tape->rewinds[mid].epoch > s->epoch)
      hi = mid;
    else
      lo = mid + 1;
  }
  return lo < tape->n_rewinds && tape->rewinds[lo].position < s->position;
}

/* Notes a rewind to `position`, so that marks beyond it are refused. */
static void note_rewind(cg_tape *tape, uint64_t position) {
  tape->epoch++;
  while (tape->n_rewinds &&
         tape->rewinds[tape->n_rewinds - 1].position >= position)
    tape->n_rewinds--;
  size_t n = tape->n_rewinds;
  if (mem_grow(&tape->mem, (void **)&tape->rewinds, &tape->cap_rewinds, n,
               n + 1, sizeof *tape->rewinds)) {
    /* No room to remember: refuse more marks than necessary, never fewer. The
     * room that cg_tape_new made is at least one entry. */
    tape->rewinds[n - 1].epoch = tape->epoch;
    return;
  }
  tape->rewinds[n] = (rewind_entry){tape->epoch, position};
  tape->n_rewinds = n + 1;
}

/* Headers start at another place after each rewind, so that a pointer kept by
 * mistake does not meet its successor at the same address: less than a header
 * away, or it would meet the one before or behind. The gap is not part of a
 * mark made right behind it, or a loop of marks would creep. */
static void leave_gap(cg_tape *tape, const mark_state *s) {
  tape->gap_mark = s->nodes;
  tape->gap_position = s->position;
  enum { PLACES = 8, APART = 8 };
  _Static_assert(PLACES * APART < sizeof(cg_tensor), "headers could meet");
  size_t size = APART * (size_t)(tape->epoch % PLACES);
  void *gap;
  if (size && tape->nodes.first &&
      !arena_alloc(&tape->nodes, size, 1, &gap))
    memset(gap, 0, size); /* dropped headers in it must not look alive */
}

static void rewind_to(cg_tape *tape, const mark_state *s) {
  tape_drop_hooks(tape, s->position);
  tape_drop_proxies(tape, s->n_proxies);
  arena_rewind(&tape->nodes, s->nodes);
  arena_rewind(&tape->data, s->data);
  note_rewind(tape, s->position);
  leave_gap(tape, s);
  tape->last = s->last;
  tape->position = s->position;
  tape->serial = s->serial;
  if (s->serial < tape->replay.old) tape->replay.old = 0;
  tape->scope = s->scope;
  if (tape->n_scopes > s->n_scopes) tape->n_scopes = s->n_scopes;
  cg_tape_clear_error(tape);
}

/* A callback of a walk must not drop what the walk goes over. */
static cg_status refuse_busy(cg_tape *tape) {
  cg_tape_fail(tape, CG_ERR_STATE, "tape_rewind",
               "a walk is running over what would be dropped, or a function of "
               "cg_checkpoint needs it");
  return CG_ERR_STATE;
}

cg_status cg_tape_rewind(cg_tape *tape, cg_mark mark) {
  if (!tape) return CG_ERR_ARG;
  mark_state s;
  memcpy(&s, &mark, sizeof s);
  if (s.tape != tape || mark_died(tape, &s)) {
    cg_tape_fail(tape, CG_ERR_STATE, "tape_rewind",
                 s.tape != tape ? "the mark belongs to another tape"
                                : "the mark was dropped by an earlier rewind");
    return CG_ERR_STATE;
  }
  if (tape->busy && s.position < tape->guard) return refuse_busy(tape);
  rewind_to(tape, &s);
  return CG_OK;
}

void cg_tape_reset(cg_tape *tape) {
  if (!tape) return;
  if (tape->busy) {
    refuse_busy(tape);
    return;
  }
  mark_state start = {.tape = tape};
  rewind_to(tape, &start);
  tape->mode = MODE_RECORD;
}

/* ---- carrying values over a rewind ---- */

/* Where a carried value waits while the tape is rewound. */
typedef struct carried {
  cg_dtype dtype;
  int rank;
  int64_t shape[CG_MAX_RANK];
  void *data;
  size_t bytes;
} carried;

static bool stash(cg_tape *tape, cg_tensor *x, int i, carried *c) {
  const char *fn = "tape_rewind_keep";
  x = tape_resolve(tape, x, fn, i);
  if (!x) return false;
  c->dtype = x->dtype;
  c->rank = x->rank;
  memcpy(c->shape, t_shape(x), sizeof(int64_t) * x->rank);
  c->bytes = (size_t)t_numel(x) * dtype_size(c->dtype);
  c->data = tape_scratch(tape, c->bytes, fn);
  if (!c->data) return false;
  if (!(x->flags & T_CONTIGUOUS)) return !cg_tensor_read(x, c->data, c->bytes);
  if (c->bytes) memcpy(c->data, x->data, c->bytes);
  return true;
}

static cg_tensor *unstash(cg_tape *tape, const carried *c) {
  cg_tensor *x = tape->mode == MODE_TEMP
                     ? tape_new_temp(tape, c->dtype, c->rank, c->shape)
                     : tape_new_value(tape, c->dtype, c->rank, c->shape);
  if (x && c->bytes) memcpy(x->data, c->data, c->bytes);
  return x;
}

cg_status cg_tape_rewind_keep(cg_tape *tape, cg_mark mark, cg_tensor **tensors,
                              int count) {
  if (!tape || count < 0 || (count && !tensors)) return CG_ERR_ARG;
  carried *list =
      tape_scratch(tape, sizeof *list * (size_t)(count + 1), "rewind_keep");
  bool ok = list && !tape->error.status;
  for (int i = 0; ok && i < count; i++)
    ok = stash(tape, tensors[i], i, &list[i]);
  cg_error error;
  if (!ok) error = tape->error;
  cg_status status = cg_tape_rewind(tape, mark);
  if (!ok && !status) tape->error = error;
  for (int i = 0; i < count; i++)
    tensors[i] = tape->error.status ? NULL : unstash(tape, &list[i]);
  tape_drop_scratch(tape);
  if (tape->error.status)
    for (int i = 0; i < count; i++) tensors[i] = NULL;
  return tape->error.status;
}

/* ---- errors ---- */

static const cg_error no_tape = {CG_ERR_ARG, "", "", "there is no tape"};

cg_status cg_tape_status(const cg_tape *tape) {
  return tape ? tape->error.status : CG_ERR_ARG;
}

const cg_error *cg_tape_error(const cg_tape *tape) {
  return tape ? &tape->error : &no_tape;
}

void cg_tape_clear_error(cg_tape *tape) {
  if (tape && tape->error.status) tape->error = (cg_error){0};
}

cg_tensor *tape_vfail(cg_tape *tape, cg_status status, const char *op,
                      const char *fmt, va_list args) {
  if (!tape || tape->error.status) return NULL;
  cg_error *e = &tape->error;
  cg_error_set(e, status, op, NULL);
  cg_scope_path(tape, NULL, e->scope, sizeof e->scope);
  if (fmt) vsnprintf(e->message, sizeof e->message, fmt, args);
  return NULL;
}

cg_tensor *cg_tape_fail(cg_tape *tape, cg_status status, const char *op,
                        const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  tape_vfail(tape, status, op, fmt, args);
  va_end(args);
  return NULL;
}

cg_tensor *tape_fail_mem(cg_tape *tape, cg_status status, const char *op) {
  const mem *m = &tape->mem;
  if (status == CG_ERR_LIMIT)
    return cg_tape_fail(tape, status, op,
                        "%zu more bytes were wanted; the tape holds %zu and "
                        "may hold %zu",
                        m->wanted, m->held, m->limit);
  return cg_tape_fail(tape, CG_ERR_NOMEM, op,
                      "no memory for %zu more bytes; the tape holds %zu",
                      m->wanted, m->held);
}

/* ---- switches and figures ---- */

bool cg_tape_set_recording(cg_tape *tape, bool on) {
  if (!tape) return false;
  bool was = tape->mode == MODE_RECORD;
  if (tape->mode != MODE_TEMP) tape->mode = on ? MODE_RECORD : MODE_VALUE;
  return was;
}

bool cg_tape_recording(const cg_tape *tape) {
  return tape && tape->mode == MODE_RECORD;
}

cg_tape_stats cg_tape_get_stats(const cg_tape *tape) {
  if (!tape) return (cg_tape_stats){0};
  return (cg_tape_stats){
      .nodes = tape->serial,
      .bytes_used = arena_used(&tape->nodes) + arena_used(&tape->data),
      .bytes_held = tape->mem.held,
      .bytes_peak = tape->mem.peak,
      .system_allocs = tape->mem.calls,
  };
}
