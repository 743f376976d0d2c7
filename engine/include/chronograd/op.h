/* op.h - the contract of an operation, for ours and for yours.
 *
 * One op is one `cg_op`: name, shape rule, forward, derivative rule and the
 * cases it is checked with, side by side. Descriptors are constants; attributes
 * (axes, a scalar, ...) are a plain struct that is copied to the tape.
 *
 *   infer    reads the operands' types, shapes and attributes, refuses what
 *            does not fit through cg_call_fail, and describes the result. A
 *            view op points the result into its first operand instead
 *            (spec->is_view), between the first and the last element that
 *            the operand shows, and has no `forward`. Where other operands,
 *            results of the same type, lie right behind the first one
 *            (cg_tape_reserve), the view may go on over them.
 *   forward  writes every element of the result, whose memory is contiguous and
 *            uninitialised. It sees operands with any strides, changes nothing
 *            else, allocates nothing but through cg_call_scratch. A replay runs
 *            it again, without `infer`: operands' values are to be checked here.
 *   vjp      given gy = dL/dy, hands each operand its part of the
 *            vector-Jacobian product. It is written in terms of ops, so that
 *            the walk can itself be recorded and differentiated. It asks
 *            cg_vjp_needs before it computes and calls a cg_vjp_give* for each
 *            contribution; the engine adds them up, and sums a contribution
 *            that has a broadcast shape back to the operand's.
 */
#ifndef CHRONOGRAD_OP_H
#define CHRONOGRAD_OP_H

#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cg_op cg_op;

/* ---- forward side ---- */

/* One application of an op. */
typedef struct cg_call {
  cg_tape *tape;        /* where the result will be */
  const cg_op *op;      /* what is applied */
  cg_tensor *const *in; /* operands, never NULL */
  int n_in;             /* how many */
  const void *attr; /* the op's attribute struct, or NULL */
} cg_call;

/* What the result will be. */
typedef struct cg_spec {
  cg_dtype dtype;               /* its element type */
  int rank;                     /* 0 .. CG_MAX_RANK */
  int64_t shape[CG_MAX_RANK];   /* `rank` sizes */
  bool is_view;                 /* the rest is read for views only */
  int64_t strides[CG_MAX_RANK]; /* in elements */
  int64_t offset;               /* from the first operand's data, in elements */
} cg_spec;

/* Stores the failure of a call on its tape and returns `status`. */
CG_API cg_status cg_call_fail(const cg_call *call, cg_status status,
                              const char *fmt, ...) CG_PRINTF(3, 4);
/* Sets type and shape of a result with memory of its own. */
CG_API void cg_spec_set(cg_spec *spec, cg_dtype dtype, int rank,
                        const int64_t *shape);
/* The common case of a result with the shape and type of `x`. */
CG_API void cg_spec_like(cg_spec *spec, const cg_tensor *x);
/* The result of NumPy broadcasting over all operands, which must have one
 * floating-point type; otherwise an error that names the shapes. */
CG_API cg_status cg_spec_broadcast(const cg_call *call, cg_spec *spec);
/* Operand i must be F32 or F64. */
CG_API cg_status cg_call_want_float(const cg_call *call, int i);
/* Temporary memory for the time of this `forward`; NULL when out of memory
 * (the error is then on the tape). */
CG_API void *cg_call_scratch(const cg_call *call, size_t bytes);
/* The result's memory, for `forward`. */
CG_API void *cg_out_data(cg_tensor *out);

/* ---- derivative side ---- */

/* One visit of a node in a backward walk. */
typedef struct cg_vjp cg_vjp;

/* The tape of the walk, to apply ops on. */
CG_API cg_tape *cg_vjp_tape(const cg_vjp *v);
/* gy, the gradient of the loss with respect to the result. */
CG_API cg_tensor *cg_vjp_gy(const cg_vjp *v);
/* gy up to where only zeros follow along `axis`, as far as that is known from
 * the parts that were given (cg_vjp_give_narrow): its first n indices there, n
 * a multiple of `unit` that is above 0, or all of it. For results with parts
 * that nobody may have used; in a recorded walk gy comes whole. */
