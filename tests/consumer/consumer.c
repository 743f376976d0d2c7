/* consumer.c - what a project that uses the installed library compiles: C11
 * without extensions, and C++17. Computes d tanh(w x) / dw at w = 0.5, x = 2.
 * Exits with 0 if the derivative is right. */
#include <chronograd/engine.h>
#include <chronograd/nn.h>

#include <math.h>
#include <stdio.h>

int main(void) {
  cg_error err;
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *w = cg_leaf_new(NULL, CG_F64, 0, NULL, &err);
  cg_params *model = cg_params_new(NULL, CG_F32, &err);
  if (!tape || !w || !model) return 2;
  cg_leaf_set_requires_grad(w, true);
  cg_leaf_fill(w, 0.5);
  cg_tensor *x = cg_scalar(tape, CG_F64, 2.0);
  cg_tensor *y = cg_tanh(tape, cg_mul(tape, w, x));
  if (cg_backward(tape, y) != CG_OK) {
    puts(cg_tape_error(tape)->message);
    return 2;
  }
  double got = cg_tensor_item(cg_tensor_grad(w));
  double want = 2 * (1 - tanh(1.0) * tanh(1.0));
  printf("dy/dw = %.15g, expected %.15g\n", got, want);
  cg_params_free(model);
  cg_tape_free(tape);
  cg_leaf_free(w);
  return fabs(got - want) < 1e-14 ? 0 : 1;
}
