/* bptt_trace.h - an error signal on its way back along one path. Private to
 * nn.
 *
 *   g(t, t) = W_hy^T delta_o_t            dL_t / dh_t
 *   v(t, k) = phi'(z_k) * g(t, k)         dL_t / dz_k
 *   g(t, k-1) = W_hh^T v(t, k)
 */
#ifndef CHRONOGRAD_BPTT_TRACE_H
#define CHRONOGRAD_BPTT_TRACE_H

#include <chronograd/bptt_paths.h>

#include "bptt_common.h"

/* g [B, H] = g(t, t). */
void cg_bptt_trace_begin(const cg_bptt_problem *p, const cg_bptt_result *r,
                         int64_t t, double *g);
/* v [B, H] = v(t, k) from g = g(t, k). */
void cg_bptt_trace_through(const cg_bptt_problem *p, const cg_bptt_result *r,
                           int64_t k, const double *g, double *v);
/* g = g(t, k-1) from v = v(t, k). */
void cg_bptt_trace_back(const cg_bptt_problem *p, const double *v, double *g);

/* The sizes of a parameter: [rows, columns], a vector having one column. */
int64_t cg_bptt_target_columns(const cg_bptt_problem *p, cg_bptt_target target);
/* C += the contribution of v = v(t, k) at step k. */
void cg_bptt_target_add(const cg_bptt_problem *p, const cg_bptt_result *r,
                        cg_bptt_target target, int64_t k, const double *v,
                        double *C);

#endif
