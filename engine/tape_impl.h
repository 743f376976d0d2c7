/* tape_impl.h - what a tape is made of. */
#ifndef CG_ENGINE_TAPE_IMPL_H
#define CG_ENGINE_TAPE_IMPL_H

#include <chronograd/backward.h>
#include <chronograd/tape.h>

#include "arena.h"
#include "pool.h"
#include "tensor_impl.h"

#define LEAF_CHECK 0x4C454146u

/* Results of ops up to this many bytes lie behind their header. */
#define INLINE_BYTES 32

/* What becomes of a result. */
typedef enum tape_mode {
  MODE_RECORD, /* arena, with history */
  MODE_VALUE,  /* arena, no history: recording is off */
  MODE_TEMP    /* pool, freed when no longer referred to: a plain walk */
} tape_mode;

/* One opened scope; parents form a tree. Entry 0 is the top level. */
typedef struct scope_entry {
  uint32_t parent;
  bool indexed;
  int64_t index;
  const char *name; /* in the arena */
} scope_entry;

/* The newest proxy of a leaf; free: NULLs. */
typedef struct proxy_cell {
  const cg_tensor *leaf;
  cg_tensor *proxy;
} proxy_cell;

/* A rewind: marks made before `epoch` at positions beyond `position` died. */
typedef struct rewind_entry {
  uint64_t epoch, position;
} rewind_entry;

/* Call fn with the gradient of x (of a leaf: its oldest proxy). */
typedef struct hook {
  cg_tensor *x;
  cg_hook_fn fn;
  void *context;
  uint64_t position; /* of the tape when it was set */
} hook;

/* The recording as a list, oldest first (replay.c), as long as nothing is
 * recorded or dropped. */
typedef struct replay {
  cg_tensor **nodes;
  size_t n, cap;
  const cg_tensor *last;
  uint64_t epoch;
  uint32_t old; /* after a failure: 1 + the serial of the first result that may
                   be of older operands; 0: there is none */
} replay;

/* The last sort, if it was a whole one from one root, and where the tape was:
 * as long as all that is as it was, order[0 .. count) is sorted (toposort.c). */
typedef struct sorted {
  const cg_tensor *root; /* NULL: none */
  size_t count;
  uint64_t position, epoch;
  uint32_t stamp;
} sorted;

struct cg_tape {
  mem mem;
  arena nodes; /* headers and very small data */
  arena data;  /* larger data */
  pool pool;   /* what lives shorter than the tape */
  tape_mode mode;
  uint8_t watch; /* who looks at every op (watch.h); 0: nobody */
  bool walking;  /* a backward walk is on its way */
  struct profile *profile; /* NULL before the first cg_profile_begin */
  uint32_t cookie;
  uint32_t serial; /* of the next tensor */
  uint32_t stamp;  /* of the last walk */
  uint64_t epoch;  /* number of rewinds */
  uint64_t position; /* grows with every tensor and scope */
  cg_tensor *last;   /* the last recorded one; `prev` leads to older ones */
  cg_tensor *frame;  /* TEMPs made since the walk's current visit began */
  struct scratch_block *scratch;
  cg_error error;

  arena_mark gap_mark; /* end of `nodes` before the gap of the last rewind */
  uint64_t gap_position; /* and the position it was made at */

  cg_tensor **proxies; /* of leaves, in order of creation */
  size_t n_proxies, cap_proxies;
  proxy_cell *table; /* hash of leaf address -> newest proxy */
  size_t table_size;

  scope_entry *scopes;
  size_t n_scopes, cap_scopes;
  uint32_t scope; /* the current one */

  rewind_entry *rewinds; /* increasing in both members */
  size_t n_rewinds, cap_rewinds;

  cg_tensor **order; /* topological sorts: of the running walks, one behind
                        the other, then the last one made */
  size_t n_order, cap_order; /* n_order: of the running walks */
  sorted sorted;
  hook *hooks; /* by the serial of x, then by position */
  size_t n_hooks, cap_hooks;
  uint64_t hooks_end; /* no hook has a greater position */
  unsigned busy;  /* running walks, one inside the other, and functions of
                     cg_checkpoint */
  uint64_t guard; /* while busy: what lies before is not to be rewound */
  unsigned segments; /* running functions of cg_checkpoint */
  replay replay;
};

/* Stores the first failure. Returns NULL, for `return fail(...)`. */
cg_tensor *tape_vfail(cg_tape *tape, cg_status status, const char *op,
                      const char *fmt, va_list args);
