/* op_list.h - the one list of ops, by family file. A row makes the op known to
 * cg_op_at, to the automatic checks and to the op table of the documentation;
 * its descriptor is `cg_op_<name>` in the file named. */
#define CG_OP_LIST(X)                                                         \
  /* op_arith.c */                                                            \
  X(add) X(sub) X(mul) X(div) X(pow) X(pow_da) X(pow_db)                      \
  X(add_scalar) X(mul_scalar) X(pow_scalar)                                   \
  /* op_unary.c */                                                            \
  X(neg) X(exp) X(log) X(sqrt) X(square) X(tanh) X(sigmoid) X(relu)           \
  X(tanh_grad) X(sigmoid_grad) X(relu_grad) X(cast)                           \
  X(abs) X(sign) X(reciprocal) X(rsqrt) X(log1p) X(expm1) X(sin) X(cos)       \
  /* op_activation.c */                                                       \
  X(softplus) X(leaky_relu) X(leaky_relu_grad) X(elu) X(elu_grad)             \
  X(gelu) X(gelu_grad) X(clamp) X(clamp_grad)                                 \
  /* op_compare.c */                                                          \
  X(eq) X(ne) X(lt) X(le) X(gt) X(ge) X(where)                                \
  X(maximum) X(minimum) X(maximum_grad)                                       \
  /* op_reduce.c */                                                           \
  X(sum) X(sum_to)                                                            \
  /* op_extreme.c */                                                          \
  X(max) X(min) X(extreme_share) X(argmax) X(argmin)                          \
  /* op_statistics.c */                                                       \
  X(sqrt0) X(div0)                                                            \
  /* op_logsumexp.c */                                                        \
  X(exp_sub) X(logsumexp)                                                     \
  /* op_cumsum.c */                                                           \
  X(cumsum)                                                                   \
  /* op_matmul.c */                                                           \
  X(matmul) X(addmm)                                                          \
  /* op_affine.c */                                                           \
  X(affine)                                                                   \
  /* op_bmm.c */                                                              \
  X(bmm)                                                                      \
  /* op_view.c */                                                             \
  X(reshape) X(permute) X(narrow) X(select) X(expand) X(detach) X(copy)       \
  /* op_slice.c */                                                            \
  X(slice) X(slice_grad)                                                      \
  /* op_pad.c */                                                              \
  X(pad)                                                                      \
  /* op_diagonal.c */                                                         \
  X(diagonal) X(diag_embed)                                                   \
  /* op_join.c */                                                             \
  X(stack) X(concat) X(sum_slices)                                            \
  /* op_index.c */                                                            \
  X(embedding) X(embedding_grad) X(one_hot)                                   \
  /* op_gather.c */                                                           \
  X(gather) X(gather_grad)                                                    \
  /* op_softmax.c */                                                          \
  X(log_softmax) X(softmax)                                                   \
  /* op_layer_norm.c */                                                       \
  X(layer_norm) X(layer_norm_rstd) X(layer_norm_grad)                         \
  /* op_lstm.c */                                                             \
  X(lstm_gates) X(lstm_gates_grad)                                            \
  /* op_lstm_affine.c */                                                      \
  X(lstm_affine)                                                              \
  /* op_gru.c */                                                              \
  X(gru_gates) X(gru_gates_grad)                                              \
  /* op_gru_affine.c */                                                       \
  X(gru_affine)                                                               \
  /* op_random.c */                                                           \
  X(dropout)                                                                  \
  /* op_losses.c */                                                           \
  X(bce_with_logits)                                                          \
  /* op_loss.c */                                                             \
  X(cross_entropy) X(cross_entropy_grad)
