/* test_op_table.c - every registered op says what it computes, and the printed
 * table has a whole row for each. */
#include <stdio.h>

#include "engine_test.h"

START_TEST(every_op_is_documented) {
  const cg_op *op = cg_op_at(_i);
  ck_assert_msg(op->name && *op->name, "op %d has no name", _i);
  ck_assert_msg(op->formula && *op->formula, "%s has no formula", op->name);
  ck_assert_msg(op->derivative && *op->derivative, "%s has no derivative",
                op->name);
  ck_assert_msg(op->n_cases > 0 && op->cases[0].in, "%s has no case",
                op->name);
  ck_assert_ptr_eq(cg_op_find(op->name), op); /* no other has the name */
}
END_TEST

/* Bars between cells; those in a cell have a backslash. */
static int bars(const char *line) {
  int n = 0;
  for (const char *p = line; *p; p++) n += *p == '|' && p[-(p > line)] != '\\';
  return n;
}

START_TEST(the_table_is_whole) {
  FILE *table = popen(CG_OP_TABLE, "r");
  ck_assert_ptr_nonnull(table);
  char line[1024];
  int rows = 0;
  while (fgets(line, sizeof line, table)) {
    if (line[0] != '|') continue;
    ck_assert_msg(bars(line) == 6, "%s", line);
    int i = rows++ - 2; /* a head and a rule come first */
    if (i < 0) continue;
    ck_assert_int_lt(i, cg_op_count());
    char name[64] = "| ", *end = name + 2;
    for (const char *p = cg_op_at(i)->name; *p; *end++ = *p++)
      if (*p == '_') *end++ = '\\';
    strcpy(end, " |");
    ck_assert_msg(!strncmp(line, name, strlen(name)), "%s: %s", name, line);
  }
  ck_assert_int_eq(pclose(table), 0);
  ck_assert_int_eq(rows, 2 + cg_op_count());
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("op_table");
  tcase_add_loop_test(tc, every_op_is_documented, 0, cg_op_count());
  tcase_add_test(tc, the_table_is_whole);
  return run_case("op_table", tc);
}
