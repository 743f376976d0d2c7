/* ops_torch.h - how test_ops_torch.c calls what has figures of PyTorch: a table
 * per golden file, by the name of the case. */
#ifndef OPS_TORCH_H
#define OPS_TORCH_H

#include <chronograd/engine.h>

enum { TORCH_MAX_IN = 8 };

/* One way to call an op. The case "tanh@far" is called as the row of that name
 * says, or if there is none, as "tanh". */
typedef struct torch_call {
  const char *name;
  cg_tensor *(*call)(cg_tape *tape, cg_tensor *const *in, int n_in);
} torch_call;

/* A golden file (without its ending) and its calls. */
typedef struct torch_file {
  const char *file;
  const torch_call *calls;
  int n_calls;
} torch_file;

/* The tables, by family (ops_torch_*.c). */
extern const torch_file torch_elementwise, torch_other;

/* A row for cg_<name> of one, two or three operands. */
#define TORCH_1(name)                                                     \
  static cg_tensor *name##_call(cg_tape *t, cg_tensor *const *x, int n) { \
    (void)n;                                                              \
    return cg_##name(t, x[0]);                                            \
  }
#define TORCH_2(name)                                                     \
  static cg_tensor *name##_call(cg_tape *t, cg_tensor *const *x, int n) { \
    (void)n;                                                              \
    return cg_##name(t, x[0], x[1]);                                      \
  }
/* A row for any expression of t and x. */
#define TORCH_CALL(name, EXPR)                                            \
  static cg_tensor *name##_call(cg_tape *t, cg_tensor *const *x, int n) { \
    (void)n;                                                              \
    return EXPR;                                                          \
  }

#endif
