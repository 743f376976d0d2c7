/* profile.c - counting calls, time and bytes per op name. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <chronograd/profile.h>

#include <string.h>
#include <time.h>

#include "watch.h"

enum { FIRST_ROWS = 64 };

struct profile {
  cg_profile_row *rows;
  const cg_op **ops; /* who a row was last used by: a shortcut to it */
  size_t n, cap_rows, cap_ops;
  uint64_t made; /* bytes that ops made inside the running rule */
  uint64_t counted; /* nanoseconds in all rows, ever */
};

/* ---- rows ---- */

static cg_status reserve(mem *m, struct profile *p, size_t n) {
  cg_status status = mem_grow(m, (void **)&p->rows, &p->cap_rows, p->n, n,
                              sizeof *p->rows);
  if (!status)
    status = mem_grow(m, (void **)&p->ops, &p->cap_ops, p->n, n,
                      sizeof *p->ops);
  return status;
}

static bool is_row_of(const cg_profile_row *r, const char *name) {
  return !strncmp(r->name, name, sizeof r->name - 1);
}

static cg_profile_row *find_row(struct profile *p, const cg_op *op) {
  for (size_t i = 0; i < p->n; i++)
    if (p->ops[i] == op && is_row_of(&p->rows[i], op->name)) return &p->rows[i];
  for (size_t i = 0; i < p->n; i++)
    if (is_row_of(&p->rows[i], op->name)) {
      p->ops[i] = op;
      return &p->rows[i];
    }
  return NULL;
}

/* The op's row, made if needed; NULL after an error. */
static cg_profile_row *row_of(cg_tape *tape, const cg_op *op) {
  struct profile *p = tape->profile;
  cg_profile_row *r = find_row(p, op);
  if (r) return r;
  cg_status status = reserve(&tape->mem, p, p->n + 1);
  if (status) {
    tape_fail_mem(tape, status, "profile");
    return NULL;
  }
  r = &p->rows[p->n];
  *r = (cg_profile_row){.name = ""};
  snprintf(r->name, sizeof r->name, "%s", op->name);
  p->ops[p->n++] = op;
  return r;
}

/* ---- counting ---- */

uint64_t profile_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void count(struct profile *p, cg_profile_part *part, uint64_t time,
                  uint64_t bytes) {
  part->calls++;
  part->nanoseconds += time;
  part->bytes += bytes;
  p->counted += time;
}

void profile_result(const cg_call *call, const cg_tensor *y, uint64_t start) {
  uint64_t end = profile_now();
  cg_tape *tape = call->tape;
  uint64_t bytes =
      y->flags & T_VIEW ? 0 : (uint64_t)t_numel(y) * dtype_size(y->dtype);
  if (tape->walking) {
    tape->profile->made += bytes;
    return;
  }
  cg_profile_row *r = row_of(tape, call->op);
  if (r) count(tape->profile, &r->forward, end - start, bytes);
}

/* A segment's rule runs ops and other rules, which count for themselves. */
void profile_rule(cg_vjp *v) {
  struct profile *p = v->tape->profile;
  uint64_t made = p->made, counted = p->counted, start = profile_now();
  p->made = 0;
  v->node->op->vjp(v);
  uint64_t time = profile_now() - start - (p->counted - counted);
  cg_profile_row *r = row_of(v->tape, v->node->op);
  if (r) count(p, &r->backward, time, p->made);
  p->made = made;
}

/* ---- beginning and ending ---- */

void profile_free(cg_tape *tape) {
  struct profile *p = tape->profile;
  if (!p) return;
  mem_free(&tape->mem, p->rows, p->cap_rows * sizeof *p->rows);
  mem_free(&tape->mem, p->ops, p->cap_ops * sizeof *p->ops);
  mem_free(&tape->mem, p, sizeof *p);
  tape->profile = NULL;
}

static cg_status make(cg_tape *tape) {
  void *block;
  cg_status status = mem_alloc(&tape->mem, sizeof(struct profile), &block);
  if (status) return status;
  tape->profile = memset(block, 0, sizeof(struct profile));
  status = reserve(&tape->mem, tape->profile, FIRST_ROWS);
  if (status) profile_free(tape);
  return status;
}

cg_status cg_profile_begin(cg_tape *tape) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  cg_status status = tape->profile ? CG_OK : make(tape);
  if (status) {
    tape_fail_mem(tape, status, "profile_begin");
    return status;
  }
  tape->profile->n = 0;
  tape->watch |= WATCH_PROFILE;
  return CG_OK;
}

static uint64_t total(const cg_profile_row *r) {
  return r->forward.nanoseconds + r->backward.nanoseconds;
}

/* Most time first; equal ones in order of first use. There are few. */
static void sort_rows(struct profile *p) {
  for (size_t i = 1; i < p->n; i++)
    for (size_t j = i; j && total(&p->rows[j - 1]) < total(&p->rows[j]); j--) {
      cg_profile_row r = p->rows[j];
      p->rows[j] = p->rows[j - 1];
      p->rows[j - 1] = r;
    }
}

cg_status cg_profile_end(cg_tape *tape) {
  if (!tape) return CG_ERR_ARG;
  if (!(tape->watch & WATCH_PROFILE)) return CG_ERR_STATE;
  tape->watch &= (uint8_t)~WATCH_PROFILE;
  sort_rows(tape->profile);
  return CG_OK;
}

const cg_profile_row *cg_profile_rows(const cg_tape *tape, int *count) {
  const struct profile *p = tape ? tape->profile : NULL;
  if (count) *count = p ? (int)p->n : 0;
  return p && p->n ? p->rows : NULL;
}
