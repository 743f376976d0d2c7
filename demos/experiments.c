/* experiments.c - classic tasks for recurrent nets, from several seeds each,
 * with a criterion that the program checks. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "task.h"

const char *const cli_program = "experiments";

static const char usage[] =
    "usage: experiments [OPTION...] [NAME...]\n"
    "Trains recurrent nets on classic tasks, from several seeds each, and\n"
    "checks whether they learn them. NAME is the beginning of an experiment's\n"
    "name, such as adding; without any, all are run.\n"
    "\n"
    "  --list             print the experiments and their criteria\n"
    "  --seed N           the first seed (1)\n"
    "  --seeds N          how many seeds (those of --list)\n"
    "  --most N           give up after so many sequences (each has its own)\n"
    "  --threads N        runs at once (the processors that there are)\n"
    "  --quick            one seed, and only what takes seconds\n"
    "  --help             print this\n"
    "\n"
    "Exit status: 0 every criterion was met, 1 not so, 2 bad usage.\n";

/* What a guess scores, for comparison: adding 0.167, order 0.25. */
static const task tasks[] = {
    {"adding/lstm", "two marked numbers among 100", CG_CELL_LSTM, task_adding,
     5, false, "MSE", "MSE < 0.005", 400000},
    {"adding/gru", "two marked numbers among 100", CG_CELL_GRU, task_adding, 5,
     false, "MSE", "MSE < 0.005", 400000},
    {"adding/rnn", "the same with a tanh RNN", CG_CELL_RNN, task_adding, 1,
     true, "MSE", "shown failing or slow", 200000},
    {"order/lstm", "the order of two among 50 symbols", CG_CELL_LSTM,
     task_order, 5, false, "share right", "all right", 100000},
    {"reber/lstm", "the embedded Reber grammar, online", CG_CELL_LSTM,
     task_reber, 10, false, "strings known", "all, in 8440 strings", 8440},
    {"addition/gru", "binary sums of 20 bits after 14", CG_CELL_GRU,
     task_addition, 5, false, "sums exact", "all exact", 400000},
};
enum { N_TASKS = sizeof tasks / sizeof *tasks };
static const int quick_tasks[] = {4, 5};

enum { OPT_LIST = CLI_HELP + 1, OPT_SEED, OPT_SEEDS, OPT_MOST, OPT_THREADS,
       OPT_QUICK };

static const struct option long_options[] = {
    {"list", no_argument, NULL, OPT_LIST},
    {"seed", required_argument, NULL, OPT_SEED},
    {"seeds", required_argument, NULL, OPT_SEEDS},
    {"most", required_argument, NULL, OPT_MOST},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"quick", no_argument, NULL, OPT_QUICK},
    {"help", no_argument, NULL, CLI_HELP},
    {0}};

typedef struct command {
  uint64_t seed;
  int64_t seeds, most, threads;
  bool list, quick, help;
  bool chosen[N_TASKS];
} command;

static bool parse_option(void *command_line, int option) {
  command *c = command_line;
  switch (option) {
  case OPT_LIST: return c->list = true;
  case OPT_SEED: return cli_uint64("--seed", optarg, &c->seed);
  case OPT_SEEDS: return cli_int64("--seeds", optarg, 1, 1000, &c->seeds);
  case OPT_MOST: return cli_int64("--most", optarg, 1, 1000000000, &c->most);
  case OPT_THREADS: return cli_int64("--threads", optarg, 1, 256, &c->threads);
  default: return c->quick = true;
  }
}

static bool choose(command *c, const char *name) {
  bool found = false;
  for (int i = 0; i < N_TASKS; i++)
    if (strncmp(tasks[i].name, name, strlen(name)) == 0)
      found = c->chosen[i] = true;
  return found ||
         cli_fail("there is no experiment \"%s\"; --list shows them", name);
}

static bool parse(command *c, int argc, char **argv) {
  if (!cli_options(argc, argv, long_options, parse_option, c, &c->help))
    return false;
  if (c->help) return true;
  for (int i = optind; i < argc; i++)
    if (!choose(c, argv[i])) return false;
  for (int i = 0; optind == argc && i < N_TASKS; i++) c->chosen[i] = !c->quick;
  for (size_t i = 0; c->quick && optind == argc &&
                     i < sizeof quick_tasks / sizeof *quick_tasks; i++)
    c->chosen[quick_tasks[i]] = true;
  return true;
}

/* ---- runs ---- */

typedef struct run {
  const task *kind; /* in the table */
  task task;        /* with what the command line says */
  uint64_t seed;
  task_result result;
} run;

typedef struct plan {
  run *runs;
  int n;
  atomic_int next, done;
  double start;
  pthread_mutex_t print;
} plan;

