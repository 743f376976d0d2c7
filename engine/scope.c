/* scope.c - named parts of the graph. */
#include "tape_impl.h"

#include <string.h>

#define MAX_NAME 63
#define MAX_DEPTH 64 /* innermost scopes that a path shows */

static cg_status push(cg_tape *tape, const char *name, bool indexed,
                      int64_t index) {
  if (!tape || !name) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  size_t n = tape->n_scopes ? tape->n_scopes : 1; /* entry 0: top level */
  cg_status status = mem_grow(&tape->mem, (void **)&tape->scopes,
                              &tape->cap_scopes, tape->n_scopes, n + 1,
                              sizeof *tape->scopes);
  size_t length = strnlen(name, MAX_NAME);
  void *copy = NULL;
  if (!status) status = arena_alloc(&tape->nodes, length + 1, 1, &copy);
  if (status) {
    tape_fail_mem(tape, status, "scope_push");
    return status;
  }
  memcpy(copy, name, length);
  ((char *)copy)[length] = '\0';
  tape->scopes[n] = (scope_entry){tape->scope, indexed, index, copy};
  tape->scope = (uint32_t)n;
  tape->n_scopes = n + 1;
  tape->position++;
  return CG_OK;
}

cg_status cg_scope_push(cg_tape *tape, const char *name) {
  return push(tape, name, false, 0);
}

cg_status cg_scope_push_index(cg_tape *tape, const char *name, int64_t index) {
  return push(tape, name, true, index);
}

cg_status cg_scope_pop(cg_tape *tape) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  if (tape->scope == 0) {
    cg_tape_fail(tape, CG_ERR_STATE, "scope_pop", "no scope is open");
    return CG_ERR_STATE;
  }
  tape->scope = tape->scopes[tape->scope].parent;
  return CG_OK;
}

const char *cg_scope_path(const cg_tape *tape, const cg_tensor *x, char *buf,
                          size_t size) {
  if (size == 0) return buf;
  buf[0] = '\0';
  if (!tape || (x && x->tape != tape)) return buf;
  uint32_t chain[MAX_DEPTH], n = 0;
  for (uint32_t s = tape_scope_of(tape, x); s && n < MAX_DEPTH;
       s = tape->scopes[s].parent)
    chain[n++] = s;
  size_t at = 0;
  while (n-- && at < size) {
    const scope_entry *e = &tape->scopes[chain[n]];
    at += (size_t)snprintf(buf + at, size - at, at ? "/%s" : "%s", e->name);
    if (e->indexed && at < size)
      at += (size_t)snprintf(buf + at, size - at, "=%lld",
                             (long long)e->index);
  }
  return buf;
}
