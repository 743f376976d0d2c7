/* test_profile.c - the profile counts calls and bytes exactly, forward and
 * backward, and its files say what the rows say. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

static const cg_profile_row *row(const char *name) {
  int n;
  const cg_profile_row *rows = cg_profile_rows(tape, &n), *found = NULL;
  for (int i = 0; i < n; i++)
    if (!strcmp(rows[i].name, name)) {
      ck_assert_msg(!found, "two rows %s", name);
      found = &rows[i];
    }
  return found;
}

/* The row `name` counts these. */
static void counts(const char *name, uint64_t calls, uint64_t bytes,
                   uint64_t back_calls, uint64_t back_bytes) {
  const cg_profile_row *r = row(name);
  ck_assert_msg(r != NULL, "no row %s", name);
  ck_assert_msg(r->forward.calls == calls && r->forward.bytes == bytes &&
                    r->backward.calls == back_calls &&
                    r->backward.bytes == back_bytes,
                "%s: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, name,
                r->forward.calls, r->forward.bytes, r->backward.calls,
                r->backward.bytes);
  ck_assert((r->forward.nanoseconds > 0) == (calls > 0));
  ck_assert((r->backward.nanoseconds > 0) == (back_calls > 0));
}

static int n_rows(void) {
  int n;
  cg_profile_rows(tape, &n);
  return n;
}

/* h = tanh(x W^T + h) `steps` times; the sum of the last. x is [5, 3]. */
static cg_tensor *forward(cg_tensor *x, cg_tensor *W, int steps) {
  cg_tensor *h = x;
  for (int t = 0; t < steps; t++)
    h = cg_tanh(tape, cg_addmm(tape, h, x, W, false, true));
  return cg_sum_all(tape, cg_reshape(tape, h, CG_DIMS(15)));
}

typedef struct net {
  cg_tensor *x, *W;
} net;

static net make_net(void) {
  net n = {leaf_of(NULL, CG_DIMS(5, 3)), leaf_of(NULL, CG_DIMS(3, 3))};
  cg_leaf_fill(n.x, 0.217);
  cg_leaf_fill(n.W, -0.385);
  cg_leaf_set_requires_grad(n.x, false);
  return n;
}

static void free_net(net *n) {
  cg_leaf_free(n->x);
  cg_leaf_free(n->W);
}

/* ---- counting ---- */

START_TEST(exact_counts) {
  net n = make_net();
  forward(n.x, n.W, 1); /* before: not counted */
  ck_assert_int_eq(cg_profile_begin(tape), CG_OK);
  cg_tensor *loss = forward(n.x, n.W, 4);
  counts("addmm", 4, 4 * 15 * 8, 0, 0);
  counts("tanh", 4, 4 * 15 * 8, 0, 0);
  counts("reshape", 1, 0, 0, 0); /* a view */
  counts("sum", 1, 8, 0, 0);
  ck_assert_int_eq(n_rows(), 4);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  /* Each rule of tanh makes one tensor; the products of addmm are added to the
   * gradient of W in place, and gy is handed on. */
  counts("tanh", 4, 4 * 15 * 8, 4, 4 * 15 * 8);
  counts("addmm", 4, 4 * 15 * 8, 4, 0);
  counts("reshape", 1, 0, 1, 0);
  counts("sum", 1, 8, 1, 0);
  ck_assert_int_eq(n_rows(), 4); /* none for tanh_grad */
  ck_assert_int_eq(cg_profile_end(tape), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK); /* after: not counted */
  counts("addmm", 4, 4 * 15 * 8, 4, 0);
  free_net(&n);
}
END_TEST

START_TEST(recorded_walk) {
  net n = make_net();
  cg_tensor *loss = forward(n.x, n.W, 1), *grad;
  cg_profile_begin(tape);
  ck_assert_int_eq(
      cg_grad(tape, &loss, 1, NULL, &n.W, 1, &grad, CG_CREATE_GRAPH), CG_OK);
  counts("tanh", 0, 0, 1, 15 * 8);
  counts("addmm", 0, 0, 1, 9 * 8);
  ck_assert_ptr_null(row("tanh_grad"));
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, grad)), CG_OK);
  ck_assert_uint_eq(row("tanh_grad")->backward.calls, 1);
  ck_assert_uint_eq(row("tanh_grad")->forward.calls, 0);
  ck_assert_uint_eq(row("tanh")->backward.calls, 2);
  ck_assert_uint_eq(row("sum")->forward.calls, 1);
  cg_profile_end(tape);
  free_net(&n);
}
END_TEST

