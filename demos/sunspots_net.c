/* sunspots_net.c - a GRU that reads the series year by year and says what comes
 * next. */
#include <math.h>

#include "cli.h"
#include "sunspots.h"
#include "task_net.h"

enum { T = SUNSPOTS_YEARS - 1, FITTED = SUNSPOTS_FITTED - SUNSPOTS_FIRST };

/* What it says about years 1, 2, ... T, [T, 1, 1]. */
static cg_tensor *forecast(const task_net *net, const float *series) {
  return task_net_all(
      net, cg_borrow(net->tape, CG_F32, CG_DIMS(T, 1, 1), series));
}

/* The mean square error on the years that are fitted. */
static cg_tensor *loss_of(const task_net *net, const float *series) {
  cg_tape *tape = net->tape;
  const int64_t first = SUNSPOTS_KNOWN - 1, n = FITTED - first;
  cg_tensor *said = cg_narrow(tape, forecast(net, series), 0, first, n);
  cg_tensor *y = cg_borrow(tape, CG_F32, CG_DIMS(n, 1, 1), series + first + 1);
  return cg_mean_all(tape, cg_square(tape, cg_sub(tape, said, y)));
}

static bool train(task_net *net, const sunspots_net_options *o,
                  const float *series, cg_error *err) {
  double loss;
  for (int64_t i = 0; i < o->steps; i++) {
    task_net_begin(net, true);
    if (!task_net_update(net, loss_of(net, series), &loss, err)) return false;
  }
  return true;
}

bool sunspots_net(sunspots_forecast *f, const sunspots_net_options *o) {
  task_net net;
  task_net_config config = {.cell = CG_CELL_GRU, .inputs = 1,
                            .hidden = o->hidden, .outputs = 1, .lr = o->lr,
                            .clip = 1, .seed = o->seed};
  cg_error err = {0};
  float series[SUNSPOTS_YEARS];
  for (int t = 0; t < SUNSPOTS_YEARS; t++)
    series[t] = (float)(sunspots_number[t] / SUNSPOTS_SCALE);
  bool ok = task_net_make(&net, &config, &err) &&
            train(&net, o, series, &err);
  if (ok) {
    task_net_begin(&net, false);
    cg_tensor *said = forecast(&net, series);
    ok = task_net_fine(&net, &err);
    f->value[0] = NAN;
    for (int t = 0; ok && t < T; t++) f->value[t + 1] = cg_tensor_get(said, t);
  }
  task_net_free(&net);
  return ok || cli_fail("%s: %s", err.op, err.message);
}
