/* train_job.h - a recurrent net with a linear layer on top, data, an optimizer,
 * and one step of training them, for rows that differ in shape. */
#ifndef CHRONOGRAD_BENCH_TRAIN_JOB_H
#define CHRONOGRAD_BENCH_TRAIN_JOB_H

#include <chronograd/nn.h>

enum { TRAIN_SYMBOLS = 65 };

typedef struct train_shape {
  cg_cell_kind cell;
  int layers;
  int64_t T, B, H;
  cg_dtype dtype; /* unset: float32 */
  int threads;    /* > 0: the batch in shards, on so many threads */
  bool replayed;  /* recorded once; without threads */
  const cg_cell *custom; /* instead of `cell`, with as many gates; or NULL */
} train_shape;

/* The shapes of the table, in its order. */
extern const train_shape train_shapes[];
extern const int train_shape_count;
/* "rnn", "lstm" or "gru". */
const char *train_cell_name(cg_cell_kind cell);
/* The parts of H rows that its weights have. */
int train_gates(cg_cell_kind cell);
/* "train rnn H128 B32 T64, 2 threads" */
void train_name(const train_shape *shape, char *name, size_t size);

/* Multiplications and additions in the matrix products of one step, counted
 * exactly: forward, gradient of the weights, and gradient of the operand, but
 * not of the data or of the zero state before the first step. */
double train_flops(const train_shape *shape);

typedef struct train_job train_job;

train_job *train_job_new(const train_shape *shape);
void train_job_free(train_job *j);
/* Forward, cross-entropy, full BPTT, SGD. Stops the program on an error. */
void train_job_step(train_job *j);
/* Have both the same parameters, to the bit? */
bool train_job_same(const train_job *a, const train_job *b);
/* Calls of the system's allocator by the tape so far. */
size_t train_job_allocs(const train_job *j);

#endif
