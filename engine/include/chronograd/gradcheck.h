/* gradcheck.h - derivatives against central differences.
 *
 * For a function y = f(x_1, ..., x_n) of float64 leaves, a random covector u
 * (seeded) makes the scalar <u, y>. Its gradient by cg_grad is compared, with
 * sign, to the central difference (f(x + eps) - f(x - eps)) / (2 eps), element
 * by element.
 */
#ifndef CHRONOGRAD_GRADCHECK_H
#define CHRONOGRAD_GRADCHECK_H

#include <chronograd/op.h>
#include <chronograd/rng.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The function under check: builds its result from leaves, on `tape`. It must
 * compute the same thing each time it is called. */
typedef cg_tensor *(*cg_function)(cg_tape *tape, cg_tensor *const *in, int n_in,
                                  void *context);

/* How to check; all zero is a fine beginning. */
typedef struct cg_gradcheck_options {
  double eps;       /* step; 0: 1e-6 * max(1, |x|) */
  double tolerance; /* largest error that passes; 0: 1e-6 */
  uint64_t seed;    /* of the covector */
} cg_gradcheck_options;

/* The outcome. For each operand j that requires a gradient the error is
 * |a - d| / max(1, |a|, |d|) element by element; the worst element is
 * reported. */
typedef struct cg_gradcheck_report {
  bool passed;       /* no error above the tolerance */
  double worst;      /* the largest error */
  int input;         /* where: operand (-1 if nothing was compared), */
  int64_t index;     /* and row-major element */
  double analytic;   /* the gradient there */
  double difference; /* the difference quotient there */
  double relative;   /* |A - D|_2 / max(|A|_2, |D|_2) over all elements */
  int64_t compared;  /* number of elements compared */
} cg_gradcheck_report;

/* Checks the gradient of f. Leaves in `in` that require a gradient must be F64;
 * their data is changed and restored, their gradients are not touched. Returns
 * CG_OK if the comparison could be made (report->passed tells how it ended); if
 * no leaf requires a gradient there is nothing to check, which is an error.
 * The tape is left as it was, but for an error of f, which stays on it.
 * `options` may be NULL. */
CG_API cg_status cg_gradcheck(cg_tape *tape, cg_function f,
                              cg_tensor *const *in, int n_in, void *context,
                              const cg_gradcheck_options *options,
                              cg_gradcheck_report *report);

/* Checks the second order: the gradient of <v, grad <u, f(x)>> for random v,
 * obtained by recording the backward walk and walking back over it, against
 * central differences of the first-order gradient. u is a variable like the
 * leaves and is reported as operand n_in. Errors as above; tolerance 0: 1e-5.
 */
CG_API cg_status cg_gradgradcheck(cg_tape *tape, cg_function f,
                                  cg_tensor *const *in, int n_in, void *context,
                                  const cg_gradcheck_options *options,
                                  cg_gradcheck_report *report);

/* Makes leaves for a case of an op: see cg_op_case. Float operands become F64
 * leaves that require a gradient, with values in the op's domain drawn from
 * `rng`. Writes up to `max` leaves, which the caller frees, to `in` and returns
 * their number, or -1 on an error. */
CG_API int cg_op_case_leaves(const cg_op *op, const cg_op_case *c,
                             cg_rng *rng, cg_tensor **in, int max,
                             cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
