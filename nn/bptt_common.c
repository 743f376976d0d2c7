/* bptt_common.c - checks a problem of manual BPTT and lays out its result. */
#include "bptt_common.h"

#include <inttypes.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

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

cg_status cg_bptt_check_targets(const cg_bptt_problem *p, cg_error *err) {
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

/* h_0 lies just before h_1 and delta_z_{T+1} just after delta_z_T, so that the
 * recursion needs no special case at its ends. */
static cg_status lay_out(const cg_bptt_problem *p, cg_bptt_result *r,
                         cg_error *err) {
  const int64_t T = p->T, B = p->B, D = p->D, H = p->H, K = p->K;
  double *h_0 = NULL, *delta_z_end = NULL;
  const cg_bptt_part parts[] = {
      {&r->o, T, B, K},           {&h_0, 1, B, H},
      {&r->h, T, B, H},           {&r->delta_o, T, B, K},
      {&r->delta_h, T, B, H},     {&r->delta_z, T, B, H},
      {&delta_z_end, 1, B, H},    {&r->dW_xh, 1, H, D},
      {&r->dW_hh, 1, H, H},       {&r->dW_hy, 1, K, H},
      {&r->db_h, 1, 1, H},        {&r->db_y, 1, 1, K},
      {&r->dh_0, 1, B, H},
  };
  cg_status status = cg_bptt_alloc(p, parts, LENGTH(parts), &r->block, err);
  if (status == CG_OK && p->h0)
    memcpy(h_0, p->h0, (size_t)(B * H) * sizeof(double));
  return status;
}

cg_status cg_bptt_check(const cg_bptt_problem *p, cg_error *err) {
  if (!p)
    return cg_error_set(err, CG_ERR_ARG, "bptt", "the problem is NULL");
  cg_status status = check_sizes(p, err);
  if (status == CG_OK)
    status = check_pointers(p, err);
  if (status == CG_OK)
    status = check_choices(p, err);
  /* The caller's arrays are not in our memory, but indexed by us. */
  if (status == CG_OK)
    status = cg_bptt_check_size(p, p->T, p->B, p->D, err);
  if (status == CG_OK)
    status = cg_bptt_check_size(p, p->T, p->B, 1, err);
  return status;
}

cg_status cg_bptt_no_result(cg_error *err) {
  return cg_error_set(err, CG_ERR_ARG, "bptt",
                      "there is no result to write to: it is NULL");
}

cg_status cg_bptt_begin(const cg_bptt_problem *p, cg_bptt_result *result,
                        cg_error *err) {
  if (!result)
    return cg_bptt_no_result(err);
  *result = (cg_bptt_result){0};
  cg_status status = cg_bptt_check(p, err);
  if (status == CG_OK)
    status = lay_out(p, result, err);
  /* Last: only sizes that fit make T * B targets safe to walk. */
  if (status == CG_OK)
    status = cg_bptt_check_targets(p, err);
  if (status != CG_OK)
    cg_bptt_free(result);
  return status;
}

cg_status cg_bptt_check_result(const cg_bptt_problem *p,
                               const cg_bptt_result *result, cg_error *err) {
  cg_status status = cg_bptt_check(p, err);
  if (status == CG_OK && (!result || !result->h || !result->delta_o))
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "the states and deltas of the problem are needed: "
                        "pass what cg_bptt_batch made of it");
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
  cg_bptt_release(result->block);
  *result = (cg_bptt_result){0};
}
