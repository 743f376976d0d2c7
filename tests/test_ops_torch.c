/* test_ops_torch.c - values and gradients of ops against figures that PyTorch
 * computed in float64 (golden/make_ops*.py). The files say what is checked:
 * each array "CASE.y" is a case, with operands "CASE.x0", ..., the output
 * gradient "CASE.gy" and gradients "CASE.gx0", ...; the tables of ops_torch_*.c
 * say how a case is called. */
#include <stdio.h>

#include <chronograd/nn.h>

#include "engine_test.h"
#include "ops_torch.h"

#define TOLERANCE 1e-12

static const torch_file *const files[] = {&torch_elementwise, &torch_other};

/* ---- a case ---- */

typedef struct torch_case {
  const cg_safetensors *file;
  char name[64];
  int n;                       /* operands */
  cg_tensor *x[TORCH_MAX_IN];  /* leaves */
  bool wanted[TORCH_MAX_IN];   /* has a gradient in the file */
} torch_case;

/* The array "CASE.part" or "CASE.part<k>" (k >= 0); NULL if there is none. */
static const cg_array *part(const torch_case *c, const char *what, int k) {
  char name[80];
  if (k < 0)
    snprintf(name, sizeof name, "%s.%s", c->name, what);
  else
    snprintf(name, sizeof name, "%s.%s%d", c->name, what, k);
  return cg_safetensors_find(c->file, name);
}

static size_t bytes_of(const cg_array *a) {
  size_t n = cg_dtype_size(a->dtype);
  for (int i = 0; i < a->rank; i++) n *= (size_t)a->shape[i];
  return n;
}

static void open_case(torch_case *c) {
  const cg_array *a;
  for (c->n = 0; c->n < TORCH_MAX_IN && (a = part(c, "x", c->n)); c->n++) {
    cg_tensor *x = cg_leaf_new(NULL, a->dtype, a->rank, a->shape, NULL);
    ck_assert_ptr_nonnull(x);
    if (bytes_of(a))
      ck_assert_int_eq(cg_leaf_write(x, a->data, bytes_of(a)), CG_OK);
    c->wanted[c->n] = part(c, "gx", c->n) != NULL;
    if (c->wanted[c->n])
      ck_assert_int_eq(cg_leaf_set_requires_grad(x, true), CG_OK);
    c->x[c->n] = x;
  }
  ck_assert_msg(c->n > 0, "%s has no operands", c->name);
}

static void close_case(torch_case *c) {
  for (int k = 0; k < c->n; k++) cg_leaf_free(c->x[k]);
}

/* ---- comparison ---- */

static double element(const cg_array *a, int64_t i) {
  switch (a->dtype) {
    case CG_F64: return ((const double *)a->data)[i];
    case CG_F32: return (double)((const float *)a->data)[i];
    case CG_I64: return (double)((const int64_t *)a->data)[i];
    default: return ((const uint8_t *)a->data)[i];
  }
}

static void check_form(const torch_case *c, const char *what,
                       const cg_tensor *got, const cg_array *want) {
  char text[80];
  ck_assert_msg(got != NULL, "%s has no %s", c->name, what);
  bool same = cg_tensor_rank(got) == want->rank;
  for (int i = 0; same && i < want->rank; i++)
    same = cg_tensor_dim(got, i) == want->shape[i];
  ck_assert_msg(same, "%s: %s has shape %s, not PyTorch's", c->name, what,
                cg_tensor_shape_text(got, text, sizeof text));
  ck_assert_msg(cg_tensor_dtype(got) == want->dtype, "%s: %s is %s, not %s",
                c->name, what, cg_dtype_name(cg_tensor_dtype(got)),
                cg_dtype_name(want->dtype));
}

/* Relative, element by element; elements a thousand times smaller than the
 * largest are what is left of a cancellation, and compared on that scale. */
static void check_array(const torch_case *c, const char *what,
                        const cg_tensor *got, const cg_array *want) {
  check_form(c, what, got, want);
  int64_t n = cg_tensor_numel(got);
  double largest = 0;
  for (int64_t i = 0; i < n; i++) {
    double w = fabs(element(want, i));
    if (isfinite(w)) largest = fmax(largest, w);
  }
  for (int64_t i = 0; i < n; i++) {
    double g = cg_tensor_get(got, i), w = element(want, i);
    double scale = fmax(fabs(w), 1e-3 * largest);
    bool fits = isfinite(w) ? fabs(g - w) <= TOLERANCE * scale
                            : g == w || (isnan(g) && isnan(w));
    ck_assert_msg(fits, "%s: %s[%lld] is %.17g, PyTorch has %.17g", c->name,
                  what, (long long)i, g, w);
  }
}

/* ---- one case ---- */

static void check_gradients(cg_tape *tape, const torch_case *c, cg_tensor *y,
                            const cg_array *gy) {
  cg_tensor *in[TORCH_MAX_IN], *grad[TORCH_MAX_IN];
  int n = 0, number[TORCH_MAX_IN];
  for (int k = 0; k < c->n; k++)
    if (c->wanted[k]) {
      number[n] = k;
      in[n++] = c->x[k];
    }
  ck_assert_msg(n > 0, "%s.gy without a gradient", c->name);
  cg_tensor *seed = cg_input(tape, gy->dtype, gy->rank, gy->shape, gy->data);
  cg_status status = cg_grad(tape, &y, 1, &seed, in, n, grad, 0);
  ck_assert_msg(status == CG_OK, "%s: %s", c->name,
                cg_tape_error(tape)->message);
  for (int j = 0; j < n; j++) {
    char what[8];
    snprintf(what, sizeof what, "gx%d", number[j]);
    check_array(c, what, grad[j], part(c, "gx", number[j]));
  }
}

