/* char_schedule.h - how char_rnn's learning rate changes while it trains. */
#ifndef CHAR_RNN_CHAR_SCHEDULE_H
#define CHAR_RNN_CHAR_SCHEDULE_H

typedef enum char_schedule {
  CHAR_CONSTANT,
  CHAR_COSINE,
  CHAR_STEP,
  CHAR_EXPONENTIAL,
  CHAR_ONE_CYCLE,
  CHAR_PLATEAU, /* falls by what validation finds, not by this factor */
  CHAR_SCHEDULES
} char_schedule;

/* What --schedule calls them. */
extern const char *const char_schedule_names[CHAR_SCHEDULES];

/* The factor of the learning rate when `fraction` of the work is done, 0 .. 1,
 * of which the part `warmup` serves to reach it. */
double char_schedule_factor(char_schedule schedule, double fraction,
                            double warmup);

#endif