START_TEST(through_rewinds) {
  net n = make_net();
  cg_profile_begin(tape);
  for (int k = 0; k < 3; k++) {
    cg_mark mark = cg_tape_mark(tape);
    cg_backward(tape, forward(n.x, n.W, 2));
    cg_tape_rewind(tape, mark);
  }
  cg_tape_reset(tape);
  cg_tape_set_recording(tape, false);
  forward(n.x, n.W, 1);
  counts("tanh", 7, 7 * 15 * 8, 6, 6 * 15 * 8);
  ck_assert_int_eq(cg_profile_begin(tape), CG_OK); /* from zero */
  ck_assert_int_eq(n_rows(), 0);
  forward(n.x, n.W, 1);
  counts("tanh", 1, 15 * 8, 0, 0);
  free_net(&n);
}
END_TEST

START_TEST(failed_ops_are_not_counted) {
  net n = make_net();
  cg_profile_begin(tape);
  ck_assert_ptr_null(cg_matmul(tape, n.x, n.x));
  ck_assert_int_eq(n_rows(), 0);
  failed(tape, CG_ERR_SHAPE, "matmul", "[5, 3]");
  free_net(&n);
}
END_TEST

START_TEST(sorted_by_time) {
  cg_tensor *large = cg_full(tape, CG_F64, CG_DIMS(300000), 0.385);
  cg_profile_begin(tape);
  cg_neg(tape, cg_scalar(tape, CG_F64, 0.5));
  cg_tanh(tape, large);
  cg_square(tape, cg_scalar(tape, CG_F64, 0.5));
  cg_profile_end(tape);
  int n;
  const cg_profile_row *rows = cg_profile_rows(tape, &n);
  ck_assert_int_eq(n, 3);
  ck_assert_str_eq(rows[0].name, "tanh");
  for (int i = 1; i < n; i++)
    ck_assert_uint_ge(rows[i - 1].forward.nanoseconds,
                      rows[i].forward.nanoseconds);
}
END_TEST

/* ---- ops of a user: many, of one name, of a long name ---- */

static cg_status same_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return CG_OK;
}

static cg_status same_forward(const cg_call *call, cg_tensor *out) {
  return cg_tensor_read(call->in[0], cg_out_data(out), sizeof(double));
}

static void apply(const char *name) {
  cg_op op = {.name = name, .max_in = 1, .infer = same_infer,
              .forward = same_forward};
  cg_tensor *x = cg_scalar(tape, CG_F64, 2.385);
  ck_assert_ptr_nonnull(cg_record(tape, &op, &x, 1, NULL));
}

START_TEST(many_ops) {
  char name[64];
  cg_profile_begin(tape);
  for (int k = 0; k < 400; k++) {
    snprintf(name, sizeof name, "op_%d", k % 200);
    apply(name);
  }
  ck_assert_int_eq(n_rows(), 200);
  counts("op_0", 2, 16, 0, 0);
  counts("op_199", 2, 16, 0, 0);
  memset(name, 'n', 63);
  name[63] = '\0';
  apply(name);
  apply(name);
  name[31] = '\0';
  counts(name, 2, 16, 0, 0);
}
END_TEST

START_TEST(without_memory) {
  for (size_t n = 1; n < 12; n++) {
    counter c;
    counter_init(&c);
    cg_tape *t = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_tensor *x = cg_scalar(t, CG_F64, 2.385), *y = x;
    c.fail_at = c.calls + n;
    cg_status status = cg_profile_begin(t);
    char name[64];
    cg_op op = {.name = name, .max_in = 1, .infer = same_infer,
                .forward = same_forward};
    for (int k = 0; k < 150; k++) {
      snprintf(name, sizeof name, "op_%d", k);
      y = cg_record(t, &op, &x, 1, NULL);
    }
    bool failed_once = c.calls >= c.fail_at;
    ck_assert_int_eq(cg_tape_status(t), failed_once ? CG_ERR_NOMEM : CG_OK);
    ck_assert(failed_once == !y);
    if (n <= 3) ck_assert_int_eq(status, CG_ERR_NOMEM);
    cg_tape_free(t);
    ck_assert_uint_eq(c.live_blocks, 0);
    ck_assert_uint_eq(c.live_bytes, 0);
  }
}
END_TEST

START_TEST(states) {
  ck_assert_int_eq(cg_profile_begin(NULL), CG_ERR_ARG);
  ck_assert_int_eq(cg_profile_end(NULL), CG_ERR_ARG);
  ck_assert_int_eq(cg_profile_end(tape), CG_ERR_STATE);
  ck_assert_ptr_null(cg_profile_rows(NULL, NULL));
  int n = 7;
  ck_assert_ptr_null(cg_profile_rows(tape, &n));
  ck_assert_int_eq(n, 0);
  ck_assert_int_eq(cg_profile_begin(tape), CG_OK);
  ck_assert_ptr_null(cg_profile_rows(tape, &n));
  ck_assert_int_eq(cg_profile_end(tape), CG_OK);
  ck_assert_int_eq(cg_profile_end(tape), CG_ERR_STATE);
  ck_assert_ptr_null(cg_add(tape, NULL, NULL));
  ck_assert_int_eq(cg_profile_begin(tape), CG_ERR_ARG);
}
END_TEST

