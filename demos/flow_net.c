/* flow_net.c - a net whose recurrent matrix has a given spectral radius. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "gradient_flow.h"

enum { D = 4, K = 3 };

void flow_multiply(double *C, const double *A, const double *B, int64_t H) {
  memset(C, 0, (size_t)(H * H) * sizeof *C);
  for (int64_t i = 0; i < H; i++)
    for (int64_t k = 0; k < H; k++)
      for (int64_t j = 0; j < H; j++)
        C[i * H + j] += A[i * H + k] * B[k * H + j];
}

static void transpose(double *T, const double *A, int64_t H) {
  for (int64_t i = 0; i < H; i++)
    for (int64_t j = 0; j < H; j++) T[i * H + j] = A[j * H + i];
}

void flow_power(const flow_net *n, int64_t gap, double *out, double *room) {
  const int64_t H = n->p.H, HH = H * H;
  double *power = room, *next = room + HH;
  memset(power, 0, (size_t)HH * sizeof *power);
  for (int64_t i = 0; i < H; i++) power[i * H + i] = 1;
  for (int64_t g = 0; g < gap; g++) {
    flow_multiply(next, n->S, power, H);
    memcpy(power, next, (size_t)HH * sizeof *power);
  }
  flow_multiply(next, n->Q, power, H); /* Q S^gap */
  transpose(power, n->Q, H);
  flow_multiply(out, next, power, H);
}

/* Magnitudes as of eigenvalues spread evenly over a disc; the first is its
 * radius. An odd H leaves one real eigenvalue. */
static void fill_S(double *S, int64_t H, double radius, cg_rng *rng) {
  for (int64_t i = 0; i < H; i++)
    for (int64_t j = i + 1; j < H; j++)
      S[i * H + j] = 0.6 * radius / sqrt((double)H) * cg_rng_normal(rng);
  for (int64_t i = 0; i < H; i += 2) {
    double r = radius * sqrt(cg_rng_uniform(rng));
    double turn = M_PI * cg_rng_uniform(rng);
    if (i == 0) r = radius;
    S[i * H + i] = i + 1 < H ? r * cos(turn) : r;
    if (i + 1 == H) break;
    S[i * H + i + 1] = -r * sin(turn);
    S[(i + 1) * H + i] = r * sin(turn);
    S[(i + 1) * H + i + 1] = r * cos(turn);
  }
}

static bool fill_Q(double *Q, int64_t H, cg_rng *rng) {
  cg_error err = {0};
  cg_tensor *leaf = cg_leaf_new(NULL, CG_F64, CG_DIMS(H, H), &err);
  bool ok = leaf && !cg_init_orthogonal(leaf, rng, 1, NULL, &err) &&
            !cg_tensor_read(leaf, Q, (size_t)(H * H) * sizeof *Q);
  cg_leaf_free(leaf);
  return ok || cli_fail("%s", err.message);
}

static double *cut(double **next, int64_t n) {
  double *start = *next;
  *next += n;
  return start;
}

bool flow_net_make(flow_net *n, const flow_options *o, double radius,
                   cg_activation phi) {
  const int64_t H = o->hidden, T = o->steps;
  *n = (flow_net){.p = {.T = T, .B = 1, .D = D, .H = H, .K = K, .phi = phi}};
  int64_t total = 4 * H * H + T * D + 2 * H + H * D + K * H + K;
  n->block = calloc((size_t)total, sizeof *n->block);
  n->y = calloc((size_t)T, sizeof *n->y);
  if (!n->block || !n->y) return cli_fail("out of memory for the net");
  double *next = n->block;
  n->Q = cut(&next, H * H);
  n->S = cut(&next, H * H);
  double *W_hh = cut(&next, H * H), *room = cut(&next, H * H);
  double *x = cut(&next, T * D), *h0 = cut(&next, H), *b_h = cut(&next, H);
  double *W_xh = cut(&next, H * D), *W_hy = cut(&next, K * H);
  cg_rng rng = cg_rng_seed(o->seed);
  for (int64_t i = 0; i < T * D; i++) x[i] = cg_rng_normal(&rng);
  for (int64_t i = 0; i < H * D; i++) W_xh[i] = 0.1 * cg_rng_normal(&rng);
  for (int64_t i = 0; i < K * H; i++)
    W_hy[i] = cg_rng_normal(&rng) / sqrt((double)H);
  for (int64_t t = 0; t < T; t++) n->y[t] = cg_rng_below(&rng, K);
  if (!fill_Q(n->Q, H, &rng)) return false;
  fill_S(n->S, H, radius, &rng);
  flow_multiply(room, n->Q, n->S, H);
  for (int64_t i = 0; i < H; i++) /* (Q S) Q^T */
    for (int64_t j = 0; j < H; j++)
      for (int64_t k = 0; k < H; k++)
        W_hh[i * H + j] += room[i * H + k] * n->Q[j * H + k];
  n->p.x = x;
  n->p.y = n->y;
  n->p.h0 = h0;
  n->p.b_h = b_h;
  n->p.b_y = next;
  n->p.W_xh = W_xh;
  n->p.W_hh = W_hh;
  n->p.W_hy = W_hy;
  return true;
}

void flow_net_free(flow_net *n) {
  free(n->block);
  free(n->y);
  *n = (flow_net){0};
}
