/* training_state.h - all that a training run is made of, in one file, from
 * which it goes on with identical bits.
 *
 *     cg_training training = {
 *         .params = model, .optimizer = adam,
 *         .rngs = (cg_rng *[]){&shuffling}, .n_rngs = 1,
 *         .arrays = (cg_training_array[]){
 *             {"position", CG_I64, 1, {2}, position},
 *             {"h", CG_F32, 3, {1, B, H}, carried_state}}, .n_arrays = 2};
 *     cg_training_save(&training, "run.state", NULL, 0, &err);
 *     ...
 *     cg_training_load(&training, "run.state", &err);
 *
 * The file is in the safetensors format. Arrays: "param.<name>";
 * "optimizer.<what>.<name>", "optimizer.settings", "optimizer.steps" and, for
 * L-BFGS, "optimizer.numbers"; "plateau"; "rng.<i>"; "array.<name>". Gradients
 * are not in it: save between an update and the next backward walk.
 */
#ifndef CHRONOGRAD_TRAINING_STATE_H
#define CHRONOGRAD_TRAINING_STATE_H

#include <chronograd/model_io.h>
#include <chronograd/optim.h>
#include <chronograd/schedule.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Something of the caller's that is saved and loaded as well: row-major memory,
 * such as a position in the data, or a state carried from window to window. */
typedef struct cg_training_array {
  const char *name;           /* without "array."; no two alike */
  cg_dtype dtype;             /* of its elements */
  int rank;                   /* 0 .. CG_MAX_RANK */
  int64_t shape[CG_MAX_RANK]; /* the first `rank` sizes */
  void *data;                 /* read by saving, written by loading */
} cg_training_array;

/* What a run is made of. All of it is borrowed. */
typedef struct cg_training {
  cg_params *params;       /* needed */
  cg_optimizer *optimizer; /* of these parameters; NULL: none */
  cg_plateau *plateau;     /* NULL: none; other schedules have no state */
  cg_rng *const *rngs;     /* the generators in use */
  int n_rngs;              /* how many; 0: none */
  const cg_training_array *arrays; /* whatever else the run needs */
  int n_arrays;                    /* how many; 0: none */
} cg_training;

/* Writes it all, and the `n_metadata` lines, to `path`, which changes
 * completely or not at all (cg_safetensors_write): a run that is killed while
 * it saves still has its last state. The keys "training_state" and "optimizer"
 * are taken. */
CG_API cg_status cg_training_save(const cg_training *training, const char *path,
                                  const cg_metadata *metadata, int n_metadata,
                                  cg_error *err);

/* Reads it all back, into the same things made in the same way: the optimizer
 * gets its settings from the file, too. The file is not trusted: FORMAT or
 * DTYPE, naming what is wrong, if it is no training state, has another
 * optimizer's, if anything is missing, left over or of another shape or type,
 * or if a setting or count makes no sense; nothing has changed then. */
CG_API cg_status cg_training_load(const cg_training *training, const char *path,
                                  cg_error *err);
/* The same from an opened file, whose metadata can be looked at first. */
CG_API cg_status cg_training_load_from(const cg_training *training,
                                       const cg_safetensors *file,
                                       cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
