/* addmm.h - c + op(a) op(b), for ops that go on from it (op_matmul.c). */
#ifndef CG_ENGINE_ADDMM_H
#define CG_ENGINE_ADDMM_H

#include <chronograd/op.h>

/* Which of the matrices are transposed. The attributes of an op that calls the
 * functions below begin with it, and its operands are c, a, b. */
typedef struct matmul_attr {
  bool ta, tb;
} matmul_attr;

/* Type and shape of c + op(a) op(b). */
cg_status addmm_infer(const cg_call *call, cg_spec *spec);
/* out = c + op(a) op(b). */
cg_status addmm_forward(const cg_call *call, cg_tensor *out);
/* Gives c, a and b their parts, from the gradient of c + op(a) op(b). */
void addmm_give(cg_vjp *v, cg_tensor *gy);

/* ---- the parts of these, for any operands ---- */

/* Type and shape [m, n] of op(a) op(b). */
cg_status product_infer(const cg_call *call, const cg_tensor *a,
                        const cg_tensor *b, cg_spec *spec);
/* Is operand i of the type of the product that *spec describes, and does it
 * broadcast to it? */
cg_status addend_check(const cg_call *call, int i, const cg_spec *spec);
/* Operand i, which broadcasts to [m, n], and the product of operands ia and ib,
 * (added) into the matrix at `to`, whose rows are ld apart. */
void addend_into(const cg_call *call, int i, int64_t m, int64_t n, void *to,
                 int64_t ld, bool add);
cg_status product_into(const cg_call *call, int ia, int ib, void *to,
                       int64_t ld, bool add);
/* Gives ia and ib their parts, from the gradient of the product. */
void product_give(cg_vjp *v, cg_tensor *gy, int ia, int ib);

#endif
