/* rnn_case.h - a recurrent net as a file describes it (golden/rnn_net.py), run
 * forth and back. Knows no test framework. */
#ifndef RNN_CASE_H
#define RNN_CASE_H

#include <chronograd/nn.h>

typedef struct rnn_case {
  cg_params *params;
  cg_rnn *rnn;
  cg_tape *tape;
  cg_tensor *x;
  cg_rnn_state first; /* leaves, or NULL */
  cg_rnn_result result;
} rnn_case;

/* Builds the net, rounds the file's numbers to `dtype`, runs it, and walks back
 * from <w.h, h> + <w.h_last, h_last> + <w.c_last, c_last>. Free it also after
 * an error. */
cg_status rnn_case_run(rnn_case *c, const cg_safetensors *file, cg_dtype dtype,
                       cg_error *err);
void rnn_case_free(rnn_case *c);

/* Result number i: its name in files ("h", "grad.x", "grad.rnn.bias_ih_l0"), or
 * "" after the last one; NULL where the cell has none of it. */
const cg_tensor *rnn_case_item(const rnn_case *c, int i, char *name,
                               size_t size);

#endif
