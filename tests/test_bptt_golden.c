/* test_bptt_golden.c - both sides of the program bptt, the one by hand and the
 * one from the tape, against figures that PyTorch computed in float64
 * (golden/make_bptt.py). */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../demos/bptt.h"
#include "../demos/cli.h"

#define TOLERANCE 1e-12

const char *const cli_program = "test_bptt_golden";

#ifndef CG_TEST_DATA
#define CG_TEST_DATA "tests/golden"
#endif

static const char *const names[] = {"bptt_tanh", "bptt_relu", "bptt_sigmoid",
                                    "bptt_lstm", "bptt_gru"};
enum { BY_HAND = 3 }; /* the first ones have the simple cell */

typedef struct golden {
  cg_safetensors *file;
  bptt_case c;
} golden;

/* Opens file i and makes the problem that it describes. */
static void set_up(golden *g, int i) {
  char path[1024];
  cg_error err = {0};
  snprintf(path, sizeof path, CG_TEST_DATA "/%s.safetensors", names[i]);
  g->file = cg_safetensors_open(NULL, path, &err);
  ck_assert_msg(g->file != NULL, "%s", err.message);
  const char *phi = cg_safetensors_metadata(g->file, "activation");
  const char *reduction = cg_safetensors_metadata(g->file, "reduction");
  const char *cell = cg_safetensors_metadata(g->file, "cell");
  ck_assert(!phi != !cell && reduction);
  bptt_options o = {.case_path = path, .dtype = CG_F64};
  if (phi) ck_assert(cg_activation_parse(phi, &o.activation));
  if (cell) o.cell = strcmp(cell, "gru") ? CG_CELL_LSTM : CG_CELL_GRU;
  bool mean = strcmp(reduction, "mean") == 0;
  o.reduction = mean ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
  ck_assert(bptt_case_make(&g->c, &o));
}

static void tear_down(golden *g) {
  bptt_case_free(&g->c);
  cg_safetensors_close(g->file);
}

/* PyTorch's figures for q, after a look at their shape. */
static const double *wanted(const golden *g, bptt_quantity q) {
  char name[40];
  int64_t shape[3];
  int rank = bptt_shape(&g->c, q, shape);
  snprintf(name, sizeof name, "want.%s", bptt_name(q));
  const cg_array *a = cg_safetensors_find(g->file, name);
  ck_assert_msg(a != NULL, "the file has no %s", name);
  ck_assert_int_eq(a->dtype, CG_F64);
  ck_assert_int_eq(a->rank, rank);
  for (int i = 0; i < rank; i++) ck_assert_int_eq(a->shape[i], shape[i]);
  return a->data;
}

/* |got - want| <= tolerance |want| over all elements, and there is something:
 * no quantity of these cases vanishes. */
