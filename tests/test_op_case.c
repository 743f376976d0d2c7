/* test_op_case.c - the cases that an op brings to be checked with. */
#include "engine_test.h"

static const cg_op shell = {.name = "shell", .lo = 0.3, .hi = 0.4};

START_TEST(case_leaves) {
  const cg_op_case c = {"f[2,3] f[] i[50]<3 u[40] f[0,2]", NULL};
  cg_rng rng = cg_rng_seed(3);
  cg_tensor *in[6];
  cg_error err = {0};
  ck_assert_int_eq(cg_op_case_leaves(&shell, &c, &rng, in, 6, &err), 5);
  has_shape(in[0], CG_DIMS(2, 3));
  has_shape(in[1], 0, NULL);
  has_shape(in[2], CG_DIMS(50));
  has_shape(in[3], CG_DIMS(40));
  has_shape(in[4], CG_DIMS(0, 2));
  const cg_dtype types[] = {CG_F64, CG_F64, CG_I64, CG_U8, CG_F64};
  for (int k = 0; k < 5; k++) {
    ck_assert_int_eq(cg_tensor_dtype(in[k]), types[k]);
    ck_assert(cg_tensor_requires_grad(in[k]) == (types[k] == CG_F64));
  }
  int seen[3] = {0}, ones = 0;
  for (int i = 0; i < 50; i++) seen[(int)cg_tensor_get(in[2], i)]++;
  for (int i = 0; i < 40; i++) {
    double bit = cg_tensor_get(in[3], i);
    ck_assert(bit == 0 || bit == 1);
    ones += bit == 1;
  }
  ck_assert(seen[0] && seen[1] && seen[2] && ones > 0 && ones < 40);
  for (int i = 0; i < 6; i++) {
    double x = cg_tensor_get(in[0], i);
    ck_assert(x >= 0.3 && x < 0.4 && x != cg_tensor_get(in[0], (i + 1) % 6));
  }
  for (int k = 0; k < 5; k++) cg_leaf_free(in[k]);
}
END_TEST

START_TEST(bad_cases) {
  const char *const texts[] = {
      "g[2]",    "f",        "f[",       "f[2",      "f[2,",  "f[2,]",
      "f[-1]",   "f[2]x",    "f[2]<3",   "i[2]",     "i[2]<", "i[2]<0",
      "f[2] i",  "f[2 ,3]",  "f[,2]",    "u[2]<2",   "F[2]",  "f[2],f[3]",
      "f[2] [3]", "f[1,1,1,1,1,1,1,1,1]", "f[99999999999999999999]",
  };
  for (int k = 0; k < N_OF(texts); k++) {
    const cg_op_case c = {texts[k], NULL};
    cg_rng rng = cg_rng_seed(3);
    cg_tensor *in[4];
    cg_error err = {0};
    ck_assert_msg(cg_op_case_leaves(&shell, &c, &rng, in, 4, &err) == -1,
                  "\"%s\" is accepted", texts[k]);
    ck_assert_msg(err.status && err.message[0], "\"%s\"", texts[k]);
  }
  const cg_op_case three = {"f[1] f[2] f[3]", NULL};
  cg_rng rng = cg_rng_seed(3);
  cg_tensor *in[2];
  cg_error err = {0};
  ck_assert_int_eq(cg_op_case_leaves(&shell, &three, &rng, in, 2, &err), -1);
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_int_eq(cg_op_case_leaves(NULL, &three, &rng, in, 2, NULL), -1);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("op_case");
  tcase_add_test(tc, case_leaves);
  tcase_add_test(tc, bad_cases);
  return run_case("op_case", tc);
}
