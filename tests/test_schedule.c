/* test_schedule.c - learning rates over time, against PyTorch's schedulers
 * (golden/make_optim.py) and at their edges. */
#include "nn_test.h"

#ifdef CG_HAVE_JANSSON

enum { N = 40 };
static const double base = 0.37;

static double step(double n) { return base * cg_lr_step(n, 7, 0.43); }
static double exponential(double n) {
  return base * cg_lr_exponential(n, 0.91);
}
static double cosine(double n) {
  return base * cg_lr_cosine(n, N - 1, 0.0013 / base);
}
static double warmup(double n) { return base * cg_lr_warmup(n, 11, 0.13); }
static double warmup_exponential(double n) {
  return warmup(n) * cg_lr_exponential(n, 0.91);
}
static double one_cycle(double n) {
  return base * cg_lr_one_cycle(n, &(cg_one_cycle){.total = N});
}
static double one_cycle_linear(double n) {
  return base * cg_lr_one_cycle(n, &(cg_one_cycle){.total = N,
                                                   .up = 0.41,
                                                   .start_div = 13,
                                                   .end_div = 700,
                                                   .linear = true});
}

#define ROW(name) {#name, name}
static const struct {
  const char *name;
  double (*rate)(double n);
} schedules[] = {ROW(step),   ROW(exponential),        ROW(cosine),
                 ROW(warmup), ROW(warmup_exponential), ROW(one_cycle),
                 ROW(one_cycle_linear)};

static void is(const char *name, int n, double got, double want) {
  ck_assert_msg(fabs(got - want) <= 1e-12 * want,
                "%s, n = %d: %.17g where %.17g is due", name, n, got, want);
}

START_TEST(rates_are_pytorch_s) {
  cg_safetensors *golden = golden_open("schedules");
  const char *name = schedules[_i].name;
  const double *want = golden_array(golden, "", name)->data;
  for (int n = 0; n < N; n++) is(name, n, schedules[_i].rate(n), want[n]);
  cg_safetensors_close(golden);
}
END_TEST

static void falls_like(const char *name, cg_plateau p) {
  cg_safetensors *golden = golden_open("schedules");
  const double *losses = golden_array(golden, "", "losses")->data;
  const double *want = golden_array(golden, "", name)->data;
  double lr = base;
  for (int n = 0; n < N; n++) {
    lr = cg_plateau_lr(&p, lr, losses[n]);
    is(name, n, lr, want[n]);
  }
  ck_assert(lr < base);
  cg_safetensors_close(golden);
}

START_TEST(plateaus_are_pytorch_s) {
  falls_like("plateau", (cg_plateau){.factor = 0.31, .patience = 2,
                                     .threshold = 0.01, .cooldown = 3,
                                     .min_lr = 0.02});
  falls_like("plateau_abs", (cg_plateau){.factor = 0.5, .patience = 1,
                                         .threshold = 0.05, .absolute = true});
}
END_TEST

#endif

START_TEST(ends_are_held) {
  near(cg_lr_cosine(0, 30, 0.2), 1.0, 0);
  near(cg_lr_cosine(30, 30, 0.2), 0.2, 1e-15);
  near(cg_lr_cosine(77, 30, 0.2), 0.2, 1e-15);
  near(cg_lr_cosine(0, 0, 0.2), 0.2, 1e-15);
  near(cg_lr_warmup(-3, 30, 0.2), 0.2, 1e-15);
  near(cg_lr_warmup(77, 30, 0.2), 1.0, 1e-15);
  near(cg_lr_warmup(0, 0, 0.2), 1.0, 1e-15);
  near(cg_lr_step(13.9, 7, 0.5), 0.5, 0);
  near(cg_lr_step(14, 7, 0.5), 0.25, 0);
  near(cg_lr_exponential(3, 0.5), 0.125, 0);
  const cg_one_cycle cycle = {.total = 30};
  near(cg_lr_one_cycle(29, &cycle), 1 / 25e4, 1e-15);
  near(cg_lr_one_cycle(99, &cycle), 1 / 25e4, 1e-15);
}
END_TEST

START_TEST(plateau_by_hand) {
  cg_plateau p = {.factor = 0.5, .patience = -1, .min_lr = 0.3};
  near(cg_plateau_lr(&p, 1.0, NAN), 0.5, 0); /* nothing is better than NaN */
  near(cg_plateau_lr(&p, 0.5, 2.385), 0.5, 0);
  near(cg_plateau_lr(&p, 0.5, 2.3849), 0.3, 0); /* by less than the threshold */
  near(cg_plateau_lr(&p, 0.3, 2.3849), 0.3, 0);
  near(p.best, 2.385, 0);
  near(cg_plateau_lr(&p, 0.3, 1.9), 0.3, 0);
  near(p.best, 1.9, 0);
  cg_plateau unset = {0};
  double lr = 1.0;
  for (int n = 0; n < 11; n++) {
    lr = cg_plateau_lr(&unset, lr, 0.7);
    near(lr, 1.0, 0);
  }
  near(cg_plateau_lr(&unset, lr, 0.7), 0.1, 1e-15);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("schedule");
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, rates_are_pytorch_s, 0, N_OF(schedules));
  tcase_add_test(tc, plateaus_are_pytorch_s);
#endif
  tcase_add_test(tc, ends_are_held);
  tcase_add_test(tc, plateau_by_hand);
  return run_case("schedule", tc);
}
