/* char_save.h - keeping a trained model: no training for a file that cannot be
 * written, and no loss of one that could. */
#ifndef CHAR_RNN_CHAR_SAVE_H
#define CHAR_RNN_CHAR_SAVE_H

#include "char_model.h"

/* Can the model be saved to `path`? Writes it, as it is before training, to a
 * file beside `path` and removes that again; a device is tried itself. What is
 * at `path` stays. Complains and returns an exit status. */
int char_save_try(const char_model *model, const char *path);

/* Saves it. If that fails, complains, saves it to a new directory for temporary
 * files instead, says where, and returns DEMO_FAILED all the same. */
int char_save(const char_model *model, const char *path);

#endif
