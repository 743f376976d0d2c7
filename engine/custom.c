/* custom.c - a function given by callbacks, recorded as one op.
 *
 * The forward callback runs as the derivative rules of a plain walk do: with
 * temporaries, which go away when it is done. Its result is then copied into
 * the recorded op's. */
#include <string.h>

#include <chronograd/custom.h>

#include "kernel.h"
#include "tape_impl.h"

typedef struct custom_attr {
  cg_custom_backward backward;
  void *context;
  const cg_tensor *value; /* what `forward` returned; while recording only */
} custom_attr;

/* ---- the op ---- */

static const cg_tensor *value_of(const cg_call *call) {
  return ((const custom_attr *)call->attr)->value;
}

static cg_status infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, value_of(call));
  return CG_OK;
}

static cg_status copy_value(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = value_of(call);
  kernel_copy(x->dtype, x->rank, t_shape(x), out->data, x->data, t_strides(x));
  return CG_OK;
}

static void vjp(cg_vjp *v) {
  const custom_attr *attr = cg_vjp_attr(v);
  attr->backward(v, attr->context);
}

/* A descriptor that lives as long as the node, for the sake of its name. */
static const cg_op *make_op(cg_tape *tape, const char *name, bool derivable) {
  size_t length = strlen(name) + 1;
  cg_op *op = cg_tape_alloc(tape, sizeof *op + length);
  if (!op) return NULL;
  *op = (cg_op){.name = memcpy(op + 1, name, length),
                .max_in = -1,
                .attr_size = sizeof(custom_attr),
                .infer = infer,
                .forward = copy_value,
                .vjp = derivable ? vjp : NULL,
                .once = true};
  return op;
}

/* ---- the call ---- */

/* The value of f, as a temporary or a tensor that was there before. */
static cg_tensor *value(cg_tape *tape, const char *name, cg_custom_forward f,
                        void *context, cg_tensor *const *in, int n_in) {
  cg_tensor *y = f(tape, in, n_in, context);
  if (tape->error.status) return NULL;
  if (y) return tape_resolve(tape, y, name, n_in);
  return cg_tape_fail(tape, CG_ERR_ARG, name,
                      "the forward callback returned NULL without an error");
}

static cg_tensor *apply(cg_tape *tape, const char *name,
                        cg_custom_forward forward, custom_attr attr,
                        cg_tensor *const *in, int n_in) {
  tape_mode was = tape->mode;
  cg_tensor *frame = tape->frame, *y = NULL;
  struct scratch_block *scratch = tape_scratch_begin(tape);
  tape->frame = NULL;
  tape->mode = MODE_TEMP;
  attr.value = value(tape, name, forward, attr.context, in, n_in);
  tape->mode = was;
  cg_tensor *temporaries = tape->frame;
  tape->frame = frame; /* the result belongs to who called */
  const cg_op *op = attr.value ? make_op(tape, name, attr.backward) : NULL;
  if (op) y = cg_record(tape, op, in, n_in, &attr);
  frame = tape->frame;
  tape->frame = temporaries;
  tape_drop_frame(tape);
  tape->frame = frame;
  tape_scratch_end(tape, scratch);
  return y;
}

cg_tensor *cg_custom(cg_tape *tape, const char *name, cg_custom_forward forward,
                     cg_custom_backward backward, void *context,
                     cg_tensor *const *in, int n_in) {
  if (!tape || tape->error.status) return NULL;
  if (!name || !forward || n_in < 0 || (n_in && !in))
    return cg_tape_fail(tape, CG_ERR_ARG, name ? name : "custom",
                        "the name, the forward callback or the operands are "
                        "missing");
  for (int i = 0; i < n_in; i++)
    if (!tape_resolve(tape, in[i], name, i)) return NULL;
  custom_attr attr = {.backward = backward, .context = context};
  return apply(tape, name, forward, attr, in, n_in);
}