static void print_run(plan *p, const run *r) {
  const task_result *x = &r->result;
  pthread_mutex_lock(&p->print);
  int done = atomic_fetch_add(&p->done, 1) + 1;
  printf("[%2d/%d %5.1f s] %-13s seed %-3llu ", done, p->n,
         cli_seconds() - p->start, r->task.name, (unsigned long long)r->seed);
  if (x->error.status)
    printf("ERROR: %s: %s\n", x->error.op, x->error.message);
  else
    printf("%s %-8.4g %7lld sequences %6.1f s  %s%s%s\n", r->task.score,
           x->score, (long long)x->sequences, x->seconds,
           x->solved ? "solved" : "not solved", *x->note ? "; " : "", x->note);
  fflush(stdout);
  pthread_mutex_unlock(&p->print);
}

static void *work(void *argument) {
  plan *p = argument;
  for (int i; (i = atomic_fetch_add(&p->next, 1)) < p->n;) {
    run *r = &p->runs[i];
    double start = cli_seconds();
    r->task.run(&r->task, r->seed, &r->result);
    r->result.seconds = cli_seconds() - start;
    print_run(p, r);
  }
  return NULL;
}

static int seeds_of(const command *c, const task *t) {
  if (c->seeds) return (int)c->seeds;
  return c->quick ? 1 : t->seeds;
}

static bool make_plan(plan *p, const command *c) {
  *p = (plan){.start = cli_seconds()};
  pthread_mutex_init(&p->print, NULL);
  int n = 0;
  for (int i = 0; i < N_TASKS; i++)
    if (c->chosen[i]) n += seeds_of(c, &tasks[i]);
  p->runs = calloc((size_t)n, sizeof *p->runs);
  if (!p->runs) return cli_fail("out of memory");
  for (int i = 0; i < N_TASKS; i++)
    for (int s = 0; c->chosen[i] && s < seeds_of(c, &tasks[i]); s++) {
      run *r = &p->runs[p->n++];
      *r = (run){.kind = &tasks[i], .task = tasks[i],
                 .seed = c->seed + (uint64_t)s};
      if (c->most) r->task.most = c->most;
    }
  return true;
}

static void execute(plan *p, int threads) {
  pthread_t thread[256];
  int started = 0;
  while (started < threads - 1 &&
         pthread_create(&thread[started], NULL, work, p) == 0)
    started++;
  work(p);
  while (started > 0) pthread_join(thread[--started], NULL);
}

/* ---- the verdict ---- */

static bool judge(const plan *p, const task *t) {
  int runs = 0, solved = 0;
  double worst = NAN, sequences = 0, seconds = 0;
  for (int i = 0; i < p->n; i++) {
    const task_result *r = &p->runs[i].result;
    if (p->runs[i].kind != t) continue;
    if (r->error.status) return false;
    runs++;
    solved += r->solved;
    sequences += (double)r->sequences;
    seconds += r->seconds;
    bool worse = *t->score == 'M' ? r->score > worst : r->score < worst;
    if (isnan(worst) || worse) worst = r->score;
  }
  if (!runs) return true;
  bool ok = t->shown_only || solved == runs;
  printf("%-13s %2d of %-2d  %-9.4g %10.0f %7.1f s  %-22s %s\n", t->name,
         solved, runs, worst, sequences / runs, seconds / runs, t->criterion,
         t->shown_only ? "-" : ok ? "met" : "NOT MET");
  return ok;
}

static int run_all(const command *c) {
  plan p;
  if (!make_plan(&p, c)) return CLI_BAD;
  execute(&p, (int)c->threads);
  printf("\n%-13s %-8s  %-9s %10s %9s  %-22s %s\n", "experiment", "solved",
         "worst", "sequences", "time", "criterion", "verdict");
  bool ok = true;
  for (int i = 0; i < N_TASKS; i++) ok = judge(&p, &tasks[i]) && ok;
  printf("\nseeds from %llu on; %.1f s in all: %s\n",
         (unsigned long long)c->seed, cli_seconds() - p.start,
         ok ? "every criterion was met" : "NOT every criterion was met");
  pthread_mutex_destroy(&p.print);
  free(p.runs);
  return ok ? CLI_OK : CLI_NO;
}

static void list(void) {
  for (int i = 0; i < N_TASKS; i++)
    printf("%-13s %-36s %2d seed%s %s\n", tasks[i].name, tasks[i].about,
           tasks[i].seeds, tasks[i].seeds == 1 ? ": " : "s:",
           tasks[i].criterion);
}

int main(int argc, char **argv) {
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  command c = {.seed = 1,
               .threads = processors < 1     ? 1
                          : processors > 256 ? 256
                                             : processors};
  if (!parse(&c, argc, argv)) return CLI_BAD;
  int status = CLI_OK;
  if (c.help)
    fputs(usage, stdout);
  else if (c.list)
    list();
  else
    status = run_all(&c);
  return cli_close_stdout() ? status : CLI_BAD;
}
