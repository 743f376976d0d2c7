/* test_param.c - the registry, and the layers that only hold parameters. */
#include "nn_test.h"

START_TEST(keeps_names_order_and_shapes) {
  cg_params *params = registry(CG_F32);
  cg_tensor *W = cg_params_add(params, "fc.weight", CG_DIMS(3, 2), NULL);
  cg_tensor *b = cg_params_add(params, "fc.bias", CG_DIMS(3), NULL);
  cg_tensor *s = cg_params_add(params, "scale", 0, NULL, NULL);
  ck_assert_int_eq(cg_params_count(params), 3);
  ck_assert_ptr_eq(cg_params_at(params, 0), W);
  ck_assert_ptr_eq(cg_params_find(params, "fc.bias"), b);
  ck_assert_ptr_eq(cg_params_find(params, "scale"), s);
  ck_assert_ptr_null(cg_params_find(params, "fc"));
  ck_assert_str_eq(cg_params_name(params, 1), "fc.bias");
  ck_assert_str_eq(cg_leaf_name(b), "fc.bias");
  ck_assert_int_eq(cg_params_numel(params), 10);
  has_shape(W, CG_DIMS(3, 2));
  ck_assert(cg_tensor_requires_grad(W));
  ck_assert_int_eq(cg_tensor_dtype(W), CG_F32);
  ck_assert_int_eq(cg_params_dtype(params), CG_F32);
  cg_params_free(params);
}
END_TEST

START_TEST(growing_moves_nothing) {
  enum { N = 200 };
  cg_params *params = registry(CG_F64);
  cg_tensor *leaf[N];
  const char *name[N];
  for (int i = 0; i < N; i++) {
    char text[16];
    snprintf(text, sizeof text, "p%d", i);
    leaf[i] = cg_params_add(params, text, CG_DIMS(i % 3), NULL);
    ck_assert_ptr_nonnull(leaf[i]);
    name[i] = cg_params_name(params, i);
  }
  for (int i = 0; i < N; i++) {
    ck_assert_ptr_eq(cg_params_at(params, i), leaf[i]);
    ck_assert_ptr_eq(cg_params_name(params, i), name[i]);
    ck_assert_ptr_eq(cg_params_find(params, name[i]), leaf[i]);
  }
  cg_params_free(params);
}
END_TEST

START_TEST(keeps_a_name_that_a_leaf_would_cut) {
  cg_params *params = registry(CG_F64);
  char name[200];
  memset(name, 'n', sizeof name);
  name[199] = '\0';
  cg_tensor *leaf = cg_params_add(params, name, CG_DIMS(2), NULL);
  ck_assert_str_eq(cg_params_name(params, 0), name);
  ck_assert_ptr_eq(cg_params_find(params, name), leaf);
  cg_params_free(params);
}
END_TEST

START_TEST(refuses_bad_names_and_shapes) {
  cg_params *params = registry(CG_F64);
  ck_assert_ptr_nonnull(cg_params_add(params, "W", CG_DIMS(2), NULL));
  const char *bad[] = {NULL, "", "W", "\xff\xfe"};
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_params_add(params, bad[i], CG_DIMS(2), &err));
    has_error(&err, CG_ERR_ARG, i == 2 ? "W" : "name");
  }
  cg_error err = {0};
  ck_assert_ptr_null(cg_params_add(params, "b", CG_DIMS(2, -1), &err));
  has_error(&err, CG_ERR_SHAPE, "[2, -1]");
  ck_assert_ptr_null(cg_params_add(params, "b", 9, NULL, &err));
  ck_assert_int_eq(cg_params_count(params), 1);
  ck_assert_ptr_nonnull(cg_params_add(params, "b", CG_DIMS(2), NULL));
  cg_params_free(params);
}
END_TEST

START_TEST(refuses_other_types) {
  const cg_dtype bad[] = {CG_I64, CG_U8, CG_DTYPE_COUNT};
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_params_new(NULL, bad[i], &err));
    has_error(&err, CG_ERR_DTYPE, cg_dtype_name(bad[i]));
  }
}
END_TEST

