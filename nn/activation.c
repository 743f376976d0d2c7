/* activation.c - phi as ops on the tape. */
#include <chronograd/activation.h>

cg_tensor *cg_activate(cg_tape *tape, cg_activation phi, cg_tensor *z) {
  switch (phi) {
    case CG_ACT_TANH: return cg_tanh(tape, z);
    case CG_ACT_RELU: return cg_relu(tape, z);
    case CG_ACT_SIGMOID: return cg_sigmoid(tape, z);
    case CG_ACT_IDENTITY: return z;
    case CG_ACT_COUNT: break;
  }
  return cg_tape_fail(tape, CG_ERR_ARG, "activate",
                      "%d is no activation", (int)phi);
}
