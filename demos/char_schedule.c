/* char_schedule.c - how char_rnn's learning rate changes while it trains. */
#include "char_schedule.h"

#include <chronograd/schedule.h>

const char *const char_schedule_names[CHAR_SCHEDULES] = {
    [CHAR_CONSTANT] = "constant",   [CHAR_COSINE] = "cosine",
    [CHAR_STEP] = "step",           [CHAR_EXPONENTIAL] = "exponential",
    [CHAR_ONE_CYCLE] = "one-cycle", [CHAR_PLATEAU] = "plateau"};

static double factor_of(char_schedule schedule, double fraction) {
  const double updates = 1000; /* the fraction in steps of one cycle */
  switch (schedule) {
    case CHAR_COSINE: return cg_lr_cosine(fraction, 1, 0);
    case CHAR_STEP: return cg_lr_step(fraction, 0.125, 0.5);
    case CHAR_EXPONENTIAL: return cg_lr_exponential(fraction, 0.01);
    case CHAR_ONE_CYCLE:
      return cg_lr_one_cycle(fraction * updates,
                             &(cg_one_cycle){.total = updates + 1});
    default: return 1;
  }
}

double char_schedule_factor(char_schedule schedule, double fraction,
                            double warmup) {
  double factor = factor_of(schedule, fraction);
  return warmup > 0 ? factor * cg_lr_warmup(fraction, warmup, 0.01) : factor;
}
