/* char_resume.h - a training that survives being killed: its whole state in a
 * file, from which it goes on with the same bits. */
#ifndef CHAR_RNN_CHAR_RESUME_H
#define CHAR_RNN_CHAR_RESUME_H

#include "char_trainer.h"

/* For --resume: goes on from the file if there is one; it must come from the
 * same options and the same text. Otherwise writes the first one. Complains and
 * returns an exit status. */
int char_resume_begin(trainer *t);

/* Writes the state as it is between two updates; likewise. */
int char_resume_save(trainer *t);

#endif
