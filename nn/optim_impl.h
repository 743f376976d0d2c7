/* optim_impl.h - the contract between optim.c and one optimizer.
 *
 * An optimizer is a rule: names and ranges of its settings, what it remembers
 * of each parameter, and how it updates one. It stands in a file of its own
 * (optim_sgd.c is the shortest) and in optim_list.h. From that alone it gets
 * construction with checked settings, stepping, and a place in the training
 * state. Private to nn. */
#ifndef CHRONOGRAD_NN_OPTIM_IMPL_H
#define CHRONOGRAD_NN_OPTIM_IMPL_H

#include <chronograd/optim.h>

/* An update rule in a version for each instruction set, chosen at run time; see
 * the option `isa`. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) &&   \
    __GNUC__ >= 12 && !defined(__clang__) && !defined(CG_ISA_BASELINE) && \
    !defined(__SANITIZE_THREAD__)
#ifdef CG_ISA_AVX2
#define CG_OPTIM_CLONES \
  __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define CG_OPTIM_CLONES                                            \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", \
                               "default")))
#endif
#else
#define CG_OPTIM_CLONES
#endif

enum { CG_OPTIM_SETTINGS = 8, CG_OPTIM_BUFFERS = 9, CG_OPTIM_LR = 0 };

/* A number of the configuration; 0 stands for `unset`. Number 0 of every rule
 * is the learning rate. */
typedef struct cg_optim_setting {
  const char *name;
  double unset;
  double lo, hi; /* lo <= value < hi */
  bool whole;    /* a count, or a yes (1) or no (0) */
} cg_optim_setting;

/* What is kept of each parameter: a tensor like it, zero at first. Fields name
 * settings by number; 0 is none. */
typedef struct cg_optim_buffer {
  const char *name;
  int only_if; /* that setting is not 0 */
  int fill;    /* begins with that value */
  int rows;    /* [that many, numel] instead of the parameter's shape */
  bool scratch; /* means nothing between steps, so that it is not saved */
} cg_optim_buffer;

/* One update of one parameter w by its gradient g, n elements each; its
 * buffers in the order of the rule, NULL where there is none. Elements do not
 * depend on each other, so that threads can share them out. */
typedef struct cg_optim_update {
  bool f32; /* the type of all of these; otherwise double */
  int64_t n;
  void *w;
  const void *g;
  void *buffer[CG_OPTIM_BUFFERS];
  const double *s; /* the settings */
  int64_t step;    /* of this parameter, from 1 */
} cg_optim_update;

typedef struct cg_optim_rule {
  const char *name; /* "adam" */
  const char *fn;   /* "adam_new" */
  int n_settings, n_buffers;
  const cg_optim_setting *settings;
  const cg_optim_buffer *buffers;
  void (*update)(const cg_optim_update *u);

  /* For a rule without `update`, which evaluates the loss itself. */
  cg_status (*minimize)(cg_optimizer *o, cg_closure_fn closure, void *context,
                        double *loss, cg_error *err);
  /* It may keep numbers of its own, zero at first, and says here whether those
   * of a file make sense. */
  int64_t (*n_numbers)(const double *settings);
  bool (*numbers_fit)(const cg_optimizer *o, const double *numbers);
} cg_optim_rule;

/* What an optimizer remembers of one parameter. */
typedef struct cg_optim_slot {
  cg_tensor *leaf;
  cg_tensor *buffer[CG_OPTIM_BUFFERS]; /* leaves */
  int64_t numel, steps;
  cg_optim_update update; /* of the step that was begun; n = 0: none */
} cg_optim_slot;

struct cg_optimizer {
  const cg_allocator *allocator;
  const cg_params *params;
  const cg_optim_rule *rule;
  double settings[CG_OPTIM_SETTINGS];
  cg_tensor *numbers; /* F64 leaf, or NULL */
  int checks;
  size_t bytes; /* of this block */
  int count;
  cg_optim_slot slots[];
};

/* What every constructor ends with: `settings` has rule->n_settings numbers. */
cg_optimizer *cg_optim_new(cg_params *params, const cg_optim_rule *rule,
                           const double *settings, cg_error *err);
/* Is `value` (0 counts as itself) in the range of setting i? */
bool cg_optim_setting_fits(const cg_optim_rule *rule, int i, double value);
/* Are the parameters still those that it was made for? */
bool cg_optim_alive(const cg_optimizer *o);
/* OK, or what stands against using the gradients as they are. */
cg_status cg_optim_check(const cg_optimizer *o, const char *fn, cg_error *err);

/* cg_optimizer_step by several threads: one begins, and then each updates parts
 * of its own of all parameters, 0 <= part < parts. */
cg_status cg_optim_begin(cg_optimizer *o, cg_error *err);
void cg_optim_part(const cg_optimizer *o, int part, int parts);

#endif
