/* groups.h - the groups of rows, in the order of the table. */
#define BENCH_GROUPS(X) \
  X(train)              \
  X(threads)            \
  X(scalar)             \
  X(elementwise)        \
  X(matmul)             \
  X(stream)             \
  X(cell)               \
  X(memory)             \
  X(optimizer)          \
  X(startup)            \
  X(long)               \
  X(vanish)             \
  X(hvp)

#define BENCH_DECLARE(group) void rows_##group(void);
BENCH_GROUPS(BENCH_DECLARE)
#undef BENCH_DECLARE
