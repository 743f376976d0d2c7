/* bptt_activation.c - the activations phi of the manual BPTT, by hand. */
#include "bptt_common.h"

#include <math.h>
#include <string.h>

static double tanh_prime(double h) {
  return 1.0 - h * h;
}

/* Not `z > 0 ? z : 0`: that would turn a NaN into a harmless zero. */
static double relu(double z) {
  return z <= 0.0 ? 0.0 : z;
}

/* h > 0 exactly where z > 0. */
static double relu_prime(double h) {
  return h > 0.0 ? 1.0 : 0.0;
}

/* For a very negative z, exp(-z) is infinite and the quotient 0, as it should
 * be: no second branch is needed. */
static double sigmoid(double z) {
  return 1.0 / (1.0 + exp(-z));
}

static double sigmoid_prime(double h) {
  return h * (1.0 - h);
}

static double identity(double z) {
  return z;
}

static double identity_prime(double h) {
  (void)h;
  return 1.0;
}

static const cg_bptt_phi activations[CG_ACT_COUNT] = {
    [CG_ACT_TANH] = {"tanh", tanh, tanh_prime},
    [CG_ACT_RELU] = {"relu", relu, relu_prime},
    [CG_ACT_SIGMOID] = {"sigmoid", sigmoid, sigmoid_prime},
    [CG_ACT_IDENTITY] = {"identity", identity, identity_prime},
};

const cg_bptt_phi *cg_bptt_phi_of(cg_activation phi) {
  /* Through int: whether an enum is signed is the compiler's choice. */
  int i = (int)phi;
  return i >= 0 && i < CG_ACT_COUNT ? &activations[i] : NULL;
}

double cg_activation_prime(cg_activation phi, double h) {
  const cg_bptt_phi *found = cg_bptt_phi_of(phi);
  return found ? found->phi_prime(h) : NAN;
}

const char *cg_activation_name(cg_activation phi) {
  const cg_bptt_phi *found = cg_bptt_phi_of(phi);
  return found ? found->name : "?";
}

bool cg_activation_parse(const char *name, cg_activation *phi) {
  if (!name || !phi)
    return false;
  for (int i = 0; i < CG_ACT_COUNT; i++) {
    if (strcmp(name, activations[i].name) == 0) {
      *phi = (cg_activation)i;
      return true;
    }
  }
  return false;
}
