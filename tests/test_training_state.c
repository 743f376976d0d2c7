/* test_training_state.c - a run that was saved goes on with identical bits; bad
 * calls. */
#include "training_test.h"

#ifdef CG_HAVE_JANSSON

/* ---- going on ---- */

START_TEST(goes_on_with_identical_bits) {
  const char *name = cg_optimizer_list(_i / 2);
  const cg_dtype dtype = _i % 2 ? CG_F64 : CG_F32;
  char middle[64], end[64], again[64];
  path_of(middle, "middle");
  path_of(end, "end");
  path_of(again, "again");
  run r, s;
  run_init(&r, name, dtype, 5, NULL);
  run_steps(&r, 4);
  save(&r, middle);
  run_steps(&r, 5);
  save(&r, end);
  run_init(&s, name, dtype, 91, NULL);
  run_steps(&s, 3);
  cg_error err = {0};
  ck_assert_msg(!cg_training_load(&s.training, middle, &err), "%s",
                err.message);
  save(&s, again);
  same_files(middle, again);
  run_steps(&s, 5);
  save(&s, again);
  same_files(end, again);
  run_free(&r);
  run_free(&s);
  unlink(middle), unlink(end), unlink(again);
}
END_TEST

START_TEST(parts_may_be_absent) {
  char path[64];
  path_of(path, "parts");
  run r, s;
  run_init(&r, "adam", CG_F64, 5, NULL);
  run_init(&s, "adam", CG_F64, 6, NULL);
  r.training = (cg_training){.params = r.params};
  s.training = (cg_training){.params = s.params};
  save(&r, path);
  cg_safetensors *file = cg_safetensors_open(NULL, path, NULL);
  ck_assert_str_eq(cg_safetensors_metadata(file, "note"), "2.385");
  ck_assert_int_eq(cg_safetensors_count(file), 2);
  ck_assert_int_eq(cg_training_load_from(&s.training, file, NULL), CG_OK);
  near_tensor("W", cg_params_at(s.params, 0), cg_params_at(r.params, 0), 0);
  cg_safetensors_close(file);
  run_free(&r);
  run_free(&s);
  unlink(path);
}
END_TEST

START_TEST(loading_makes_old_graphs_stale) {
  char path[64];
  path_of(path, "stale");
  run r;
  run_init(&r, "sgd", CG_F64, 5, NULL);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *w = cg_params_at(r.params, 1);
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, w));
  save(&r, path);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK); /* saving only reads */
  ck_assert_int_eq(cg_training_load(&r.training, path, NULL), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_ERR_STALE);
  cg_tape_free(tape);
  run_free(&r);
  unlink(path);
}
END_TEST

/* ---- bad calls ---- */

START_TEST(refuses_bad_calls) {
  char path[64];
  path_of(path, "never");
  run r, s;
  run_init(&r, "adam", CG_F64, 5, NULL);
  run_init(&s, "adam", CG_F64, 5, NULL);
  cg_error err = {0};
  cg_training t = {0};
  ck_assert_int_eq(cg_training_save(NULL, path, NULL, 0, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "registry");
  t = r.training;
  t.optimizer = s.optimizer;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "another registry");
  t = r.training;
  t.n_arrays = -1;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  t = r.training;
  r.arrays[1].data = NULL;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "array 1");
  r.arrays[1].data = r.state;
  r.arrays[1].name = "position";
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "twice");
  r.arrays[1].name = "h";
  r.rngs[1] = NULL;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  r.rngs[1] = &r.data;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, -1, &err), CG_ERR_ARG);
  const cg_metadata taken[] = {{"optimizer", "mine"}};
  ck_assert_int_eq(cg_training_save(&t, path, taken, 1, &err), CG_ERR_ARG);
  ck_assert_int_eq(access(path, F_OK), -1);
  ck_assert_int_eq(cg_training_load(&t, path, &err), CG_ERR_IO);
  ck_assert_int_eq(cg_training_load_from(&t, NULL, &err), CG_ERR_ARG);
  cg_params_drop(r.params, (cg_params_position){1, 0});
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_STATE);
  run_free(&r);
  run_free(&s);
}
END_TEST

START_TEST(lack_of_memory_is_an_error) {
  char path[64];
  path_of(path, "memory");
  counter c;
  counter_init(&c);
  run r;
  run_init(&r, "adam", CG_F64, 5, &c.allocator);
  run_steps(&r, 1);
  save(&r, path);
  size_t live = c.live_blocks;
  for (int load = 0; load < 2; load++) {
    cg_status status = CG_ERR_NOMEM;
    for (size_t k = 1; status; k++) {
      c.fail_at = c.calls + k;
      status = load ? cg_training_load(&r.training, path, NULL)
                    : cg_training_save(&r.training, path, NULL, 0, NULL);
      ck_assert(!status || status == CG_ERR_NOMEM);
      ck_assert_uint_eq(c.live_blocks, live);
      ck_assert_uint_lt(k, 20);
    }
    c.fail_at = 0;
  }
  run_free(&r);
  ck_assert_uint_eq(c.live_blocks, 0);
  unlink(path);
}
END_TEST

#endif

int main(void) {
  TCase *tc = tcase_create("training_state");
#ifdef CG_HAVE_JANSSON
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, goes_on_with_identical_bits, 0, 2 * N_OPTIMIZERS);
  tcase_add_test(tc, parts_may_be_absent);
  tcase_add_test(tc, loading_makes_old_graphs_stale);
  tcase_add_test(tc, refuses_bad_calls);
  tcase_add_test(tc, lack_of_memory_is_an_error);
#endif
  return run_case("training_state", tc);
}
