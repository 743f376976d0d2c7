/* test_rnn_init.c - first values by a rule: rows of a leaf, gates of a net. */
#include "rnn_test.h"

static const cg_init_rule ortho = {CG_INIT_ORTHOGONAL, 0, 0};

/* Each kind, by hand on a leaf of its own and by a rule on the middle rows of
 * a larger one. */
START_TEST(rows_begin_like_a_leaf_of_their_own) {
  const cg_init_rule rules[] = {
      {CG_INIT_CONSTANT, 1.75, 0}, {CG_INIT_UNIFORM, -0.3, 0.8},
      {CG_INIT_NORMAL, 0.4, 1.3},  {CG_INIT_FAN, 7, 0},
      {CG_INIT_XAVIER_UNIFORM, 0, 0}, {CG_INIT_XAVIER_NORMAL, 1.7, 0}, ortho};
  cg_rng ours = cg_rng_seed(5), theirs = cg_rng_seed(5);
  cg_tensor *whole = some_leaf(6, CG_DIMS(9, 4));
  cg_tensor *was = some_leaf(6, CG_DIMS(9, 4));
  cg_tensor *part = some_leaf(7, CG_DIMS(3, 4));
  ck_assert_int_eq(
      cg_init_rows(whole, 4, 3, &rules[_i], &ours, NULL, NULL), CG_OK);
  switch (_i) {
    case 0: cg_init_constant(part, 1.75, NULL); break;
    case 1: cg_init_uniform(part, &theirs, -0.3, 0.8, NULL); break;
    case 2: cg_init_normal(part, &theirs, 0.4, 1.3, NULL); break;
    case 3: cg_init_fan(part, &theirs, 7, NULL); break;
    case 4: cg_init_xavier_uniform(part, &theirs, 1, NULL); break;
    case 5: cg_init_xavier_normal(part, &theirs, 1.7, NULL); break;
    default: cg_init_orthogonal(part, &theirs, 1, NULL, NULL);
  }
  for (int64_t i = 0; i < 36; i++) {
    bool inside = i >= 16 && i < 28;
    near(cg_tensor_get(whole, i),
         inside ? cg_tensor_get(part, i - 16) : cg_tensor_get(was, i), 0.0);
  }
  ck_assert_uint_eq(ours.counter, theirs.counter);
  cg_leaf_free(whole);
  cg_leaf_free(was);
  cg_leaf_free(part);
}
END_TEST

