/* char_rnn.h - the three commands; each returns the program's exit status. */
#ifndef CHAR_RNN_CHAR_RNN_H
#define CHAR_RNN_CHAR_RNN_H

#include "char_options.h"

int char_train(const char_options *options);
int char_sample(const char_options *options);
int char_eval(const char_options *options);

#endif
