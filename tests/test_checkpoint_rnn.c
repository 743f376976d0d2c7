/* test_checkpoint_rnn.c - recurrent nets in recompute segments that hand on
 * their state: losses and gradients have the bits of the plain walk, in a
 * fraction of its memory. */
#include "nn_test.h"

enum { T = 36, PART = 6, B = 3, I = 4, H = 6, K = 5, MANY = 10 };

typedef struct model {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tensor *x; /* [T, B, I] */
  int64_t y[T * B];
  cg_rng rng;
} model;

/* What the function of a segment gets; copied, and with it the position of the
 * random numbers. */
typedef struct part {
  const model *m;
  int start;
  cg_rng rng;
} part;

static void new_model(model *m, cg_cell_kind cell, cg_dtype dtype) {
  cg_rng rng = cg_rng_seed(99);
  *m = (model){.params = registry(dtype), .rng = cg_rng_seed(17)};
  m->rnn = cg_rnn_new(m->params, "rnn",
                      &(cg_rnn_config){.cell = cell, .input_size = I,
                                       .hidden_size = H, .num_layers = 2},
                      &rng, NULL);
  m->fc = cg_linear_layer_new(
      m->params, "fc", &(cg_linear_config){.in_features = H, .out_features = K},
      &rng, NULL);
  ck_assert(m->rnn && m->fc);
  m->x = cg_leaf_new(NULL, dtype, CG_DIMS(T, B, I), NULL);
  fill_some(m->x, 5);
  cg_leaf_set_requires_grad(m->x, true);
  for (int i = 0; i < T * B; i++) m->y[i] = (3 * i + 1) % K;
}

static void free_model(model *m) {
  cg_leaf_free(m->x);
  cg_params_free(m->params);
}

/* in: h and, of an LSTM, c; or nothing. out: the loss, then the state. */
static void steps(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  part *p = context;
  const model *m = p->m;
  cg_rnn_state state = {n_in > 0 ? in[0] : NULL, n_in > 1 ? in[1] : NULL};
  cg_tensor *x = cg_narrow(t, m->x, 0, p->start, PART);
  cg_tensor *y = cg_borrow(t, CG_I64, CG_DIMS(PART, B), m->y + p->start * B);
  cg_rnn_result r = cg_rnn_forward_from(t, m->rnn, x, state, NULL);
  cg_tensor *h = cg_dropout(t, r.h, 0.2, &p->rng);
  out[0] = cg_cross_entropy_loss(t, cg_linear_layer_forward(t, m->fc, h), y,
                                 CG_REDUCE_SUM, CG_REDUCE_MEAN);
  out[1] = r.h_last;
  if (n_out > 2) out[2] = r.c_last;
}

static cg_tensor *loss_of(cg_tape *t, model *m, bool segments) {
  int states = cg_rnn_get_config(m->rnn).cell == CG_CELL_LSTM ? 2 : 1;
  cg_tensor *out[3] = {NULL}, *loss = NULL;
  cg_rng rng = m->rng;
  for (int s = 0; s < T; s += PART) {
    part p = {m, s, rng};
    cg_tensor *in[] = {out[1], out[2]};
    int n_in = s ? states : 0;
    if (segments)
      cg_checkpoint(t, steps, &p, sizeof p, in, n_in, out, 1 + states);
    else
      steps(t, in, n_in, out, 1 + states, &p);
    rng = p.rng;
    loss = loss ? cg_add(t, loss, out[0]) : out[0];
  }
  fine(t);
  return loss;
}

static size_t append(unsigned char *to, size_t n, const cg_tensor *x) {
  size_t bytes = (size_t)cg_tensor_numel(x) * cg_dtype_size(cg_tensor_dtype(x));
  ck_assert_int_eq(cg_tensor_read(x, to + n, bytes), CG_OK);
  return n + bytes;
}

/* Loss and all gradients, as bytes. */
static size_t walk(unsigned char *to, cg_cell_kind cell, cg_dtype dtype,
                   bool segments) {
  model m;
  new_model(&m, cell, dtype);
  cg_tape *t = cg_tape_new(NULL);
  cg_tensor *loss = loss_of(t, &m, segments);
  ck_assert_int_eq(cg_backward(t, loss), CG_OK);
  size_t n = append(to, 0, loss);
  n = append(to, n, cg_tensor_grad(m.x));
  for (int i = 0; i < cg_params_count(m.params); i++)
    n = append(to, n, cg_tensor_grad(cg_params_at(m.params, i)));
  cg_tape_free(t);
  free_model(&m);
  return n;
}

START_TEST(same_bits) {
  static unsigned char with[1 << 16], without[1 << 16];
  for (int cell = 0; cell < CG_CELL_COUNT; cell++)
    for (int type = 0; type < 2; type++) {
      cg_dtype dtype = type ? CG_F64 : CG_F32;
      size_t n = walk(without, (cg_cell_kind)cell, dtype, false);
      ck_assert_uint_eq(walk(with, (cg_cell_kind)cell, dtype, true), n);
      ck_assert_msg(!memcmp(with, without, n), "cell %d, %s", cell,
                    cg_dtype_name(dtype));
    }
}
END_TEST

/* H v through segments. */
START_TEST(hessian_vector_product) {
  model m;
  new_model(&m, CG_CELL_LSTM, CG_F64);
  cg_tape *t = cg_tape_new(NULL);
  int n = cg_params_count(m.params);
  cg_tensor *w[MANY], *v[MANY], *hv[2][MANY];
  ck_assert_int_le(n, MANY);
  for (int i = 0; i < n; i++) {
    w[i] = cg_params_at(m.params, i);
    v[i] = cg_sin(t, cg_mul_scalar(t, w[i], 7.3));
  }
  for (int k = 0; k < 2; k++)
    ck_assert_int_eq(cg_hvp(t, loss_of(t, &m, k), w, v, n, hv[k], 0), CG_OK);
  for (int i = 0; i < n; i++)
    for (int64_t k = 0; k < cg_tensor_numel(w[i]); k++)
      near(cg_tensor_get(hv[1][i], k), cg_tensor_get(hv[0][i], k), 1e-12);
  cg_tape_free(t);
  free_model(&m);
}
END_TEST

static size_t peak(bool segments) {
  model m;
  new_model(&m, CG_CELL_GRU, CG_F64);
  cg_tape *t = cg_tape_new(NULL);
  ck_assert_int_eq(cg_backward(t, loss_of(t, &m, segments)), CG_OK);
  size_t bytes = cg_tape_get_stats(t).bytes_peak;
  cg_tape_free(t);
  free_model(&m);
  return bytes;
}

START_TEST(less_memory) {
  size_t with = peak(true), without = peak(false);
  ck_assert_msg(2 * with < without, "%zu with, %zu without", with, without);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, same_bits);
  tcase_add_test(tc, hessian_vector_product);
  tcase_add_test(tc, less_memory);
  return run_case("checkpoint_rnn", tc);
}