START_TEST(accepts_null) {
  cg_error err = {0};
  cg_params_free(NULL);
  cg_params_zero_grad(NULL);
  cg_params_drop(NULL, cg_params_end(NULL));
  ck_assert_int_eq(cg_params_count(NULL), 0);
  ck_assert_int_eq(cg_params_numel(NULL), 0);
  ck_assert_ptr_null(cg_params_at(NULL, 0));
  ck_assert_ptr_null(cg_params_name(NULL, 0));
  ck_assert_ptr_null(cg_params_find(NULL, "W"));
  ck_assert_ptr_null(cg_params_add(NULL, "W", CG_DIMS(2), &err));
  has_error(&err, CG_ERR_ARG, "registry");
  ck_assert_ptr_null(cg_params_alloc(NULL, 3, NULL));
  cg_params *params = registry(CG_F64);
  ck_assert_ptr_null(cg_params_at(params, -1));
  ck_assert_ptr_null(cg_params_at(params, 0));
  ck_assert_ptr_null(cg_params_alloc(params, 0, NULL));
  ck_assert_ptr_null(cg_params_alloc(params, SIZE_MAX, NULL));
  ck_assert_ptr_null(cg_params_find(params, NULL));
  cg_params_free(params);
}
END_TEST

START_TEST(zeroes_all_gradients) {
  cg_params *params = registry(CG_F64);
  for (int i = 0; i < 2; i++) {
    cg_tensor *leaf = cg_params_add(params, i ? "b" : "a", CG_DIMS(3), NULL);
    ck_assert_int_eq(cg_leaf_fill(cg_leaf_grad(leaf), 2.385), CG_OK);
  }
  cg_params_zero_grad(params);
  for (int i = 0; i < 2; i++)
    NEAR_ALL(cg_tensor_grad(cg_params_at(params, i)), 0, 0.0, 0.0, 0.0);
  cg_params_free(params);
}
END_TEST

/* ---- layers ---- */

START_TEST(linear_and_embedding_have_their_parameters) {
  cg_params *params = registry(CG_F64);
  cg_rng rng = cg_rng_seed(11);
  cg_linear_layer *fc = cg_linear_layer_new(
      params, "fc", &(cg_linear_config){.in_features = 4, .out_features = 3},
      &rng, NULL);
  cg_linear_layer *head = cg_linear_layer_new(
      params, "head",
      &(cg_linear_config){.in_features = 4, .out_features = 2, .no_bias = true},
      NULL, NULL);
  cg_embedding_layer *emb = cg_embedding_layer_new(
      params, "emb",
      &(cg_embedding_config){.num_embeddings = 5, .embedding_dim = 4}, &rng,
      NULL);
  ck_assert_int_eq(cg_params_count(params), 4);
  ck_assert_ptr_eq(cg_params_find(params, "fc.weight"), fc->W);
  ck_assert_ptr_eq(cg_params_find(params, "fc.bias"), fc->b);
  ck_assert_ptr_eq(cg_params_find(params, "head.weight"), head->W);
  ck_assert_ptr_null(head->b);
  ck_assert_ptr_eq(cg_params_find(params, "emb.weight"), emb->W);
  has_shape(fc->W, CG_DIMS(3, 4));
  has_shape(fc->b, CG_DIMS(3));
  has_shape(emb->W, CG_DIMS(5, 4));
  for (int i = 0; i < 12; i++) {
    double w = cg_tensor_get(fc->W, i);
    ck_assert(w != 0.0 && fabs(w) <= 0.5); /* 1 / sqrt(4) */
  }
  near(cg_tensor_get(head->W, 3), 0.0, 0.0);
  cg_params_free(params);
}
END_TEST

