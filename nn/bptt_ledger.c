/* bptt_ledger.c - the parameter gradients of the manual BPTT, step by step. */
#include <chronograd/bptt_ledger.h>

#include "bptt_common.h"
#include "bptt_rows.h"

static void enter_step(const cg_bptt_problem *p, const cg_bptt_step *s,
                       int64_t t, const cg_bptt_ledger *ledger) {
  const int64_t B = p->B, D = p->D, H = p->H, K = p->K, i = t - 1;
  cg_rows_add_ut_v(ledger->dW_hy + i * K * H, s->delta_o_t, s->h_t, B, K, H);
  cg_rows_add_ut_v(ledger->dW_hh + i * H * H, s->delta_z_t, s->h_prev, B, H, H);
  cg_rows_add_ut_v(ledger->dW_xh + i * H * D, s->delta_z_t, s->x_t, B, H, D);
  cg_rows_add_row_sum(ledger->db_y + i * K, s->delta_o_t, B, K);
  cg_rows_add_row_sum(ledger->db_h + i * H, s->delta_z_t, B, H);
}

cg_status cg_bptt_ledger_make(const cg_bptt_problem *problem,
                              const cg_bptt_result *result,
                              cg_bptt_ledger *ledger, cg_error *err) {
  if (!ledger)
    return cg_bptt_no_result(err);
  *ledger = (cg_bptt_ledger){0};
  cg_status status = cg_bptt_check_result(problem, result, err);
  if (status)
    return status;
  const cg_bptt_problem *p = problem;
  const cg_bptt_part parts[] = {{&ledger->dW_xh, p->T, p->H, p->D},
                                {&ledger->dW_hh, p->T, p->H, p->H},
                                {&ledger->dW_hy, p->T, p->K, p->H},
                                {&ledger->db_h, p->T, p->H, 1},
                                {&ledger->db_y, p->T, p->K, 1}};
  status = cg_bptt_alloc(p, parts, 5, &ledger->block, err);
  for (int64_t t = 1; t <= p->T && !status; t++) {
    const cg_bptt_step s = cg_bptt_step_at(p, result, t);
    enter_step(p, &s, t, ledger);
  }
  return status;
}

void cg_bptt_ledger_free(cg_bptt_ledger *ledger) {
  if (!ledger)
    return;
  cg_bptt_release(ledger->block);
  *ledger = (cg_bptt_ledger){0};
}
