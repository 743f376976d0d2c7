/* test_draw.c - the drawing of a graph: which nodes, edges and clusters it has,
 * and that Graphviz accepts it whatever the names. */
#include "draw_test.h"

/* ---- a tanh RNN of three steps ---- */

typedef struct net {
  cg_tensor *W_xh, *W_hh, *b_h, *x;
} net;

static net make_net(void) {
  net n = {named("W_xh", CG_DIMS(4, 2)), named("W_hh", CG_DIMS(4, 4)),
           named("b_h", CG_DIMS(4)), named("x", CG_DIMS(3, 1, 2))};
  cg_leaf_set_requires_grad(n.x, false);
  return n;
}

static void free_net(net *n) {
  cg_leaf_free(n->W_xh);
  cg_leaf_free(n->W_hh);
  cg_leaf_free(n->b_h);
  cg_leaf_free(n->x);
}

static cg_tensor *unroll(const net *n) {
  cg_tensor *h = cg_input(tape, CG_F64, CG_DIMS(1, 4), NULL);
  cg_scope_push(tape, "rnn");
  for (int t = 0; t < 3; t++) {
    cg_scope_push_index(tape, "t", t + 1);
    cg_tensor *x_t = cg_select(tape, n->x, 0, t);
    cg_tensor *z = cg_addmm(tape, n->b_h, x_t, n->W_xh, false, true);
    h = cg_tanh(tape, cg_addmm(tape, z, h, n->W_hh, false, true));
    cg_scope_pop(tape);
  }
  cg_scope_pop(tape);
  fine(tape);
  return cg_sum_all(tape, h);
}

START_TEST(unrolled_rnn) {
  net n = make_net();
  draw(unroll(&n), NULL);
  has("digraph", 1);
  has("label=\"W_hh\\n[4, 4] f64\"", 1);
  has("label=\"W_xh\\n[4, 2] f64\"", 1);
  has("label=\"b_h\\n[4] f64\"", 1);
  has("label=\"x\\n[3, 1, 2] f64\"", 1);
  has("label=\"input\\n[1, 4] f64\"", 1);
  has("label=\"tanh\\n[1, 4] f64\"", 3);
  has("label=\"addmm\\n", 6);
  has("label=\"select\\n[1, 2] f64\"", 3);
  has("label=\"sum\\n[] f64\"", 1);
  has("peripheries=2", 1);
  has(" -> ", 3 * (1 + 3 + 3 + 1) + 1);
  has(" -> n2 [color=gray60]", 1); /* x, which wants no gradient */
  const char *const parts[] = {">rnn<", ">t=1<", ">t=2<", ">t=3<", ">W_hh<"};
  dot_accepts(parts, N_OF(parts));
  free_net(&n);
}
END_TEST

START_TEST(scopes_are_nested_clusters) {
  net n = make_net();
  draw(unroll(&n), NULL);
  has("subgraph", 4);
  has("label=\"rnn\";", 1);
  has("label=\"t=2\";", 1);
  ck_assert_int_eq(depth_of("label=\"rnn\""), 2);
  ck_assert_int_eq(depth_of("label=\"t=1\""), 3);
  ck_assert_int_eq(depth_of("label=\"t=3\""), 3);
  ck_assert_int_eq(depth_of("label=\"tanh"), 3);
  ck_assert_int_eq(depth_of("label=\"sum"), 1);
  ck_assert_int_eq(depth_of("label=\"W_hh"), 1);
  ck_assert_int_eq(depth_of("label=\"input"), 1);
  ck_assert_int_eq(depth_of("->"), 1);
  ck_assert_int_eq(count("{"), count("}"));
  free_net(&n);
}
END_TEST

/* Entering a scope again continues its cluster: one name, and in the picture
 * one frame. */
START_TEST(a_scope_entered_twice) {
  cg_tensor *x = named("x", CG_DIMS(2)), *y = x;
  const char *const scopes[] = {"one", "two", "one"};
  for (int i = 0; i < 3; i++) {
    cg_scope_push(tape, scopes[i]);
    y = cg_tanh(tape, y);
    cg_scope_pop(tape);
  }
  draw(y, NULL);
  has("subgraph \"cluster2\"", 2);
  has("label=\"one\"", 2);
  has("subgraph", 3);
  dot_accepts(NULL, 0);
  if (have_dot()) {
    char command[2 * PATH_SIZE];
    snprintf(command, sizeof command,
             "test $(dot -Tsvg '%s' | grep -c 'class=\"cluster\"') = 2", file);
    ck_assert_int_eq(system(command), 0);
  }
  cg_leaf_free(x);
}
END_TEST

/* ---- nodes ---- */

