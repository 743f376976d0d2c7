/* gradient_look.h - is every gradient finite, and how large are they? Private
 * to nn. */
#ifndef CHRONOGRAD_NN_GRADIENT_LOOK_H
#define CHRONOGRAD_NN_GRADIENT_LOOK_H

#include <chronograd/param.h>

/* The largest magnitude of the elements of a float tensor without gaps; NaN if
 * there is one. 0 for NULL. */
double cg_largest_element(const cg_tensor *x);

/* *largest = the largest magnitude of all gradients. Otherwise NONFINITE, by
 * `fn`, which names the first parameter with a bad one. */
cg_status cg_gradient_look(const cg_params *params, const char *fn,
                           double *largest, cg_error *err);

#endif