/* A failed allocation (NOMEM or LIMIT), described with the sizes. */
cg_tensor *tape_fail_mem(cg_tape *tape, cg_status status, const char *op);

/* The tensor that stands for `x` on this tape: x itself, or a leaf's proxy.
 * NULL (and an error) for NULL, a stale tensor, or one of another tape. */
cg_tensor *tape_resolve(cg_tape *tape, cg_tensor *x, const char *op, int i);
static inline uint32_t tape_check_word(const cg_tape *tape, const void *x) {
  return (uint32_t)((uintptr_t)x >> 4) * 0x9E3779B1u ^ tape->cookie;
}

/* The same without a call for what nearly all operands are: live results on
 * this tape in the current block, and temporaries of a walk. */
static inline cg_tensor *tape_operand(cg_tape *tape, cg_tensor *x,
                                      const char *op, int i) {
  if (x && x->check == tape_check_word(tape, x) && x->tape == tape) {
    bool temp = x->flags & T_TEMP;
    if (temp ? tape->mode != MODE_RECORD
             : arena_in_current(&tape->nodes, (const char *)(x + 1) - 1))
      return x;
  }
  return tape_resolve(tape, x, op, i);
}

/* The scope of x, or the current one for NULL: leaves lie in none, and what a
 * walk makes in the one it is visiting. */
static inline uint32_t tape_scope_of(const cg_tape *tape, const cg_tensor *x) {
  if (!x || x->flags & T_TEMP) return tape->scope;
  return x->flags & T_PROXY ? 0 : x->scope;
}

/* For builders that look at x before they record: may it be an operand here?
 * A dropped tensor's header can hold anything. */
static inline bool tape_can_use(cg_tape *tape, cg_tensor *x, const char *op,
                                int i) {
  return tape && !tape->error.status && tape_resolve(tape, x, op, i);
}
/* Forgets all proxies but the oldest `keep`. */
void tape_drop_proxies(cg_tape *tape, size_t keep);
/* The newest proxy of a leaf, or NULL if the leaf was not used. */
cg_tensor *tape_find_proxy(cg_tape *tape, const cg_tensor *leaf);

/* Forgets the hooks set after `position`. */
void tape_drop_hooks(cg_tape *tape, uint64_t position);

/* Memory for a result as `spec` says, with room for n_in operands and the
 * attributes; header filled in, data not. NULL after an error. */
cg_tensor *tape_new_tensor(cg_tape *tape, const cg_op *op, const cg_spec *spec,
                           cg_tensor *const *in, int n_in, const void *attr);
/* The bytes that tape_new_tensor took from the arenas for x. */
size_t tape_bytes_of(const cg_tensor *x);
/* A constant in the arena, data uninitialised. */
cg_tensor *tape_new_value(cg_tape *tape, cg_dtype dtype, int rank,
                          const int64_t *shape);
/* The same as a TEMP, in the current frame. */
cg_tensor *tape_new_temp(cg_tape *tape, cg_dtype dtype, int rank,
                         const int64_t *shape);
/* A constant with x's value: in the arena, or a TEMP if the mode says so. */
cg_tensor *tape_copy(cg_tape *tape, const cg_tensor *x);
/* TEMPs: takes and gives back a reference (no-ops for other tensors). */
static inline void tape_retain(cg_tensor *x) {
  if (x->flags & T_TEMP) x->refs++;
}
void tape_free_temp(cg_tape *tape, cg_tensor *x);
static inline void tape_release(cg_tape *tape, cg_tensor *x) {
  if (x->flags & T_TEMP && --x->refs == 0) tape_free_temp(tape, x);
}
/* Ends a visit: drops the frame's references. */
static inline void tape_drop_frame(cg_tape *tape) {
  cg_tensor *x = tape->frame, *next;
  tape->frame = NULL;
  for (; x; x = next) {
    next = x->prev;
    tape_release(tape, x);
  }
}

/* Scratch memory that lives until tape_drop_scratch. NULL after an error. */
void *tape_scratch(cg_tape *tape, size_t bytes, const char *op);
void tape_drop_scratch(cg_tape *tape);
/* Begins a level of scratch memory, which ops applied in it do not drop, and
 * drops it again: tape_scratch_end(tape, what tape_scratch_begin returned). */
struct scratch_block *tape_scratch_begin(cg_tape *tape);
void tape_scratch_end(cg_tape *tape, struct scratch_block *outer);

/* Has the leaf behind x (if any) been modified since x was recorded? */
bool tape_is_modified(const cg_tensor *x);

#endif
