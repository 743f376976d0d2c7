/* bptt_common.c - checks the problem of a manual BPTT and holds its memory. */
#include "bptt_common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The longest array of doubles whose ends can still be subtracted. */
#define MAX_DOUBLES ((int64_t)(PTRDIFF_MAX / (ptrdiff_t)sizeof(double)))

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* An array of a * b * c numbers inside the result's block. */
typedef struct part {
  double **start;
  int64_t a, b, c;
} part;

static cg_status check_pointers(const cg_bptt_problem *p, cg_error *err) {
  const struct {
    const char *name;
    const void *pointer;
  } arrays[] = {{"x", p->x},       {"y", p->y},       {"W_xh", p->W_xh},
                {"W_hh", p->W_hh}, {"W_hy", p->W_hy}, {"b_h", p->b_h},
                {"b_y", p->b_y}};
  for (size_t i = 0; i < LENGTH(arrays); i++)
    if (!arrays[i].pointer)
      return cg_error_set(err, CG_ERR_ARG, "bptt",
                          "%s is NULL; only h0 may be left out",
                          arrays[i].name);
  return CG_OK;
}

static cg_status check_sizes(const cg_bptt_problem *p, cg_error *err) {
  const struct {
    const char *name;
    int64_t size;
  } sizes[] = {{"T", p->T}, {"B", p->B}, {"D", p->D}, {"H", p->H}, {"K", p->K}};
  for (size_t i = 0; i < LENGTH(sizes); i++)
    if (sizes[i].size < 1)
      return cg_error_set(err, CG_ERR_ARG, "bptt",
                          "%s is %" PRId64 ", but sizes must be at least 1",
                          sizes[i].name, sizes[i].size);
  return CG_OK;
}

static bool is_reduction(cg_reduction reduction) {
  return reduction == CG_REDUCE_SUM || reduction == CG_REDUCE_MEAN;
}

static cg_status check_choices(const cg_bptt_problem *p, cg_error *err) {
  if (!cg_bptt_phi_of(p->phi))
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "phi is %d, which is no activation", (int)p->phi);
  if (!is_reduction(p->over_steps))
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "over_steps is %d, which is no reduction",
                        (int)p->over_steps);
  if (!is_reduction(p->over_batch))
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "over_batch is %d, which is no reduction",
                        (int)p->over_batch);
  return CG_OK;
}

static cg_status check_targets(const cg_bptt_problem *p, cg_error *err) {
  for (int64_t t = 0; t < p->T; t++)
    for (int64_t b = 0; b < p->B; b++) {
      int64_t y = p->y[t * p->B + b];
      if (y < 0 || y >= p->K)
        return cg_error_set(err, CG_ERR_ARG, "bptt",
                            "y[%" PRId64 ", %" PRId64 "] is %" PRId64
                            ", but with K = %" PRId64
                            " targets lie in 0 .. %" PRId64,
                            t, b, y, p->K, p->K - 1);
    }
  return CG_OK;
}

/* *total += a * b * c, for factors of at least 1; false where that is more
 * than memory can hold. */
static bool add_size(int64_t *total, int64_t a, int64_t b, int64_t c) {
  if (a > MAX_DOUBLES / b || a * b > MAX_DOUBLES / c)
    return false;
  int64_t n = a * b * c;
  if (n > MAX_DOUBLES - *total)
    return false;
  *total += n;
  return true;
}

static cg_status size_error(const cg_bptt_problem *p, cg_error *err) {
  return cg_error_set(err, CG_ERR_ARG, "bptt",
                      "the arrays for T = %" PRId64 ", B = %" PRId64
                      ", D = %" PRId64 ", H = %" PRId64 ", K = %" PRId64
                      " are larger than any memory",
                      p->T, p->B, p->D, p->H, p->K);
}

