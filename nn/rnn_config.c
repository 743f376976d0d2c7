/* rnn_config.c - what a recurrent net's configuration means, and which ones
 * make no sense. */
#include <limits.h>
#include <math.h>

#include "rnn_impl.h"

/* The forms of each cell, NULL where there is none. */
static const struct {
  const cg_cell *plain, *compact, *norm, *before;
} cells[CG_CELL_COUNT] = {
    [CG_CELL_RNN] = {&cg_cell_simple, &cg_cell_simple_compact,
                     &cg_cell_simple_norm, NULL},
    [CG_CELL_LSTM] = {&cg_cell_lstm, &cg_cell_lstm_compact, &cg_cell_lstm_norm,
                      NULL},
    [CG_CELL_GRU] = {&cg_cell_gru, NULL, &cg_cell_gru_norm,
                     &cg_cell_gru_before}};

const cg_cell *cg_rnn_config_cell(const cg_rnn_config *c) {
  return c->custom         ? c->custom
         : c->compact      ? cells[c->cell].compact
         : c->layer_norm   ? cells[c->cell].norm
         : c->reset_before ? cells[c->cell].before
                           : cells[c->cell].plain;
}

int64_t cg_rnn_size(const cg_rnn_config *c, cg_cell_size size, int64_t I) {
  switch (size) {
    case CG_SIZE_I: return I;
    case CG_SIZE_H: return c->hidden_size;
    case CG_SIZE_R: return c->proj_size ? c->proj_size : c->hidden_size;
    case CG_SIZE_GH: return cg_rnn_config_cell(c)->gates * c->hidden_size;
    default: return -1;
  }
}

/* ---- what is wrong ---- */

static const char *bad_param(const cg_cell_param *p) {
  if (p->rows <= CG_SIZE_NONE || p->rows >= CG_SIZE_COUNT)
    return "a parameter of its cell has no rows";
  if (p->columns < CG_SIZE_NONE || p->columns >= CG_SIZE_COUNT)
    return "a parameter of its cell has no columns";
  return NULL;
}

static const char *bad_cell(const cg_cell *cell) {
  if (!cell->step || !cell->name || !cell->name[0])
    return "its cell has no name or no step";
  if (cell->n_states < 1 || cell->n_states > CG_CELL_MAX_STATES)
    return "its cell has a number of states other than 1 or 2";
  if (cell->gates < 1) return "its cell has no gates";
  if (cell->c_size < CG_SIZE_NONE || cell->c_size >= CG_SIZE_COUNT)
    return "the size of its cell's c is none";
  for (int i = 0; i < CG_CELL_MAX_PARAMS && cell->params[i].name; i++) {
    const char *bad = bad_param(&cell->params[i]);
    if (bad) return bad;
  }
  return NULL;
}

static const char *bad_form(const cg_rnn_config *c) {
  int forms = c->compact + c->layer_norm + c->reset_before;
  if (forms > 1)
    return "compact, layer_norm and reset_before exclude each other";
  if (forms && c->custom)
    return "compact, layer_norm and reset_before are not for a custom cell";
  if (cg_rnn_config_cell(c)) return NULL;
  return c->compact ? "the compact form needs an RNN or LSTM"
                    : "reset_before needs a GRU";
}

static const char *bad_phi(const cg_rnn_config *c, const cg_cell *cell) {
  if ((unsigned)c->nonlinearity >= CG_ACT_COUNT)
    return "its nonlinearity is no activation";
  if (cell->has_phi || (c->nonlinearity == CG_ACT_TANH && !c->activation))
    return NULL;
  return c->custom ? "its cell has no nonlinearity to choose"
                   : "the nonlinearity of an LSTM or GRU is always tanh";
}

static const char *bad_forget_bias(const cg_rnn_config *c) {
  if (!isfinite(c->forget_bias)) return "its forget_bias is not finite";
  bool lstm = !c->custom && c->cell == CG_CELL_LSTM && !c->no_bias;
  return c->forget_bias == 0 || lstm ? NULL
                                     : "a forget_bias needs an LSTM with "
                                       "biases";
}

static const char *bad_projection(const cg_rnn_config *c,
                                  const cg_cell *cell) {
  if (c->proj_size == 0) return NULL;
  if (!cell->projects) return "a proj_size needs an LSTM";
  return c->proj_size > 0 && c->proj_size < c->hidden_size
             ? NULL
             : "its proj_size is not between 0 and its hidden_size";
}

static bool share(double p) { return p >= 0 && p <= 1; }

static const char *bad_share(const cg_rnn_config *c, const cg_cell *cell) {
  if (!share(c->dropout)) return "its dropout is not in 0 .. 1";
  if (!share(c->state_dropout)) return "its state_dropout is not in 0 .. 1";
  if (!share(c->zoneout)) return "its zoneout is not in 0 .. 1";
  if (!share(c->zoneout_c)) return "its zoneout_c is not in 0 .. 1";
  return c->zoneout_c > 0 && cell->n_states < 2
             ? "a zoneout_c needs a cell with a state c"
             : NULL;
}

const char *cg_rnn_config_complete(cg_rnn_config *c) {
  if (c->num_layers == 0) c->num_layers = 1;
  if ((unsigned)c->cell >= CG_CELL_COUNT)
    return "its cell is none of cg_cell_kind";
  const char *bad = c->custom ? bad_cell(c->custom) : NULL;
  if (!bad) bad = bad_form(c);
  if (bad) return bad;
  const cg_cell *cell = cg_rnn_config_cell(c);
  bad = bad_phi(c, cell);
  if (!bad) bad = bad_projection(c, cell);
  if (!bad) bad = bad_share(c, cell);
  return bad ? bad : bad_forget_bias(c);
}
