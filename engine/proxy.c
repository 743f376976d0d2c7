/* proxy.c - leaves on a tape: each that is used is stood for by a proxy, which
 * remembers the version that it had; and what an operand is on the tape. */
#include <string.h>

#include "gemm_operand.h"
#include "tape_impl.h"

/* ---- the table: leaf -> its newest proxy ---- */

static size_t slot_of(const cg_tape *tape, const cg_tensor *leaf) {
  uint64_t h = (uint64_t)((uintptr_t)leaf >> 4) * 0x9E3779B97F4A7C15u;
  return (size_t)(h >> 32) & (tape->table_size - 1);
}

/* The table cell of a leaf: its own, or the free one where it would go. */
static proxy_cell *table_cell(const cg_tape *tape, const cg_tensor *leaf) {
  size_t i = slot_of(tape, leaf);
  while (tape->table[i].leaf && tape->table[i].leaf != leaf)
    i = (i + 1) & (tape->table_size - 1);
  return &tape->table[i];
}

static void put_in_table(cg_tape *tape, cg_tensor *proxy) {
  const cg_tensor *leaf = t_proxied(proxy);
  *table_cell(tape, leaf) = (proxy_cell){leaf, proxy};
}

static void rebuild_proxy_table(cg_tape *tape) {
  if (!tape->table_size) return;
  memset(tape->table, 0, tape->table_size * sizeof *tape->table);
  for (size_t i = 0; i < tape->n_proxies; i++)
    put_in_table(tape, tape->proxies[i]);
}

void tape_drop_proxies(cg_tape *tape, size_t keep) {
  if (tape->n_proxies <= keep) return;
  for (size_t i = keep; i < tape->n_proxies; i++)
    if (tape->proxies[i]->forms) gemm_drop_forms(tape, tape->proxies[i]);
  tape->n_proxies = keep;
  rebuild_proxy_table(tape);
}

/* Room for one more proxy, with the table at most half full. */
static cg_status reserve_proxy(cg_tape *tape) {
  cg_status status =
      mem_grow(&tape->mem, (void **)&tape->proxies, &tape->cap_proxies,
               tape->n_proxies, tape->n_proxies + 1, sizeof *tape->proxies);
  if (status || tape->table_size >= 2 * (tape->n_proxies + 1)) return status;
  size_t size = tape->table_size;
  status = mem_grow(&tape->mem, (void **)&tape->table, &size, 0,
                    size ? 2 * size : 16, sizeof *tape->table);
  if (status) return status;
  tape->table_size = size;
  rebuild_proxy_table(tape);
  return CG_OK;
}

cg_tensor *tape_find_proxy(cg_tape *tape, const cg_tensor *leaf) {
  return tape->table_size ? table_cell(tape, leaf)->proxy : NULL;
}

/* ---- proxies ---- */

/* Memory for a proxy, laid out as a view of the leaf (tape_memory.c); what
 * tape_new_tensor would find out is known of a leaf. */
static cg_tensor *allocate_proxy(cg_tape *tape, const cg_tensor *leaf,
                                 const char *op) {
  const size_t dims = 2 * (size_t)leaf->rank * sizeof *leaf->dims;
  void *block;
  cg_status status = reserve_proxy(tape);
  if (!status)
    status = arena_alloc(&tape->nodes,
                         sizeof(cg_tensor) + dims + sizeof(cg_tensor *), 8,
                         &block);
  if (status) return tape_fail_mem(tape, status, op);
  if (tape->serial == UINT32_MAX) {
    memset(block, 0, sizeof(cg_tensor)); /* it must not look alive */
    return cg_tape_fail(tape, CG_ERR_STATE, op, "the tape is full");
  }
  cg_tensor *p = block;
  memcpy(p->dims, leaf->dims, dims);
  tape->position++;
  return p;
}

static cg_tensor *new_proxy(cg_tape *tape, cg_tensor *leaf, const char *op) {
  cg_tensor *p = allocate_proxy(tape, leaf, op);
  if (!p) return NULL;
  cg_tensor *older = tape_find_proxy(tape, leaf);
  const uint16_t flags = (uint16_t)(leaf->flags & T_GRAD) |
                         (uint16_t)(older ? older->flags & T_HOOK : 0);
  *p = (cg_tensor){
      .data = leaf->data,
      .tape = tape,
      .prev = older,
      .serial = tape->serial++,
      .check = tape_check_word(tape, p),
      .version = leaf->version,
      .flags = flags | T_PROXY | T_CONTIGUOUS,
      .dtype = leaf->dtype,
      .rank = leaf->rank,
  };
  t_in(p)[0] = leaf; /* no operand: n_in is 0 */
  tape->proxies[tape->n_proxies++] = p;
  put_in_table(tape, p);
  return p;
}

/* ---- what an operand is on the tape ---- */

static cg_tensor *stale(cg_tape *tape, const char *op, int i) {
  return cg_tape_fail(tape, CG_ERR_STALE, op,
                      "operand %d does not live on this tape: it was rewound "
                      "or belongs to another tape; carry values over with "
                      "cg_tape_rewind_keep or copy them into a leaf",
                      i);
}

static cg_tensor *resolve_other(cg_tape *tape, cg_tensor *x, const char *op,
                                int i) {
  if (!x)
    return cg_tape_fail(tape, CG_ERR_ARG, op, "operand %d is NULL", i);
  if (x->check == tape_check_word(tape, x) && x->tape == tape) {
    /* Its header's last byte: the whole of it must be live. */
    const char *end = (const char *)(x + 1) - 1;
    if (x->flags & T_TEMP) /* a recording outlives it */
      return tape->mode == MODE_RECORD ? tape_copy(tape, x) : x;
    if (arena_contains(&tape->nodes, end)) return x;
  }
  return stale(tape, op, i);
}

cg_tensor *tape_resolve(cg_tape *tape, cg_tensor *x, const char *op, int i) {
  if (!x || x->check != LEAF_CHECK || !(x->flags & T_LEAF))
    return resolve_other(tape, x, op, i);
  cg_tensor *p = tape_find_proxy(tape, x);
  return p && p->version == x->version ? p : new_proxy(tape, x, op);
}

bool tape_is_modified(const cg_tensor *x) {
  const cg_tensor *p = t_source_proxy(x);
  return p && p->version != t_proxied(p)->version;
}
