/* test_draw_fold.c - large graphs stay readable: rows of like scopes and ops
 * are folded, and what a recorded walk applied is told apart. */
#include "draw_test.h"

/* ---- helpers ---- */

static const cg_draw_options whole = {.longest_row = -1};

/* h_t = tanh(h_{t-1} W) in a scope t=.. per step. */
static cg_tensor *chain(cg_tensor *W, int first, int steps, cg_tensor *h) {
  for (int t = first; t < first + steps; t++) {
    cg_scope_push_index(tape, "t", t);
    h = cg_tanh(tape, cg_matmul(tape, h, W));
    cg_scope_pop(tape);
  }
  fine(tape);
  return h;
}

static cg_tensor *start(void) {
  return cg_full(tape, CG_F64, CG_DIMS(2, 3), 0.385);
}

/* ---- scopes ---- */

START_TEST(a_long_row_is_folded) {
  enum { T = 1000 };
  cg_tensor *W = named("W", CG_DIMS(3, 3));
  cg_tensor *loss = cg_sum_all(tape, chain(W, 0, T, start()));
  draw(loss, NULL);
  has("label=\"t=0\";", 1);
  has("label=\"t=1\";", 1);
  has("label=\"t=999\";", 1);
  has("subgraph", 3);
  has("label=\"...\\nt=2 to t=998\\n997 more like these\\n...\"", 1);
  has(" [label=", 2 + 3 * 2 + 1 + 1);
  has("-> f", 2); /* W and the second step */
  has(" f4 -> ", 1); /* the last */
  has(" -> ", 3 * 3 + 1 + 2);
  ck_assert_int_eq(count("{"), count("}"));
  const char *const parts[] = {">t=0<", ">t=999<", ">997 more like these<"};
  dot_accepts(parts, N_OF(parts));
  draw(loss, &whole);
  has("subgraph", T);
  has("label=\"...", 0);
  cg_leaf_free(W);
}
END_TEST

/* How long rows may be: 0 stands for 6, and three always stay. */
START_TEST(how_long_a_row) {
  static const struct {
    int steps;
    int64_t longest;
    int left; /* out */
  } rows[] = {{6, 0, 0}, {7, 0, 4}, {7, 7, 0}, {8, 7, 5},
              {4, 1, 1}, {3, 1, 0}, {9, -1, 0}};
  cg_tensor *W = named("W", CG_DIMS(3, 3));
  for (int k = 0; k < N_OF(rows); k++) {
    cg_mark mark = cg_tape_mark(tape);
    draw(chain(W, 0, rows[k].steps, start()),
         &(cg_draw_options){.longest_row = rows[k].longest});
    char part[64];
    snprintf(part, sizeof part, "\\n%d more like these", rows[k].left);
    has(part, rows[k].left > 0);
    has("subgraph", rows[k].steps - rows[k].left);
    has("peripheries=2", 1);
    cg_tape_rewind(tape, mark);
  }
  cg_leaf_free(W);
}
END_TEST

/* A step that is different stays, and parts the row. */
START_TEST(an_odd_step_is_drawn) {
  cg_tensor *W = named("W", CG_DIMS(3, 3)), *h = chain(W, 0, 20, start());
  cg_scope_push_index(tape, "t", 20);
  h = cg_sigmoid(tape, cg_matmul(tape, h, W));
  cg_scope_pop(tape);
  h = chain(W, 21, 20, h);
  cg_scope_push(tape, "end"); /* another name */
  h = cg_tanh(tape, cg_matmul(tape, h, W));
  draw(h, NULL);
  has("t=2 to t=18\\n17 more", 1);
  has("label=\"t=20\";", 1);
  has("label=\"sigmoid", 1);
  has("t=23 to t=39\\n17 more", 1);
  has("label=\"t=40\";", 1);
  has("label=\"end\";", 1);
  has("subgraph", 3 + 1 + 3 + 1);
  dot_accepts(NULL, 0);
  cg_leaf_free(W);
}
END_TEST

