/* checkpoint.c - recording a segment: its function runs, and what it recorded
 * is replaced by the node of the segment and those of its outputs. */
#include <string.h>

#include "kernel.h"
#include "nd.h"
#include "segment.h"

static const char name[] = "checkpoint";

/* ---- the nodes ---- */

static cg_status segment_infer(const cg_call *call, cg_spec *spec) {
  (void)call;
  cg_spec_set(spec, CG_F32, CG_DIMS(0));
  return CG_OK;
}

static cg_status segment_forward(const cg_call *call, cg_tensor *out) {
  (void)call;
  (void)out;
  return CG_OK;
}

static const cg_op op_segment = {.name = name,
                                 .max_in = -1,
                                 .attr_size = sizeof(segment *),
                                 .infer = segment_infer,
                                 .forward = segment_forward,
                                 .vjp = segment_vjp,
                                 .once = true};

/* The attribute of an output: its value, read while it is recorded. */
static const cg_tensor *value_of(const cg_call *call) {
  return *(cg_tensor *const *)call->attr;
}

static cg_status output_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, value_of(call));
  return CG_OK;
}

static cg_status output_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = value_of(call);
  kernel_copy(x->dtype, x->rank, t_shape(x), out->data, x->data, t_strides(x));
  return CG_OK;
}

/* Never called: the walk parks what arrives (segment_park). */
static void output_vjp(cg_vjp *v) { (void)v; }

static const cg_op op_output = {.name = "checkpoint_output",
                                .min_in = 1,
                                .max_in = 1,
                                .attr_size = sizeof(cg_tensor *),
                                .infer = output_infer,
                                .forward = output_forward,
                                .vjp = output_vjp,
                                .once = true};

/* An output that has gaps or another order than row-major: ops may go over such
 * memory in another way and round differently, so its layout is kept. Operands:
 * the memory, and the segment. */
typedef struct layout_attr {
  const cg_tensor *value;
  int64_t strides[CG_MAX_RANK], offset;
} layout_attr;

static cg_status strided_infer(const cg_call *call, cg_spec *spec) {
  const layout_attr *attr = call->attr;
  cg_spec_like(spec, attr->value);
  spec->is_view = true;
  spec->offset = attr->offset;
  memcpy(spec->strides, attr->strides, sizeof spec->strides);
  return CG_OK;
}

static const cg_op op_strided_output = {.name = "checkpoint_output",
                                        .min_in = 2,
                                        .max_in = 2,
                                        .attr_size = sizeof(layout_attr),
                                        .infer = strided_infer,
                                        .vjp = output_vjp};

/* ---- running a function ---- */

segment_run segment_begin(const cg_tape *tape) {
  return (segment_run){.mark = cg_tape_mark(tape),
                       .last = tape->last,
                       .position = tape->position,
                       .n_proxies = tape->n_proxies,
                       .first = tape->serial};
}

/* Leaves count as outside, also if they were first used in the run. */
bool segment_hooks_fine(cg_tape *tape, const segment_run *run) {
  if (tape->hooks_end <= run->position) return true;
  for (size_t i = 0; i < tape->n_hooks; i++) {
    const hook *h = &tape->hooks[i];
    bool outside = h->x->serial < run->first || h->x->flags & T_PROXY;
    if (h->position > run->position && outside)
      return cg_tape_fail(tape, CG_ERR_STATE, name,
                          "a hook was set inside of the segment on %s, which "
                          "is outside: set it before",
                          t_label(h->x));
  }
  return true;
}

static bool outputs_there(cg_tape *tape, cg_tensor **out, int n_out) {
  for (int i = 0; i < n_out; i++) {
    if (!out[i])
      return cg_tape_fail(tape, CG_ERR_ARG, name,
                          "the function left output %d NULL without an error",
                          i);
    if (!tape_resolve(tape, out[i], name, i)) return false;
  }
  return true;
}

bool segment_call(cg_tape *tape, const segment *s, const segment_run *run,
                  cg_tensor **out, void *context) {
  tape_mode mode = tape->mode;
  uint64_t guard = tape->guard;
  for (int i = 0; i < s->n_out; i++) out[i] = NULL;
  tape->guard = run->position;
  tape->busy++;
  tape->segments++;
  s->fn(tape, s->in, s->n_in, out, s->n_out, context);
  tape->segments--;
  tape->busy--;
  tape->guard = guard;
  tape->mode = mode;
  return !tape->error.status && outputs_there(tape, out, s->n_out) &&
         segment_hooks_fine(tape, run);
}

void segment_drop(cg_tape *tape, const segment_run *run) {
  cg_error error = tape->error;
  cg_tape_rewind(tape, run->mark);
  if (error.status) tape->error = error;
}