static const torch_call *find_call(const torch_file *f, const char *name,
                                   size_t length) {
  for (int i = 0; i < f->n_calls; i++)
    if (strlen(f->calls[i].name) == length &&
        !strncmp(f->calls[i].name, name, length))
      return &f->calls[i];
  return NULL;
}

/* "tanh@far" -> the length of "tanh". */
static size_t op_length(const char *name) { return strcspn(name, "@"); }

static void check_case(const torch_file *f, torch_case *c) {
  const torch_call *call = find_call(f, c->name, strlen(c->name));
  if (!call) call = find_call(f, c->name, op_length(c->name));
  ck_assert_msg(call != NULL, "no table says how to call %s", c->name);
  cg_tape *tape = cg_tape_new(NULL);
  open_case(c);
  cg_tensor *y = call->call(tape, c->x, c->n);
  ck_assert_msg(y != NULL, "%s: %s", c->name, cg_tape_error(tape)->message);
  check_array(c, "y", y, part(c, "y", -1));
  const cg_array *gy = part(c, "gy", -1);
  if (gy) check_gradients(tape, c, y, gy);
  cg_tape_free(tape);
  close_case(c);
}

/* ---- the files ---- */

static cg_safetensors *open_file(const torch_file *f) {
  char path[1024];
  cg_error err = {0};
  snprintf(path, sizeof path, CG_TEST_DATA "/%s.safetensors", f->file);
  cg_safetensors *file = cg_safetensors_open(NULL, path, &err);
  ck_assert_msg(file != NULL, "%s", err.message);
  return file;
}

/* If array i is the result of a case, starts that case. */
static bool is_case(const cg_safetensors *file, int i, torch_case *c) {
  const char *name = cg_safetensors_at(file, i)->name;
  size_t n = strlen(name);
  if (n < 3 || strcmp(name + n - 2, ".y") != 0) return false;
  ck_assert_uint_lt(n - 2, sizeof c->name);
  *c = (torch_case){.file = file};
  memcpy(c->name, name, n - 2);
  return true;
}

START_TEST(figures_of_a_file) {
  cg_safetensors *file = open_file(files[_i]);
  int cases = 0;
  for (int i = 0; i < cg_safetensors_count(file); i++) {
    torch_case c;
    if (!is_case(file, i, &c)) continue;
    check_case(files[_i], &c);
    cases++;
  }
  ck_assert_int_gt(cases, 0);
  cg_safetensors_close(file);
}
END_TEST

/* A call that no file has a case for checks nothing. */
START_TEST(calls_are_used) {
  const torch_file *f = files[_i];
  cg_safetensors *file = open_file(f);
  for (int k = 0; k < f->n_calls; k++) {
    bool used = false;
    for (int i = 0; !used && i < cg_safetensors_count(file); i++) {
      torch_case c;
      if (!is_case(file, i, &c)) continue;
      bool exact = find_call(f, c.name, strlen(c.name)) != NULL;
      size_t n = exact ? strlen(c.name) : op_length(c.name);
      used = find_call(f, c.name, n) == &f->calls[k];
    }
    ck_assert_msg(used, "%s has no figures", f->calls[k].name);
  }
  cg_safetensors_close(file);
}
END_TEST

/* Does a file have a case of this op? */
static bool has_figures(cg_safetensors *const *open, const char *op) {
  for (int f = 0; f < N_OF(files); f++)
    for (int i = 0; i < cg_safetensors_count(open[f]); i++) {
      torch_case c;
      if (is_case(open[f], i, &c) && strlen(op) == op_length(c.name) &&
          !strncmp(op, c.name, strlen(op)))
        return true;
    }
  return false;
}

/* Says how many ops have figures, and which have none. */
START_TEST(all_are_counted) {
  cg_safetensors *open[N_OF(files)];
  int n = cg_op_count(), with = 0;
  for (int f = 0; f < N_OF(files); f++) open[f] = open_file(files[f]);
  for (int i = 0; i < n; i++) {
    if (has_figures(open, cg_op_at(i)->name))
      with++;
    else
      printf("without PyTorch figures: %s\n", cg_op_at(i)->name);
  }
  printf("ops: %d, with PyTorch figures: %d\n", n, with);
  fflush(stdout);
  for (int f = 0; f < N_OF(files); f++) cg_safetensors_close(open[f]);
}
END_TEST

/* Without a JSON reader there are no files to test with. */
static bool can_read(void) {
  cg_error err = {0};
  cg_safetensors_close(cg_safetensors_parse(NULL, "", 0, &err));
  return err.status != CG_ERR_STATE;
}

int main(void) {
  TCase *tc = tcase_create("all");
  if (!can_read()) {
    puts("no JSON reader: the figures of PyTorch are left out");
    return 77; /* Meson: skipped */
  }
  tcase_set_timeout(tc, 100);
  tcase_add_loop_test(tc, figures_of_a_file, 0, N_OF(files));
  tcase_add_loop_test(tc, calls_are_used, 0, N_OF(files));
  tcase_add_test(tc, all_are_counted);
  return run_case("ops_torch", tc);
}
