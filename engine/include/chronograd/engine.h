/* engine.h - the whole engine. A tour in one program:
 *
 *     #include <chronograd/engine.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *       cg_tape *tape = cg_tape_new(NULL);
 *       cg_tensor *w = cg_leaf_new(NULL, CG_F64, 0, NULL, NULL);
 *       cg_leaf_set_requires_grad(w, true);
 *       cg_leaf_fill(w, 0.5);
 *       cg_tensor *x = cg_scalar(tape, CG_F64, 2.0);
 *       cg_tensor *y = cg_tanh(tape, cg_mul(tape, w, x));
 *       if (cg_backward(tape, y) != CG_OK)
 *         puts(cg_tape_error(tape)->message);
 *       else
 *         printf("y = %g, dy/dw = %g\n", cg_tensor_item(y),
 *                cg_tensor_item(cg_tensor_grad(w)));
 *       cg_tape_free(tape);
 *       cg_leaf_free(w);
 *     }
 *
 * Reading order: status, mem, rng, tensor, tape, ops, backward, checkpoint,
 * derivative, gradcheck, draw, trace, profile, denormals; and op.h or custom.h
 * to write ops of your own.
 */
#ifndef CHRONOGRAD_ENGINE_H
#define CHRONOGRAD_ENGINE_H

#include <chronograd/status.h>
#include <chronograd/mem.h>
#include <chronograd/denormals.h>
#include <chronograd/rng.h>
#include <chronograd/reduction.h>
#include <chronograd/tensor.h>
#include <chronograd/tape.h>
#include <chronograd/ops.h>
#include <chronograd/op.h>
#include <chronograd/custom.h>
#include <chronograd/backward.h>
#include <chronograd/checkpoint.h>
#include <chronograd/derivative.h>
#include <chronograd/gradcheck.h>
#include <chronograd/draw.h>
#include <chronograd/trace.h>
#include <chronograd/profile.h>

#endif