CG_API cg_tensor *cg_vjp_gy_head(cg_vjp *v, int axis, int64_t unit);
/* The number of operands. */
CG_API int cg_vjp_count(const cg_vjp *v);
/* Operand i and the result, with the values they had when recorded; asking for
 * the value of a leaf that was changed since is an error (STALE) and NULL. */
CG_API cg_tensor *cg_vjp_in(cg_vjp *v, int i);
CG_API cg_tensor *cg_vjp_out(cg_vjp *v);
/* The type and shape of operand i, which are always available. */
CG_API cg_dtype cg_vjp_in_dtype(const cg_vjp *v, int i);
CG_API int cg_vjp_in_rank(const cg_vjp *v, int i);
CG_API const int64_t *cg_vjp_in_shape(const cg_vjp *v, int i);
/* The attributes, or NULL. */
CG_API const void *cg_vjp_attr(const cg_vjp *v);
/* Does operand i want a gradient? */
CG_API bool cg_vjp_needs(const cg_vjp *v, int i);

/* Adds `g` to the gradient of operand i. */
CG_API void cg_vjp_give(cg_vjp *v, int i, cg_tensor *g);
/* Adds op(a) op(b), the product of two matrices, either one transposed; like
 * cg_vjp_give(v, i, cg_matmul_t(tape, a, b, ta, tb)), but outside of a recorded
 * walk the product is accumulated in place. */
CG_API void cg_vjp_give_matmul(cg_vjp *v, int i, cg_tensor *a, cg_tensor *b,
                               bool ta, bool tb);
/* Adds `g` at the places start <= index < start + length along `axis` of
 * operand i, where length is g's size there, and nothing elsewhere. The many
 * contributions that the parts of one tensor receive are put together once. */
CG_API void cg_vjp_give_narrow(cg_vjp *v, int i, cg_tensor *g, int axis,
                               int64_t start);
/* The same for the one place `index` along `axis`, an axis that `g` lacks. */
CG_API void cg_vjp_give_select(cg_vjp *v, int i, cg_tensor *g, int axis,
                               int64_t index);

/* ---- the descriptor ---- */

/* A way to call the op, for the automatic checks.
 *   in    the operands: a type letter and a shape each, "f[2,3] f[3] i[4]<5":
 *         f float, i int64 in 0..limit-1 after '<', u mask of 0 and 1.
 *   attr  the attributes, or NULL. */
typedef struct cg_op_case {
  const char *in;   /* as above */
  const void *attr; /* as above */
} cg_op_case;

/* The descriptor of an op: all there is to know about it. */
struct cg_op {
  const char *name;       /* "tanh" */
  const char *formula;    /* "y = tanh(x)" */
  const char *derivative; /* "gx = gy * (1 - y^2)" */
  int min_in, max_in;     /* number of operands; max_in -1: no limit */
  size_t attr_size;       /* bytes of the attributes; 0: there are none */
  cg_status (*infer)(const cg_call *call, cg_spec *spec); /* the shape rule */
  cg_status (*forward)(const cg_call *call,
                       cg_tensor *out); /* the values; NULL: only views */
  void (*vjp)(cg_vjp *v); /* NULL: no derivative (integer or mask results) */
  const cg_op_case *cases; /* calls for the automatic checks, */
  int n_cases;             /* and their number */
  double lo, hi; /* domain of float operands in checks; both 0: -2 .. 2 */
  int n_diff;    /* how many leading ones have a derivative; 0: all floats */
  bool once; /* `forward` cannot run again later, for it depends on more than
                operands and attributes, or would repeat random numbers:
                cg_tape_replay refuses such a recording */
};

/* Applies `op` to `n_in` operands and records it. The result belongs to the
 * tape; NULL after an error. `attr` (op->attr_size bytes) is copied. */
CG_API cg_tensor *cg_record(cg_tape *tape, const cg_op *op,
                            cg_tensor *const *in, int n_in, const void *attr);

/* Every op that the library has, in the order of its list. */
CG_API int cg_op_count(void);
/* Op number `i`, or NULL. */
CG_API const cg_op *cg_op_at(int i);
/* The op called `name`, or NULL. */
CG_API const cg_op *cg_op_find(const char *name);

#ifdef __cplusplus
}
#endif
#endif
