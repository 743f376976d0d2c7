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
  /* op_reduce.c */                                                           \
  X(sum) X(sum_to)                                                            \
  /* op_matmul.c */                                                           \
  X(matmul) X(addmm)                                                          \
  /* op_view.c */                                                             \
  X(reshape) X(permute) X(narrow) X(select) X(expand) X(detach) X(copy)       \
  /* op_join.c */                                                             \
  X(stack) X(concat) X(sum_slices)                                            \
  /* op_index.c */                                                            \
  X(embedding) X(embedding_grad) X(one_hot)                                   \
  /* op_gather.c */                                                           \
  X(gather) X(gather_grad)                                                    \
  /* op_softmax.c */                                                          \
  X(log_softmax) X(softmax)                                                   \
  /* op_loss.c */                                                             \
  X(cross_entropy) X(cross_entropy_grad)