/* ---- what is kept of a run ---- */

/* Lists what the run used from outside behind the sorted nodes of running
 * walks: leaves first used in it, in that order, then what is older. Returns
 * how many, or -1 after an error. */
static int list_captures(cg_tape *tape, const segment_run *run) {
  size_t n = tape->n_order;
  cg_status status = CG_OK;
  tape->stamp++;
  for (size_t i = run->n_proxies; i < tape->n_proxies && !status; i++)
    status = walk_push(tape, n++, t_proxied(tape->proxies[i]));
  for (cg_tensor *y = tape->last; y != run->last && !status; y = y->prev)
    for (uint32_t k = 0; k < y->n_in && !status; k++) {
      cg_tensor *x = t_in(y)[k];
      if (x->serial >= run->first || x->stamp == tape->stamp) continue;
      x->stamp = tape->stamp;
      status = walk_push(tape, n++, x);
    }
  return status ? -1 : (int)(n - tape->n_order);
}

/* What is to become of an output. */
typedef struct product {
  cg_tensor *value; /* of its node; NULL: it has none */
  int same;         /* the first output that is the same tensor */
  bool strided;     /* the value had these strides: */
  int64_t strides[CG_MAX_RANK];
} product;

static bool is_own(const segment_run *run, const cg_tensor *x) {
  return !(x->flags & (T_LEAF | T_PROXY)) && x->serial >= run->first;
}

static int first_same(cg_tensor *const *out, int i) {
  int k = 0;
  while (out[k] != out[i]) k++;
  return k;
}

/* A copy of x that outlives a rewind: a temporary in the tape's frame. */
static cg_tensor *stash(cg_tape *tape, const cg_tensor *x) {
  tape_mode mode = tape->mode;
  tape->mode = MODE_TEMP;
  cg_tensor *value = tape_copy(tape, x);
  tape->mode = mode;
  if (value) value->flags |= x->flags & T_GRAD;
  return value;
}

static product make_product(cg_tape *tape, const segment_run *run,
                            cg_tensor *const *out, int i) {
  const cg_tensor *x = out[i];
  product p = {NULL, first_same(out, i), !(x->flags & T_CONTIGUOUS), {0}};
  if (p.same < i || !is_own(run, x)) return p;
  memcpy(p.strides, t_strides(x), sizeof(int64_t) * x->rank);
  p.value = stash(tape, x);
  return p;
}

/* Writes x's elements to `to`, laid out with other strides. */
static void lay_out(void *to, const int64_t *strides, const cg_tensor *x) {
  nd it;
  void *data[ND_ARRAYS] = {to, x->data};
  const int64_t *steps[ND_ARRAYS] = {strides, t_strides(x)};
  size_t size = dtype_size(x->dtype);
  if (!nd_begin(&it, x->rank, t_shape(x), size, data, steps)) return;
  do
    for (int64_t i = 0; i < it.n; i++)
      memcpy(it.at[0] + i * it.step[0] * (int64_t)size,
             it.at[1] + i * it.step[1] * (int64_t)size, size);
  while (nd_next(&it));
}

/* A constant in which p's value begins at attr->offset; NULL after an error. */
static cg_tensor *strided_memory(cg_tape *tape, const product *p,
                                 layout_attr *attr) {
  const cg_tensor *x = p->value;
  int64_t last = 0;
  *attr = (layout_attr){.value = x};
  memcpy(attr->strides, p->strides, sizeof p->strides);
  for (int i = 0; i < x->rank; i++) {
    int64_t reach = p->strides[i] * (x->dims[i] - 1);
    if (reach < 0)
      attr->offset -= reach;
    else
      last += reach;
  }
  cg_tensor *memory =
      cg_full(tape, (cg_dtype)x->dtype, CG_DIMS(attr->offset + last + 1), 0);
  if (!memory) return NULL;
  char *first = memory->data;
  lay_out(first + attr->offset * (int64_t)dtype_size(x->dtype), p->strides, x);
  return memory;
}

/* The node of an output with this value. */
static cg_tensor *record_output(cg_tape *tape, cg_tensor *node,
                                const product *p) {
  const cg_tensor *value = p->value;
  cg_tensor *y;
  if (!p->strided) {
    y = cg_record(tape, &op_output, &node, 1, &value);
  } else {
    layout_attr attr;
    cg_tensor *in[] = {strided_memory(tape, p, &attr), node};
    y = cg_record(tape, &op_strided_output, in, 2, &attr);
  }
  if (!y) return NULL;
  y->flags |= T_OUTPUT;
  if (!(value->flags & T_GRAD)) y->flags &= (uint16_t)~T_GRAD;
  return y;
}

