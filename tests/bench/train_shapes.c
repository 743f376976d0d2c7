/* train_shapes.c - the train steps of the table, and what they are called. */
#include "train_job.h"

#include <stdio.h>

/* The shapes of the table. */
const train_shape train_shapes[] = {
    {.cell = CG_CELL_RNN, .layers = 1, .T = 25, .B = 1, .H = 100},
    {.cell = CG_CELL_RNN, .layers = 1, .T = 64, .B = 32, .H = 128},
    {.cell = CG_CELL_RNN, .layers = 1, .T = 64, .B = 32, .H = 256},
    {.cell = CG_CELL_RNN, .layers = 1, .T = 50, .B = 50, .H = 512},
    {.cell = CG_CELL_LSTM, .layers = 2, .T = 50, .B = 50, .H = 128},
    {.cell = CG_CELL_LSTM, .layers = 2, .T = 50, .B = 50, .H = 512},
    {.cell = CG_CELL_GRU, .layers = 1, .T = 64, .B = 32, .H = 256},
};
const int train_shape_count = sizeof train_shapes / sizeof *train_shapes;

const char *train_cell_name(cg_cell_kind cell) {
  static const char *const names[] = {"rnn", "lstm", "gru"};
  return names[cell];
}

void train_name(const train_shape *s, char *name, size_t size) {
  char layers[16] = "", threads[24] = "";
  if (s->layers > 1) snprintf(layers, sizeof layers, " L%d", s->layers);
  if (s->threads) snprintf(threads, sizeof threads, ", %d threads", s->threads);
  snprintf(name, size, "train %s H%d%s B%d T%d%s%s%s",
           train_cell_name(s->cell), (int)s->H, layers, (int)s->B, (int)s->T,
           s->dtype == CG_F64 ? " f64" : "", threads,
           s->replayed ? ", replayed" : "");
}