/* One zeroed block, cut into parts in the order given. */
static cg_status allocate(const cg_bptt_problem *p, const part *parts,
                          size_t count, cg_error *err) {
  int64_t total = 0;
  for (size_t i = 0; i < count; i++)
    if (!add_size(&total, parts[i].a, parts[i].b, parts[i].c))
      return size_error(p, err);
  double *next = calloc((size_t)total, sizeof(double));
  if (!next)
    return cg_error_set(err, CG_ERR_NOMEM, "bptt",
                        "no memory for a result of %" PRId64 " numbers", total);
  for (size_t i = 0; i < count; i++) {
    *parts[i].start = next;
    next += parts[i].a * parts[i].b * parts[i].c;
  }
  return CG_OK;
}

/* o comes first, so that cg_bptt_free finds the block there. h_0 lies just
 * before h_1 and delta_z_{T+1} just after delta_z_T, so that the recursion
 * needs no special case at its ends. */
static cg_status lay_out(const cg_bptt_problem *p, cg_bptt_result *r,
                         cg_error *err) {
  const int64_t T = p->T, B = p->B, D = p->D, H = p->H, K = p->K;
  double *h_0 = NULL, *delta_z_end = NULL;
  const part parts[] = {
      {&r->o, T, B, K},           {&h_0, 1, B, H},
      {&r->h, T, B, H},           {&r->delta_o, T, B, K},
      {&r->delta_h, T, B, H},     {&r->delta_z, T, B, H},
      {&delta_z_end, 1, B, H},    {&r->dW_xh, 1, H, D},
      {&r->dW_hh, 1, H, H},       {&r->dW_hy, 1, K, H},
      {&r->db_h, 1, 1, H},        {&r->db_y, 1, 1, K},
      {&r->dh_0, 1, B, H},
  };
  cg_status status = allocate(p, parts, LENGTH(parts), err);
  if (status == CG_OK && p->h0)
    memcpy(h_0, p->h0, (size_t)(B * H) * sizeof(double));
  return status;
}

cg_status cg_bptt_begin(const cg_bptt_problem *p, cg_bptt_result *result,
                        cg_error *err) {
  if (!result)
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "there is no result to write to: it is NULL");
  *result = (cg_bptt_result){0};
  if (!p)
    return cg_error_set(err, CG_ERR_ARG, "bptt", "the problem is NULL");
  cg_status status = check_sizes(p, err);
  if (status == CG_OK)
    status = check_pointers(p, err);
  if (status == CG_OK)
    status = check_choices(p, err);
  /* The caller's x is not in our block, but indexed by us all the same. */
  int64_t x_size = 0;
  if (status == CG_OK && !add_size(&x_size, p->T, p->B, p->D))
    status = size_error(p, err);
  if (status == CG_OK)
    status = lay_out(p, result, err);
  /* Last: only sizes that fit make T * B targets safe to walk. */
  if (status == CG_OK)
    status = check_targets(p, err);
  if (status != CG_OK)
    cg_bptt_free(result);
  return status;
}

cg_bptt_step cg_bptt_step_at(const cg_bptt_problem *p, const cg_bptt_result *r,
                             int64_t t) {
  const int64_t BD = p->B * p->D, BH = p->B * p->H, BK = p->B * p->K;
  const int64_t i = t - 1;
  return (cg_bptt_step){
      .x_t = p->x + i * BD,
      .y_t = p->y + i * p->B,
      .h_prev = r->h + (i - 1) * BH,
      .h_t = r->h + i * BH,
      .o_t = r->o + i * BK,
      .delta_o_t = r->delta_o + i * BK,
      .delta_h_t = r->delta_h + i * BH,
      .delta_z_t = r->delta_z + i * BH,
      .delta_z_next = r->delta_z + (i + 1) * BH,
  };
}

double cg_bptt_scale(const cg_bptt_problem *p) {
  double scale = 1.0;
  if (p->over_steps == CG_REDUCE_MEAN)
    scale /= (double)p->T;
  if (p->over_batch == CG_REDUCE_MEAN)
    scale /= (double)p->B;
  return scale;
}

void cg_bptt_free(cg_bptt_result *result) {
  if (!result)
    return;
  free(result->o);
  *result = (cg_bptt_result){0};
}