START_TEST(a_leaf_is_drawn_once) {
  cg_tensor *w = named("w", CG_DIMS(2));
  cg_tensor *y = cg_mul(tape, w, w);
  cg_leaf_fill(w, 1.731); /* the tape now knows the leaf a second time */
  cg_scope_push(tape, "inside");
  y = cg_add(tape, y, cg_exp(tape, w));
  draw(y, NULL);
  has("label=\"w\\n", 1);
  ck_assert_int_eq(depth_of("label=\"w\\n"), 1);
  has(" -> ", 5);
  dot_accepts(NULL, 0);
  cg_leaf_free(w);
}
END_TEST

START_TEST(only_what_the_root_depends_on) {
  cg_tensor *w = named("w", CG_DIMS(2)), *v = named("v", CG_DIMS(2));
  cg_tensor *before = cg_exp(tape, v), *y = cg_tanh(tape, w);
  cg_square(tape, y);
  cg_add(tape, before, y);
  draw(y, NULL);
  has("label=\"tanh", 1);
  has("label=\"w\\n", 1);
  has(" [label=", 2);
  has(" -> ", 1);
  draw(w, NULL); /* a leaf alone */
  has(" [label=", 1);
  has(" -> ", 0);
  draw(cg_scalar(tape, CG_F32, 2.385), NULL); /* a constant alone */
  has("label=\"input\\n[] f32\"", 1);
  cg_tensor *cut = cg_square(tape, cg_detach(tape, y)); /* no gradient */
  draw(cut, NULL);
  has("label=\"detach\\n", 1);
  has("label=\"w\\n", 1);
  has(" -> ", 3);
  has("[color=gray60]", 2);
  cg_tape_set_recording(tape, false); /* and no history */
  draw(cg_exp(tape, y), NULL);
  has(" [label=", 1);
  cg_leaf_free(w);
  cg_leaf_free(v);
}
END_TEST

START_TEST(values_and_gradients) {
  const double values[] = {0.125, -2.5, 3e-7};
  cg_tensor *w = leaf_of(values, CG_DIMS(3)), *many = named("m", CG_DIMS(5));
  cg_leaf_set_name(w, "w");
  cg_tensor *y = cg_mul_scalar(tape, w, 2);
  cg_retain_grad(tape, y);
  cg_tensor *s = cg_sum_all(tape, y);
  s = cg_add(tape, s, cg_sum_all(tape, many));
  cg_backward(tape, s);
  draw(s, NULL);
  has("0.125", 0);
  has("\\ngrad ", 0);
  draw(s, &(cg_draw_options){.values = true});
  has("label=\"w\\n[3] f64\\n= 0.125, -2.5, 3e-07\"", 1);
  has("label=\"mul_scalar\\n[3] f64\\n= 0.25, -5, 6e-07\"", 1);
  has("label=\"m\\n[5] f64\"", 1); /* more than the default of 4 */
  has("\\ngrad ", 0);
  draw(s, &(cg_draw_options){.values = true, .gradients = true,
                             .max_values = 3});
  has("3e-07\\ngrad 2, 2, 2\"", 1);
  has("6e-07\\ngrad 1, 1, 1\"", 1);
  has("\\ngrad ", 2);
  draw(s, &(cg_draw_options){.values = true, .max_values = 2});
  has("0.125", 0);
  has("label=\"sum\\n[] f64\\n= -4.75\"", 1);
  has("label=\"add\\n[] f64\\n= -2.825\"", 1);
  draw(s, &(cg_draw_options){.values = true, .max_values = 5});
  has("label=\"m\\n[5] f64\\n= 0.385, 0.385, 0.385, 0.385, 0.385\"", 1);
  dot_accepts(NULL, 0);
  cg_leaf_free(w);
  cg_leaf_free(many);
}
END_TEST

/* ---- names ---- */

/* A gradient that a walk is busy with: one node, in the scope being visited. */
static cg_tensor *draw_gradient(cg_tape *t, cg_tensor *x, cg_tensor *g,
                                void *context) {
  (void)t, (void)x;
  draw(g, NULL);
  has("label=\"mul\\n[] f64\"", 1);
  has("label=\"outer\"", 1);
  has(" -> ", 0);
  *(int *)context += 1;
  return NULL;
}

START_TEST(a_gradient_in_a_hook) {
  int calls = 0;
  cg_tensor *v = scalar_leaf(0.7), *y = v;
  for (int i = 0; i < 5; i++) {
    cg_scope_push(tape, "another");
    cg_scope_pop(tape);
  }
  cg_scope_push(tape, "outer");
  for (int i = 0; i < 4; i++) {
    y = cg_mul(tape, y, v);
    if (i < 3) cg_hook(tape, y, draw_gradient, &calls);
  }
  cg_scope_pop(tape);
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  ck_assert_int_eq(calls, 3);
  near(cg_tensor_item(cg_tensor_grad(v)), 5 * pow(0.7, 4), 1e-14);
  cg_leaf_free(v);
}
END_TEST

