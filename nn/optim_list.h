/* optim_list.h - all optimizers: a rule cg_optim_<name> each (optim_impl.h).
 * Private to nn. */
#ifndef CHRONOGRAD_NN_OPTIM_LIST_H
#define CHRONOGRAD_NN_OPTIM_LIST_H

#define CG_OPTIM_LIST(X) \
  X(sgd)                 \
  X(rmsprop)             \
  X(adagrad)             \
  X(adam)                \
  X(adamw)               \
  X(lbfgs)

#endif
