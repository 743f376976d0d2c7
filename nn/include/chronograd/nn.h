/* nn.h - recurrent nets on the engine. A tour: the smallest net that trains. It
 * learns to say which of three symbols it saw two steps ago.
 *
 *     #include <chronograd/nn.h>
 *     #include <stdio.h>
 *
 *     enum { T = 12, B = 16, K = 3, H = 24, DELAY = 2 };
 *
 *     int main(void) {
 *       cg_rng rng = cg_rng_seed(7);
 *       cg_error err = {0};
 *       cg_params *model = cg_params_new(NULL, CG_F32, &err);
 *       cg_rnn *rnn = cg_rnn_new(
 *           model, "rnn", &(cg_rnn_config){.input_size = K, .hidden_size = H},
 *           &rng, &err);
 *       cg_linear_layer *fc = cg_linear_layer_new(
 *           model, "fc",
 *           &(cg_linear_config){.in_features = H, .out_features = K}, &rng,
 *           &err);
 *       cg_optimizer *adam =
 *           cg_adam_new(model, &(cg_adam_config){.lr = 0.01}, &err);
 *       cg_tape *tape = cg_tape_new(NULL);
 *
 *       for (int step = 0; step <= 200 && rnn && fc && adam && tape; step++) {
 *         int64_t seen[T][B], wanted[T][B];
 *         for (int t = 0; t < T; t++)
 *           for (int b = 0; b < B; b++) {
 *             seen[t][b] = cg_rng_below(&rng, K);
 *             wanted[t][b] = t < DELAY ? 0 : seen[t - DELAY][b];
 *           }
 *         cg_tape_reset(tape);
 *         cg_tensor *x = cg_one_hot(
 *             tape, cg_input(tape, CG_I64, CG_DIMS(T, B), seen), K, CG_F32);
 *         cg_tensor *h = cg_rnn_forward(tape, rnn, x, NULL).h;
 *         cg_tensor *loss = cg_cross_entropy_loss(
 *             tape, cg_linear_layer_forward(tape, fc, h),
 *             cg_input(tape, CG_I64, CG_DIMS(T, B), wanted), CG_REDUCE_MEAN,
 *             CG_REDUCE_MEAN);
 *         cg_params_zero_grad(model);
 *         if (cg_backward(tape, loss)) break;
 *         if (step % 50 == 0) printf("%d %g\n", step, cg_tensor_item(loss));
 *         if (cg_clip_grad_norm(model, 1.0, NULL, &err)) break;
 *         if (cg_optimizer_step(adam, &err)) break;
 *       }
 *       if (err.status) puts(err.message);
 *       if (cg_tape_status(tape)) puts(cg_tape_error(tape)->message);
 *       cg_tape_free(tape);
 *       cg_optimizer_free(adam);
 *       cg_params_free(model);
 *     }
 *
 * Reading order: param, init, linear, embedding, cell, rnn, sequence,
 * truncation, loss, clip, optim, schedule, data_parallel; model_io with
 * safetensors, npy, training_state; bptt, the same gradients by hand, and what
 * can be seen in them: bptt_local, bptt_ledger, bptt_paths, bptt_jacobian,
 * bptt_rtrl; rnn_study.
 */
#ifndef CHRONOGRAD_NN_H
#define CHRONOGRAD_NN_H

#include <chronograd/engine.h>

#include <chronograd/param.h>
#include <chronograd/init.h>
#include <chronograd/linear.h>
#include <chronograd/embedding.h>
#include <chronograd/activation.h>
#include <chronograd/cell.h>
#include <chronograd/rnn.h>
#include <chronograd/sequence.h>
#include <chronograd/truncation.h>
#include <chronograd/reduction.h>
#include <chronograd/loss.h>
#include <chronograd/clip.h>
#include <chronograd/data_parallel.h>
#include <chronograd/optim.h>
#include <chronograd/schedule.h>
#include <chronograd/safetensors.h>
#include <chronograd/model_io.h>
#include <chronograd/npy.h>
#include <chronograd/training_state.h>
#include <chronograd/bptt.h>
#include <chronograd/bptt_local.h>
#include <chronograd/bptt_ledger.h>
#include <chronograd/bptt_paths.h>
#include <chronograd/bptt_jacobian.h>
#include <chronograd/bptt_rtrl.h>
#include <chronograd/rnn_study.h>

#endif