START_TEST(hostile_names) {
  static const struct {
    const char *name, *drawn;
  } rows[] = {
      {"say \"hi\"", "say \\\"hi\\\""},
      {"back\\slash", "back\\\\slash"},
      {"ends in \\", "ends in \\\\"},
      {"two\nlines", "two\\nlines"},
      {"\\N \\G", "\\\\N \\\\G"},
      {"a&lt;b", "a&amp;lt;b"},
      {"tab\tbell\a", "tab?bell?"},
      {"h\xC3\xA9llo", "h\xC3\xA9llo"},
      {"bad \xC3 utf \xFF", "bad ? utf ?"},
      {"cut \xE2\x82", "cut ??"},
      {"{|<p>}", "{|<p>}"},
      {"\"]; x [label=\"", "\\\"]; x [label=\\\""},
      {"<b>html</b>", "<b>html</b>"},
  };
  for (int k = 0; k < N_OF(rows); k++) {
    cg_mark mark = cg_tape_mark(tape);
    cg_tensor *w = named(rows[k].name, CG_DIMS(2));
    cg_scope_push(tape, rows[k].name);
    cg_scope_push_index(tape, rows[k].name, -3);
    char part[128];
    draw(cg_exp(tape, w), NULL);
    snprintf(part, sizeof part, "[label=\"%s\\n[2] f64\"", rows[k].drawn);
    has(part, 1);
    snprintf(part, sizeof part, "    label=\"%s\";\n", rows[k].drawn);
    has(part, 1);
    snprintf(part, sizeof part, "      label=\"%s=-3\";\n", rows[k].drawn);
    has(part, 1);
    dot_accepts(NULL, 0);
    cg_tape_rewind(tape, mark);
    cg_leaf_free(w);
  }
}
END_TEST

START_TEST(names_as_they_are_drawn) {
  cg_tensor *w = named("q\"\\&amp;", CG_DIMS(2));
  draw(cg_exp(tape, w), NULL);
  const char *const parts[] = {">q&quot;\\&amp;amp;<"};
  dot_accepts(parts, 1);
  cg_leaf_free(w);
}
END_TEST

/* Paths that would read alike if they were joined carelessly. */
START_TEST(scopes_of_similar_names) {
  cg_tensor *w = named("w", CG_DIMS(2)), *y = w;
  const char *const paths[][2] = {{"a/1:b", "c"}, {"a", "b/1:c"}, {"a", "b"}};
  for (int k = 0; k < N_OF(paths); k++) {
    cg_scope_push(tape, paths[k][0]);
    cg_scope_push(tape, paths[k][1]);
    y = cg_tanh(tape, y);
    cg_scope_pop(tape);
    cg_scope_pop(tape);
  }
  cg_scope_push(tape, "t=1");
  y = cg_tanh(tape, y);
  cg_scope_pop(tape);
  cg_scope_push_index(tape, "t", 1);
  y = cg_tanh(tape, y);
  draw(y, NULL);
  dot_accepts(NULL, 0);
  cg_leaf_free(w);
}
END_TEST

START_TEST(deep_scopes) {
  cg_tensor *w = named("w", CG_DIMS(2)), *y = w;
  for (int k = 0; k < 200; k++) {
    cg_scope_push_index(tape, "level", k);
    y = cg_tanh(tape, y);
  }
  draw(y, NULL);
  has("label=\"tanh", 200);
  has("label=\"level=199\"", 1);
  ck_assert_int_eq(count("{"), count("}"));
  cg_leaf_free(w);
}
END_TEST

/* ---- size ---- */

START_TEST(a_long_chain) {
  enum { STEPS = 100000 };
  cg_tensor *w = named("w", 0, NULL), *y = w;
  for (int t = 0; t < STEPS; t++) {
    if (t % 10 == 0) {
      if (t) cg_scope_pop(tape);
      cg_scope_push_index(tape, "t", t);
    }
    y = cg_tanh(tape, y);
  }
  draw(y, &(cg_draw_options){.longest_row = -1});
  has(" -> ", STEPS);
  has("subgraph", STEPS / 10);
  cg_leaf_free(w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("draw");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, unrolled_rnn);
  tcase_add_test(tc, scopes_are_nested_clusters);
  tcase_add_test(tc, a_scope_entered_twice);
  tcase_add_test(tc, a_leaf_is_drawn_once);
  tcase_add_test(tc, only_what_the_root_depends_on);
  tcase_add_test(tc, values_and_gradients);
  tcase_add_test(tc, a_gradient_in_a_hook);
  tcase_add_test(tc, hostile_names);
  tcase_add_test(tc, names_as_they_are_drawn);
  tcase_add_test(tc, scopes_of_similar_names);
  tcase_add_test(tc, deep_scopes);
  tcase_add_test(tc, a_long_chain);
  return run_case("draw", tc);
}
