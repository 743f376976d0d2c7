/* op.c - the table of ops, expanded from the list. */
#include <string.h>

#include "op_impl.h"

static const cg_op *const table[] = {
#define ROW(name) &cg_op_##name,
    CG_OP_LIST(ROW)
#undef ROW
};

int cg_op_count(void) { return (int)(sizeof table / sizeof *table); }

const cg_op *cg_op_at(int i) {
  return i >= 0 && i < cg_op_count() ? table[i] : NULL;
}

const cg_op *cg_op_find(const char *name) {
  for (int i = 0; name && i < cg_op_count(); i++)
    if (!strcmp(table[i]->name, name)) return table[i];
  return NULL;
}
