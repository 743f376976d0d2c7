/* char_eval.c - char_rnn eval: what a model makes of a text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "char_model.h"
#include "char_rnn.h"
#include "demo.h"

enum { STREAMS = 32, STEPS = 64 };

static int measure(const char_model *m, const symbols *text, double *loss) {
  cg_tape *tape = cg_tape_new(NULL);
  if (!tape) return demo_fail(DEMO_FAILED, "out of memory");
  int status = char_model_measure(tape, m, text, STREAMS, STEPS, loss);
  cg_tape_free(tape);
  return status;
}

int char_eval(const char_options *o) {
  char_model model;
  symbols text = {0};
  double loss = NAN;
  int status = char_model_load(&model, o->model);
  if (status) return status;
  status = text_load(&text, o->files, o->n_files, &model.vocabulary);
  if (!status && text.count < 2)
    status = demo_fail(DEMO_USAGE,
                       "the text has 1 byte; 2 are needed to predict one");
  if (!status) status = measure(&model, &text, &loss);
  if (!status && !isfinite(loss))
    status = demo_fail(DEMO_FAILED, "the loss is %g", loss);
  if (!status)
    printf("%zu bytes: loss %.4f nats, %.4f bits/char, perplexity %.4f\n",
           text.count, loss, loss / M_LN2, exp(loss));
  free(text.at);
  char_model_free(&model);
  return status;
}