/* The same ops on other shapes are something else. */
START_TEST(other_shapes_are_not_alike) {
  cg_tensor *x = named("x", CG_DIMS(2)), *sum = NULL;
  for (int t = 0; t < 10; t++) {
    cg_scope_push_index(tape, "t", t);
    cg_tensor *y = cg_sum_all(tape, cg_expand(tape, x, CG_DIMS(t + 1, 2)));
    sum = sum ? cg_add(tape, sum, y) : y;
    cg_scope_pop(tape);
  }
  draw(sum, NULL);
  has("subgraph", 10);
  has("label=\"...", 0);
  cg_leaf_free(x);
}
END_TEST

/* Layers in steps: the inner rows are folded in the steps that are drawn. */
START_TEST(nested_rows) {
  enum { T = 30, LAYERS = 12 };
  cg_tensor *W = named("W", CG_DIMS(3, 3)), *h = start();
  for (int t = 0; t < T; t++) {
    cg_scope_push_index(tape, "t", t);
    for (int k = 0; k < LAYERS; k++) {
      char name[16];
      snprintf(name, sizeof name, "layer%d", k);
      cg_scope_push(tape, name);
      h = cg_tanh(tape, cg_matmul(tape, h, W));
      cg_scope_pop(tape);
    }
    cg_scope_pop(tape);
  }
  draw(h, NULL);
  has("t=2 to t=28\\n27 more like these", 1);
  has("layer2 to layer10\\n9 more like these", 3);
  has("subgraph", 3 + 3 * 3);
  ck_assert_int_eq(depth_of("label=\"...\\nlayer2"), 2);
  ck_assert_int_eq(depth_of("label=\"...\\nt=2"), 1);
  dot_accepts(NULL, 0);
  cg_leaf_free(W);
}
END_TEST

/* The root is drawn, also in the midst of a row: clusters stand in the order in
 * which their scopes were first opened. */
START_TEST(the_root_is_never_folded) {
  cg_tensor *W = named("W", CG_DIMS(3, 3));
  for (int t = 0; t < 20; t++) {
    cg_scope_push_index(tape, "t", t);
    cg_scope_pop(tape);
  }
  draw(chain(W, 0, 10, chain(W, 10, 10, start())), NULL);
  has("peripheries=2", 1);
  has("label=\"t=9\";", 1);
  has("\\n7 more like these", 2); /* 2 to 8, 12 to 18 */
  has("subgraph", 3 + 3);
  dot_accepts(NULL, 0);
  cg_leaf_free(W);
}
END_TEST

/* What lies between the steps stays, with edges to the ellipsis, one each. */
START_TEST(edges_into_a_fold) {
  cg_tensor *W = named("W", CG_DIMS(3, 3)), *h = start(), *seen[40];
  for (int t = 0; t < N_OF(seen); t++) seen[t] = h = chain(W, t, 1, h);
  cg_tensor *all = cg_stack(tape, seen, N_OF(seen), 0);
  draw(cg_sum_all(tape, cg_mul(tape, all, all)), NULL);
  has("-> f4;", 2);
  has("f4 -> ", 2); /* the last step, and once the stack */
  has("t=2 to t=38", 1);
  dot_accepts(NULL, 0);
  cg_leaf_free(W);
}
END_TEST

/* ---- ops ---- */

START_TEST(ops_on_one_operand) {
  enum { T = 50 };
  cg_tensor *x = named("x", CG_DIMS(T, 2)), *parts[T];
  for (int t = 0; t < T; t++) parts[t] = cg_select(tape, x, 0, t);
  cg_tensor *all = cg_stack(tape, parts, T, 0);
  draw(all, NULL);
  has("label=\"select\\n[2] f64\"", 3);
  has("label=\"...\\nselect\\n47 more like these\\n...\"", 1);
  has(" -> ", 4 + 4);
  dot_accepts(NULL, 0);
  draw(parts[20], NULL);
  has("label=\"select", 1);
  draw(all, &whole);
  has("label=\"select", T);
  cg_tensor *y = x; /* a chain is no row: each has another operand */
  for (int t = 0; t < T; t++) y = cg_tanh(tape, y);
  draw(y, NULL);
  has("label=\"tanh", T);
  cg_leaf_free(x);
}
END_TEST

/* ---- backward ---- */

