/* lbfgs_impl.h - what the parts of L-BFGS share: optim_lbfgs.c (the rule and
 * its iterations), lbfgs_search.c (the line search), lbfgs_vector.c (arithmetic
 * on all parameters as one vector). Private to nn. */
#ifndef CHRONOGRAD_NN_LBFGS_IMPL_H
#define CHRONOGRAD_NN_LBFGS_IMPL_H

#include "optim_impl.h"

/* Vectors with an element per element of the parameters: the buffers of the
 * rule, and the parameters themselves. */
typedef enum lbfgs_buffer {
  LBFGS_Y,     /* rows: differences of gradients */
  LBFGS_S,     /* rows: differences of parameters */
  LBFGS_D,     /* the direction */
  LBFGS_G0,    /* the gradient where the iteration began */
  LBFGS_G,     /* the gradient of the last evaluation */
  LBFGS_LEFT,  /* the gradients at both ends of the search's bracket */
  LBFGS_RIGHT,
  LBFGS_POINT, /* the parameters where the iteration began */
  LBFGS_START, /* the parameters where the step began */
  LBFGS_BUFFERS,
  LBFGS_W = LBFGS_BUFFERS
} lbfgs_buffer;

typedef struct lbfgs_vector {
  lbfgs_buffer buffer;
  int64_t row; /* of Y and S; otherwise 0 */
} lbfgs_vector;

#define LBFGS_VECTOR(name) ((lbfgs_vector){LBFGS_##name, 0})

double lbfgs_dot(const cg_optimizer *o, lbfgs_vector a, lbfgs_vector b);
double lbfgs_sum_abs(const cg_optimizer *o, lbfgs_vector a);
double lbfgs_max_abs(const cg_optimizer *o, lbfgs_vector a);
/* y = a + c b; y may be a or b. */
void lbfgs_add(cg_optimizer *o, lbfgs_vector y, lbfgs_vector a, double c,
               lbfgs_vector b);
/* y = c a. */
void lbfgs_scale(cg_optimizer *o, lbfgs_vector y, double c, lbfgs_vector a);
/* G = the parameters' gradients, 0 where there is none. */
void lbfgs_take_gradients(cg_optimizer *o);

/* One step on its way. */
typedef struct lbfgs_walk {
  cg_optimizer *o;
  cg_closure_fn closure;
  void *context;
  cg_error *err;
  double loss; /* at the last point that was accepted */
  int evaluations, max_evaluations;
  double tolerance_change;
} lbfgs_walk;

/* Evaluates the loss and G at the present parameters. */
cg_status lbfgs_evaluate(lbfgs_walk *w, double *loss);

/* Goes from POINT along D, *t at first, to a point that meets the strong Wolfe
 * conditions, or the best one met when evaluations run out. `slope` is the
 * derivative of the loss along D at POINT. Leaves the parameters there, their
 * gradient in G, the loss in w->loss, and the length in *t. */
cg_status lbfgs_search(lbfgs_walk *w, double *t, double slope);

#endif
