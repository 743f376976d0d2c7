/* rnn_init.c - first values of single gates. */
#include <string.h>

#include <chronograd/init.h>

#include "rnn_impl.h"

/* The cell's parameter of that name that has rows for all gates, or -1. */
static int gated_param(const cg_cell *cell, const char *name) {
  for (int i = 0; i < CG_CELL_MAX_PARAMS && cell->params[i].name; i++)
    if (cell->params[i].rows == CG_SIZE_GH &&
        strcmp(cell->params[i].name, name) == 0)
      return i;
  return -1;
}

cg_status cg_rnn_init_gate(cg_rnn *rnn, const char *param, int gate,
                           const cg_init_rule *rule, cg_rng *rng,
                           cg_error *err) {
  const char *fn = "rnn_init_gate";
  if (!rnn || !param)
    return cg_error_set(err, CG_ERR_ARG, fn, "there is no %s",
                        rnn ? "parameter" : "net");
  int which = gated_param(rnn->cell, param);
  if (which < 0 || !rnn->layers[0].args.w[which])
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "%s, a %s, has no parameter \"%s\" of all gates",
                        rnn->name, rnn->cell->name, param);
  if (gate < 0 || gate >= rnn->cell->gates)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "%s, a %s, has gates 0 to %d, but not %d", rnn->name,
                        rnn->cell->name, rnn->cell->gates - 1, gate);
  int64_t H = rnn->config.hidden_size;
  cg_status status = CG_OK;
  for (int k = 0; k < cg_rnn_parts(rnn) && !status; k++)
    status = cg_init_rows(rnn->layers[k].args.w[which], gate * H, H, rule, rng,
                          rnn->allocator, err);
  return status;
}