START_TEST(a_recorded_walk_is_told_apart) {
  cg_tensor *w = named("w", CG_DIMS(3)), *g;
  cg_scope_push(tape, "net");
  cg_tensor *y = cg_sum_all(tape, cg_tanh(tape, w));
  cg_scope_pop(tape);
  cg_grad(tape, &y, 1, NULL, &w, 1, &g, CG_CREATE_GRAPH);
  fine(tape);
  draw(y, NULL); /* the forward part alone */
  has("backward", 0);
  cg_tensor *norm = cg_sum_all(tape, cg_square(tape, g));
  draw(norm, NULL);
  ck_assert_int_gt(count("label=\"backward\";"), 0);
  ck_assert_int_gt(count("label=\"net\";"), 1);
  ck_assert_int_eq(depth_of("label=\"backward\""), 2);
  ck_assert_int_eq(depth_of("label=\"tanh\\n"), 2);
  ck_assert_int_eq(depth_of("label=\"tanh_grad\\n"), 3);
  ck_assert_int_eq(depth_of("label=\"square\\n"), 1);
  has("label=\"tanh_grad\\n[3] f64\", fillcolor=\"#d8efdc\"", 1);
  has("label=\"tanh\\n[3] f64\", fillcolor=\"#fff3cd\"", 1);
  const char *const parts[] = {">backward<", ">tanh_grad<"};
  dot_accepts(parts, N_OF(parts));
  cg_leaf_free(w);
}
END_TEST

/* Steps there and back, sums of the two gradients of each h_t included. */
START_TEST(a_long_walk_is_folded) {
  enum { T = 1000 };
  cg_tensor *W = named("W", CG_DIMS(3, 3)), *h = start(), *g;
  static cg_tensor *seen[T];
  for (int t = 0; t < T; t++) seen[t] = h = chain(W, t, 1, h);
  cg_tensor *y = cg_sum_all(tape, cg_stack(tape, seen, T, 0));
  cg_grad(tape, &y, 1, NULL, &W, 1, &g, CG_CREATE_GRAPH);
  fine(tape);
  draw(cg_sum_all(tape, cg_square(tape, g)), NULL);
  ck_assert_int_lt(count(" [label="), 80);
  ck_assert_int_lt(count(" -> "), 200);
  has("label=\"t=999\";", 2);
  dot_accepts(NULL, 0);
  cg_leaf_free(W);
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_of_a_folded_drawing) {
  counter c;
  counter_init(&c);
  cg_tape *mine = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  cg_tape *other = tape;
  tape = mine;
  cg_tensor *W = named("W", CG_DIMS(3, 3)), *h = chain(W, 0, 50, start());
  cg_tensor *x = cg_add(tape, h, h), *parts[20];
  for (int i = 0; i < N_OF(parts); i++) parts[i] = cg_neg(tape, x);
  h = cg_stack(tape, parts, N_OF(parts), 0);
  size_t held = cg_tape_get_stats(tape).bytes_held, n = 1;
  for (cg_status status = CG_ERR_NOMEM; status; n++) {
    c.fail_at = c.calls + n;
    cg_error err = {0};
    status = cg_draw(tape, h, file, NULL, &err);
    ck_assert_int_eq(err.status, status);
    ck_assert_int_eq(status, c.calls < c.fail_at ? CG_OK : CG_ERR_NOMEM);
    ck_assert_int_eq(access(file, F_OK) == 0, status == CG_OK);
    ck_assert_uint_eq(cg_tape_get_stats(tape).bytes_held, held);
  }
  ck_assert_uint_gt(n, 7);
  cg_tape_free(mine);
  tape = other;
  cg_leaf_free(W);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("draw_fold");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, a_long_row_is_folded);
  tcase_add_test(tc, how_long_a_row);
  tcase_add_test(tc, an_odd_step_is_drawn);
  tcase_add_test(tc, other_shapes_are_not_alike);
  tcase_add_test(tc, nested_rows);
  tcase_add_test(tc, the_root_is_never_folded);
  tcase_add_test(tc, edges_into_a_fold);
  tcase_add_test(tc, ops_on_one_operand);
  tcase_add_test(tc, a_recorded_walk_is_told_apart);
  tcase_add_test(tc, a_long_walk_is_folded);
  tcase_add_test(tc, memory_of_a_folded_drawing);
  return run_case("draw_fold", tc);
}