static void record_outputs(cg_tape *tape, segment *s, cg_tensor *node,
                           const product *made, cg_tensor **out) {
  for (int i = 0; i < s->n_out && !tape->error.status; i++)
    if (made[i].same < i)
      out[i] = out[made[i].same];
    else if (made[i].value)
      s->out[i] = out[i] = record_output(tape, node, &made[i]);
}

/* Puts the segment's nodes in the place of what its run recorded. */
static void replace(cg_tape *tape, segment *s, const segment_run *run,
                    product *made, cg_tensor **out) {
  for (int i = 0; i < s->n_out && !tape->error.status; i++)
    made[i] = make_product(tape, run, out, i);
  int n = tape->error.status ? -1 : list_captures(tape, run);
  segment_drop(tape, run);
  if (n < 0) return;
  cg_tensor **captures = tape->order + tape->n_order;
  cg_tensor *node = cg_record(tape, &op_segment, captures, n, &s);
  if (node) record_outputs(tape, s, node, made, out);
}

/* ---- the call ---- */

/* Operands on this tape; a leaf stays itself, and is looked at when used. */
static bool copy_inputs(cg_tape *tape, cg_tensor *const *in, segment *s) {
  for (int i = 0; i < s->n_in; i++) {
    s->in[i] = tape_resolve(tape, in[i], name, i);
    if (!s->in[i]) return false;
    if (s->in[i]->flags & T_PROXY) s->in[i] = in[i];
  }
  return true;
}

/* The segment with copies of its arguments; NULL after an error. */
static segment *new_segment(cg_tape *tape, const segment *args) {
  size_t lists = ((size_t)args->n_in + (size_t)args->n_out) * sizeof(void *);
  segment *s = cg_tape_alloc(tape, sizeof *s + lists);
  if (!s) return NULL;
  *s = *args;
  s->in = (cg_tensor **)(s + 1);
  s->out = s->in + s->n_in;
  for (int i = 0; i < s->n_out; i++) s->out[i] = NULL;
  if (!copy_inputs(tape, args->in, s)) return NULL;
  if (!s->context_bytes) return s;
  s->context = cg_tape_alloc(tape, s->context_bytes);
  if (s->context) memcpy(s->context, args->context, s->context_bytes);
  return s->context ? s : NULL;
}

static void record(cg_tape *tape, const segment *args, void *context,
                   cg_tensor **out) {
  segment *s = new_segment(tape, args);
  if (!s) return;
  struct scratch_block *outer = tape_scratch_begin(tape);
  product *made = tape_scratch(tape, (size_t)s->n_out * sizeof *made, name);
  struct scratch_block *mine = tape_scratch_begin(tape);
  cg_tensor *frame = tape->frame;
  tape->frame = NULL;
  segment_run run = segment_begin(tape);
  if (made && segment_call(tape, s, &run, out, context))
    replace(tape, s, &run, made, out);
  else
    segment_drop(tape, &run);
  tape_drop_frame(tape);
  tape->frame = frame;
  tape_scratch_end(tape, mine);
  tape_scratch_end(tape, outer);
}

/* With recording off. `in` and `out` may be one array. */
static void just_call(cg_tape *tape, const segment *args) {
  size_t bytes = (size_t)args->n_in * sizeof *args->in;
  struct scratch_block *outer = tape_scratch_begin(tape);
  cg_tensor **in = tape_scratch(tape, bytes + 1, name);
  struct scratch_block *mine = tape_scratch_begin(tape);
  if (in && bytes) memcpy(in, args->in, bytes);
  for (int i = 0; i < args->n_out; i++) args->out[i] = NULL;
  if (in)
    args->fn(tape, in, args->n_in, args->out, args->n_out, args->context);
  tape_scratch_end(tape, mine);
  tape_scratch_end(tape, outer);
  if (!tape->error.status) outputs_there(tape, args->out, args->n_out);
}

cg_status cg_checkpoint(cg_tape *tape, cg_segment_fn fn, void *context,
                        size_t context_bytes, cg_tensor *const *in, int n_in,
                        cg_tensor **out, int n_out) {
  if (!tape) return CG_ERR_ARG;
  segment args = {fn, context, context_bytes, (cg_tensor **)(uintptr_t)in, out,
                  n_in, n_out};
  bool sound = fn && n_in >= 0 && n_out > 0 && (in || !n_in) && out &&
               (context || !context_bytes);
  if (tape->error.status || !sound)
    cg_tape_fail(tape, CG_ERR_ARG, name,
                 "the function, its context, inputs or outputs are missing");
  else if (tape->mode == MODE_RECORD)
    record(tape, &args, context, out);
  else
    just_call(tape, &args);
  for (int i = 0; out && i < n_out && tape->error.status; i++) out[i] = NULL;
  return tape->error.status;
}
