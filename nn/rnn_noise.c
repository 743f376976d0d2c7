/* rnn_noise.c - dropout and zoneout in a recurrent net. */
#include "rnn_impl.h"

/* 0 for the share p of the elements [B, n], 1 / (1 - p) for the others. */
static cg_tensor *mask_of(cg_tape *tape, const cg_rnn *rnn, cg_rng *rng,
                          double p, int64_t B, int64_t n) {
  return cg_dropout(tape, cg_full(tape, rnn->dtype, CG_DIMS(B, n), 1.0), p,
                    rng);
}

cg_tensor *cg_rnn_between(cg_tape *tape, const cg_rnn *rnn, cg_rng *rng,
                          cg_tensor *x) {
  double p = rnn->config.dropout;
  if (!rng || p == 0) return x;
  if (!rnn->config.same_dropout) return cg_dropout(tape, x, p, rng);
  return cg_mul(tape, x, mask_of(tape, rnn, rng, p, cg_tensor_dim(x, 1),
                                 cg_tensor_dim(x, 2)));
}

cg_tensor *cg_rnn_state_mask(cg_tape *tape, const cg_rnn *rnn, cg_rng *rng,
                             int64_t B) {
  double p = rnn->config.state_dropout;
  return rng && p > 0 ? mask_of(tape, rnn, rng, p, B, cg_rnn_width(rnn, 0))
                      : NULL;
}

cg_tensor *cg_rnn_zone_out(cg_tape *tape, const cg_rnn *rnn, cg_rng *rng, int s,
                           cg_tensor *before, cg_tensor *after) {
  double p = s ? rnn->config.zoneout_c : rnn->config.zoneout;
  if (p == 0 || !after) return after;
  if (!rng)
    return cg_add(tape, after,
                  cg_mul_scalar(tape, cg_sub(tape, before, after), p));
  /* By cg_dropout, not by random constants, which a replay would repeat. */
  cg_tensor *ones = cg_expand(tape, cg_scalar(tape, rnn->dtype, 1.0),
                              cg_tensor_rank(after), cg_tensor_shape(after));
  cg_tensor *stays = cg_eq(tape, cg_dropout(tape, ones, p, rng),
                           cg_scalar(tape, rnn->dtype, 0.0));
  return cg_where(tape, stays, before, after);
}