/* ---- files ---- */

static FILE *written(cg_profile_format format) {
  char path[] = "/tmp/test_profile.XXXXXX";
  int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  close(fd);
  cg_error err = {0};
  ck_assert_msg(!cg_profile_write(tape, path, format, &err), "%s", err.message);
  FILE *in = fopen(path, "r");
  ck_assert_ptr_nonnull(in);
  unlink(path);
  return in;
}

static void profile_something(void) {
  net n = make_net();
  cg_profile_begin(tape);
  cg_backward(tape, forward(n.x, n.W, 3));
  apply("tab\there");
  cg_profile_end(tape);
  free_net(&n);
}

START_TEST(tsv) {
  profile_something();
  FILE *in = written(CG_PROFILE_TSV);
  char line[512], name[64];
  ck_assert_ptr_nonnull(fgets(line, sizeof line, in));
  ck_assert_str_eq(line, "op\tforward_calls\tforward_ns\tforward_bytes\t"
                         "backward_calls\tbackward_ns\tbackward_bytes\n");
  int n;
  const cg_profile_row *rows = cg_profile_rows(tape, &n);
  ck_assert_int_eq(n, 5);
  for (int i = 0; i < n; i++) {
    const cg_profile_part *f = &rows[i].forward, *b = &rows[i].backward;
    uint64_t v[6];
    ck_assert_ptr_nonnull(fgets(line, sizeof line, in));
    ck_assert_int_eq(sscanf(line,
                            "%63s\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64
                            "\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\n",
                            name, v, v + 1, v + 2, v + 3, v + 4, v + 5),
                     7);
    ck_assert(!strcmp(name, rows[i].name) || !strcmp(name, "tab?here"));
    ck_assert(v[0] == f->calls && v[1] == f->nanoseconds && v[2] == f->bytes);
    ck_assert(v[3] == b->calls && v[4] == b->nanoseconds && v[5] == b->bytes);
  }
  ck_assert_ptr_null(fgets(line, sizeof line, in));
  fclose(in);
}
END_TEST

START_TEST(table) {
  profile_something();
  FILE *in = written(CG_PROFILE_TABLE);
  char line[512], name[64];
  size_t width = 0;
  int lines = 0;
  double ms[2], share = 0, sum = 0;
  uint64_t calls = 0;
  while (fgets(line, sizeof line, in)) {
    if (!width) width = strlen(line);
    ck_assert_uint_eq(strlen(line), width);
    if (lines++ == 0) continue;
    sum += share;
    ck_assert_int_eq(sscanf(line, "%63s %" SCNu64 " %lf %*u %*u %lf %*u %lf %%",
                            name, &calls, &ms[0], &ms[1], &share),
                     5);
  }
  fclose(in);
  ck_assert_int_eq(lines, 1 + 5 + 1);
  ck_assert_str_eq(name, "total");
  ck_assert_uint_eq(calls, 3 + 3 + 1 + 1 + 1);
  ck_assert(share == 100 && fabs(sum - 100) < 0.5);
}
END_TEST

START_TEST(files_that_cannot_be) {
  cg_error err = {0};
  ck_assert_int_eq(cg_profile_write(NULL, "x", CG_PROFILE_TSV, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(cg_profile_write(tape, NULL, CG_PROFILE_TSV, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(cg_profile_write(tape, "x", (cg_profile_format)7, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(
      cg_profile_write(tape, "/none/there", CG_PROFILE_TSV, &err), CG_ERR_IO);
  ck_assert_str_eq(err.op, "profile_write");
  FILE *in = written(CG_PROFILE_TABLE); /* without rows */
  char line[512];
  ck_assert_ptr_nonnull(fgets(line, sizeof line, in));
  ck_assert_ptr_nonnull(fgets(line, sizeof line, in));
  ck_assert_ptr_null(fgets(line, sizeof line, in));
  fclose(in);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("profile");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, exact_counts);
  tcase_add_test(tc, recorded_walk);
  tcase_add_test(tc, through_rewinds);
  tcase_add_test(tc, failed_ops_are_not_counted);
  tcase_add_test(tc, sorted_by_time);
  tcase_add_test(tc, many_ops);
  tcase_add_test(tc, without_memory);
  tcase_add_test(tc, states);
  tcase_add_test(tc, tsv);
  tcase_add_test(tc, table);
  tcase_add_test(tc, files_that_cannot_be);
  return run_case("profile", tc);
}