START_TEST(rows_that_are_not_there) {
  cg_tensor *w = some_leaf(8, CG_DIMS(5, 2)), *one = scalar_leaf(2.5);
  cg_rng rng = cg_rng_seed(9);
  cg_error err = {0};
  const int64_t bad[][2] = {{-1, 2}, {4, 2}, {0, -1}, {6, 0}};
  for (int i = 0; i < N_OF(bad); i++) {
    ck_assert_int_eq(
        cg_init_rows(w, bad[i][0], bad[i][1], &ortho, &rng, NULL, &err),
        CG_ERR_SHAPE);
    has_error(&err, CG_ERR_SHAPE, "[5, 2] has no");
  }
  ck_assert_int_eq(cg_init_rows(one, 0, 1, &ortho, &rng, NULL, NULL),
                   CG_ERR_SHAPE);
  ck_assert_int_eq(cg_init_rows(w, 5, 0, &ortho, &rng, NULL, NULL), CG_OK);
  ck_assert_int_eq(cg_init_rows(w, 0, 2, NULL, &rng, NULL, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "no rule");
  ck_assert_int_eq(cg_init_rows(w, 0, 2, &ortho, NULL, NULL, &err),
                   CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "no random generator");
  const cg_init_rule odd[] = {
      {CG_INIT_COUNT, 0, 0}, {CG_INIT_FAN, NAN, 0}, {CG_INIT_FAN, 0.5, 0}};
  for (int i = 0; i < N_OF(odd); i++)
    ck_assert_int_eq(cg_init_rows(w, 0, 2, &odd[i], &rng, NULL, &err),
                     CG_ERR_ARG);
  cg_leaf_free(w);
  cg_leaf_free(one);
}
END_TEST

START_TEST(rows_without_memory_stay) {
  cg_tensor *w = some_leaf(8, CG_DIMS(5, 2));
  cg_tensor *was = some_leaf(8, CG_DIMS(5, 2));
  for (size_t n = 1; n <= 4; n++) {
    counter c;
    counter_init(&c);
    c.fail_at = n;
    cg_rng rng = cg_rng_seed(1);
    ck_assert_int_eq(cg_init_rows(w, 1, 2, &ortho, &rng, &c.allocator, NULL),
                     CG_ERR_NOMEM);
    ck_assert_uint_eq(c.live_blocks, 0);
    near_tensor("w", w, was, 0.0);
  }
  cg_leaf_free(w);
  cg_leaf_free(was);
}
END_TEST

/* ---- gates of a net ---- */

/* Of W_hh of both layers, gate 2 is orthogonal, and nothing else moved. */
START_TEST(one_gate_of_all_layers) {
  cg_params *params = registry(CG_F64), *plain = registry(CG_F64);
  cg_rnn_config config = RNN(.cell = CG_CELL_LSTM, .num_layers = 2);
  cg_rnn *rnn = new_rnn(params, config, 11);
  new_rnn(plain, config, 11);
  cg_rng rng = cg_rng_seed(12);
  ck_assert_int_eq(
      cg_rnn_init_gate(rnn, "weight_hh", 2, &ortho, &rng, NULL), CG_OK);
  for (int i = 0; i < cg_params_count(params); i++) {
    const cg_tensor *w = cg_params_at(params, i);
    bool hh = strstr(cg_params_name(params, i), "weight_hh");
    for (int64_t j = 0; j < cg_tensor_numel(w); j++)
      if (!hh || j < 2 * H * H || j >= 3 * H * H)
        near(cg_tensor_get(w, j), cg_tensor_get(cg_params_at(plain, i), j), 0);
    for (int64_t j = 0; hh && j < H * H; j++) {
      double dot = 0;
      for (int k = 0; k < H; k++)
        dot += cg_tensor_get(w, (2 * H + j / H) * H + k) *
               cg_tensor_get(w, (2 * H + j % H) * H + k);
      near(dot, j / H == j % H, 1e-13);
    }
  }
  cg_params_free(params);
  cg_params_free(plain);
}
END_TEST

START_TEST(gates_that_are_not_there) {
  cg_params *params = registry(CG_F64);
  cg_rnn *gru =
      new_rnn(params, RNN(.cell = CG_CELL_GRU, .no_bias = true), 13);
  const struct {
    cg_rnn *rnn;
    const char *param;
    int gate;
    const char *part;
  } bad[] = {{gru, "weight_hh", 3, "gates 0 to 2, but not 3"},
             {gru, "weight_hh", -1, "but not -1"},
             {gru, "weight", 0, "no parameter \"weight\""},
             {gru, "bias_ih", 0, "no parameter \"bias_ih\""},
             {gru, NULL, 0, "no parameter"},
             {NULL, "weight_hh", 0, "no net"}};
  cg_rng rng = cg_rng_seed(1);
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    ck_assert_int_eq(cg_rnn_init_gate(bad[i].rnn, bad[i].param, bad[i].gate,
                                      &ortho, &rng, &err), CG_ERR_ARG);
    has_error(&err, CG_ERR_ARG, bad[i].part);
  }
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn_init");
  tcase_add_loop_test(tc, rows_begin_like_a_leaf_of_their_own, 0, 7);
  tcase_add_test(tc, rows_that_are_not_there);
  tcase_add_test(tc, rows_without_memory_stay);
  tcase_add_test(tc, one_gate_of_all_layers);
  tcase_add_test(tc, gates_that_are_not_there);
  return run_case("rnn_init", tc);
}