START_TEST(linear_and_embedding_compute) {
  cg_params *params = registry(CG_F64);
  cg_linear_layer *fc = cg_linear_layer_new(
      params, "fc", &(cg_linear_config){.in_features = 2, .out_features = 1},
      NULL, NULL);
  cg_embedding_layer *emb = cg_embedding_layer_new(
      params, "emb",
      &(cg_embedding_config){.num_embeddings = 3, .embedding_dim = 2}, NULL,
      NULL);
  set_values(fc->W, (const double[]){1.7, -0.3});
  set_values(fc->b, (const double[]){0.11});
  set_values(emb->W, (const double[]){0.9, 2.1, -1.3, 0.4, 3.7, -0.6});
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *index =
      cg_input(tape, CG_I64, CG_DIMS(2), (const int64_t[]){2, 1});
  cg_tensor *y = cg_linear_layer_forward(
      tape, fc, cg_embedding_layer_forward(tape, emb, index));
  fine(tape);
  has_shape(y, CG_DIMS(2, 1));
  NEAR_ALL(y, 1e-15, 1.7 * 3.7 + 0.3 * 0.6 + 0.11, -1.7 * 1.3 - 0.12 + 0.11);
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, y)), CG_OK);
  NEAR_ALL(cg_tensor_grad(emb->W), 1e-15, 0.0, 0.0, 1.7, -0.3, 1.7, -0.3);
  ck_assert_ptr_null(cg_linear_layer_forward(tape, NULL, y));
  failed(tape, CG_ERR_ARG, "linear_layer", "no layer");
  ck_assert_ptr_null(cg_embedding_layer_forward(tape, NULL, index));
  failed(tape, CG_ERR_ARG, "embedding_layer", "no layer");
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(a_failed_layer_leaves_nothing) {
  cg_params *params = registry(CG_F64);
  cg_params_add(params, "fc.bias", CG_DIMS(1), NULL);
  cg_error err = {0};
  const cg_linear_config good = {.in_features = 2, .out_features = 1};
  ck_assert_ptr_null(cg_linear_layer_new(params, "fc", &good, NULL, &err));
  has_error(&err, CG_ERR_ARG, "fc.bias");
  const cg_linear_config bad = {.in_features = 2};
  ck_assert_ptr_null(cg_linear_layer_new(params, "out", &bad, NULL, &err));
  has_error(&err, CG_ERR_ARG, "out_features of layer out is 0");
  ck_assert_ptr_null(cg_linear_layer_new(params, "", &good, NULL, &err));
  has_error(&err, CG_ERR_ARG, "name");
  ck_assert_ptr_null(cg_linear_layer_new(params, "x", NULL, NULL, &err));
  has_error(&err, CG_ERR_ARG, "configuration");
  ck_assert_ptr_null(cg_linear_layer_new(NULL, "x", &good, NULL, &err));
  has_error(&err, CG_ERR_ARG, "registry");
  char name[300];
  memset(name, 'n', sizeof name);
  name[299] = '\0';
  ck_assert_ptr_null(cg_linear_layer_new(params, name, &good, NULL, &err));
  has_error(&err, CG_ERR_ARG, "at most");
  cg_embedding_config none = {.embedding_dim = 3};
  ck_assert_ptr_null(cg_embedding_layer_new(params, "e", &none, NULL, &err));
  has_error(&err, CG_ERR_ARG, "num_embeddings");
  ck_assert_int_eq(cg_params_count(params), 1);
  ck_assert_int_eq(cg_params_end(params).blocks, 0);
  cg_params_free(params);
}
END_TEST

/* A model of all kinds of layers; false after an error. */
static bool build(const counter *c, cg_error *err) {
  cg_rng rng = cg_rng_seed(3);
  cg_params *params = cg_params_new(&c->allocator, CG_F32, err);
  bool ok =
      params &&
      cg_embedding_layer_new(
          params, "emb",
          &(cg_embedding_config){.num_embeddings = 5, .embedding_dim = 4},
          &rng, err) &&
      cg_rnn_new(params, "rnn",
                 &(cg_rnn_config){.input_size = 4, .hidden_size = 3,
                                  .num_layers = 2, .learned_h0 = true},
                 &rng, err) &&
      cg_linear_layer_new(
          params, "fc",
          &(cg_linear_config){.in_features = 3, .out_features = 5}, &rng, err);
  cg_optimizer *adam = ok ? cg_adam_new(params, NULL, err) : NULL;
  cg_optimizer_free(adam);
  cg_params_free(params);
  return adam != NULL;
}

START_TEST(every_failing_allocation_is_an_error) {
  bool ok = false;
  size_t n = 0;
  while (!ok) {
    counter c;
    counter_init(&c);
    c.fail_at = ++n;
    cg_error err = {0};
    ok = build(&c, &err);
    ck_assert_int_eq(err.status, ok ? CG_OK : CG_ERR_NOMEM);
    ck_assert_uint_eq(c.live_blocks, 0);
    ck_assert_uint_eq(c.live_bytes, 0);
  }
  ck_assert_uint_ge(n, 50);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("param");
  tcase_add_test(tc, keeps_names_order_and_shapes);
  tcase_add_test(tc, growing_moves_nothing);
  tcase_add_test(tc, keeps_a_name_that_a_leaf_would_cut);
  tcase_add_test(tc, refuses_bad_names_and_shapes);
  tcase_add_test(tc, refuses_other_types);
  tcase_add_test(tc, accepts_null);
  tcase_add_test(tc, zeroes_all_gradients);
  tcase_add_test(tc, linear_and_embedding_have_their_parameters);
  tcase_add_test(tc, linear_and_embedding_compute);
  tcase_add_test(tc, a_failed_layer_leaves_nothing);
  tcase_add_test(tc, every_failing_allocation_is_an_error);
  return run_case("param", tc);
}