static void check_quantity(const golden *g, bptt_quantity q,
                           const double *got) {
  const double *want = wanted(g, q);
  double apart = 0, size = 0;
  for (int64_t i = 0; i < bptt_numel(&g->c, q); i++) {
    apart += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  ck_assert_msg(size > 1e-6, "%s vanishes", bptt_name(q));
  ck_assert_msg(sqrt(apart / size) <= TOLERANCE, "%s: relative error %g",
                bptt_name(q), sqrt(apart / size));
}

static void check_all(const golden *g, const bptt_figures *f) {
  for (int q = 0; q < Q_COUNT; q++)
    if (bptt_has(&g->c, q)) check_quantity(g, q, f->of[q]);
}

/* ---- the sides ---- */

START_TEST(by_hand) {
  golden g;
  cg_bptt_result r;
  set_up(&g, _i);
  ck_assert_int_eq(cg_bptt_batch(&g.c.p, &r, NULL), CG_OK);
  bptt_figures f = bptt_figures_of(&r);
  check_all(&g, &f);
  cg_bptt_free(&r);
  if (g.c.p.B == 1) {
    ck_assert_int_eq(cg_bptt_sequence(&g.c.p, &r, NULL), CG_OK);
    f = bptt_figures_of(&r);
    check_all(&g, &f);
    cg_bptt_free(&r);
  }
  tear_down(&g);
}
END_TEST

START_TEST(from_the_tape) {
  golden g;
  bptt_figures f;
  set_up(&g, _i);
  ck_assert(bptt_figures_make(&f, &g.c));
  ck_assert(bptt_autograd(&g.c, CG_F64, NULL, &f));
  ck_assert(!f.biases_differ);
  check_all(&g, &f);
  bptt_figures_free(&f);
  tear_down(&g);
}
END_TEST

/* The quotients' own estimate of their error holds, element by element. */
START_TEST(by_differences) {
  golden g;
  bptt_quotients d;
  set_up(&g, _i);
  ck_assert(bptt_differences(&g.c, NULL, &d));
  for (int q = Q_W_XH; q < Q_COUNT; q++) {
    if (!bptt_has(&g.c, q)) continue;
    const double *want = wanted(&g, q);
    for (int64_t i = 0; i < bptt_numel(&g.c, q); i++) {
      const bptt_quotient *one = &d.of[q][i];
      ck_assert(!one->at_kink);
      ck_assert_msg(fabs(one->value - want[i]) <= one->error,
                    "%s[%d]: %.17g, not %.17g; estimated error %g",
                    bptt_name(q), (int)i, one->value, want[i], one->error);
      ck_assert_msg(one->error < 1e-8, "%s[%d]: estimated error %g",
                    bptt_name(q), (int)i, one->error);
    }
  }
  bptt_quotients_free(&d);
  tear_down(&g);
}
END_TEST

/* Every pre-activation is exactly 0, where relu bends. */
START_TEST(a_kink_is_told) {
  double zeros[4] = {0}, W_hy[2] = {0.83, -1.37};
  int64_t y[2] = {1, 0};
  bptt_case p = {.gates = 1,
                 .p = {.T = 2, .B = 1, .D = 1, .H = 1, .K = 2,
                       .phi = CG_ACT_RELU, .x = zeros, .y = y, .h0 = zeros,
                       .W_xh = zeros, .W_hh = zeros, .W_hy = W_hy,
                       .b_h = zeros, .b_y = zeros}};
  bptt_quotients d;
  ck_assert(bptt_differences(&p, NULL, &d));
  ck_assert(d.of[Q_B_H][0].at_kink);
  ck_assert(!d.of[Q_B_Y][0].at_kink);
  ck_assert_double_eq_tol(d.of[Q_B_Y][0].value, 0.0, 1e-10);
  bptt_quotients_free(&d);
}
END_TEST

/* What the program compares LSTM and GRU with is what the file stores. */
START_TEST(stored_figures_are_read) {
  golden g;
  set_up(&g, _i);
  for (int q = 0; q < Q_COUNT; q++) {
    ck_assert(!g.c.want[q] == (_i < BY_HAND || !bptt_has(&g.c, q)));
    if (g.c.want[q]) check_quantity(&g, q, g.c.want[q]);
  }
  tear_down(&g);
}
END_TEST

/* Without a JSON reader there are no files to test with. */
static bool can_read(void) {
  cg_error err = {0};
  cg_safetensors_close(cg_safetensors_parse(NULL, "", 0, &err));
  return err.status != CG_ERR_STATE;
}

int main(void) {
  int files = (int)(sizeof names / sizeof *names);
  Suite *suite = suite_create("bptt_golden");
  TCase *tc = tcase_create("bptt_golden");
  if (can_read()) {
    tcase_add_loop_test(tc, by_hand, 0, BY_HAND);
    tcase_add_loop_test(tc, from_the_tape, 0, files);
    tcase_add_loop_test(tc, by_differences, 0, files);
    tcase_add_loop_test(tc, stored_figures_are_read, 0, files);
  } else {
    puts("no JSON reader: the golden files are left out");
  }
  tcase_add_test(tc, a_kink_is_told);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failures = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
