/* test_draw.c - the drawing of a graph: which nodes, edges and clusters it has,
 * that Graphviz accepts it whatever the names, and what is left of it when
 * writing fails. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_test.h"

#define PATH_SIZE 512

static cg_tape *tape;
static char directory[PATH_SIZE / 2], file[PATH_SIZE];
static char *text; /* of the last drawing */

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
  const char *base = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/test_draw.XXXXXX",
           base ? base : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(directory));
  snprintf(file, sizeof file, "%s/graph.dot", directory);
}

static void teardown(void) {
  cg_tape_free(tape);
  free(text);
  text = NULL;
  unlink(file);
  ck_assert_msg(rmdir(directory) == 0, "%s is not empty", directory);
}

/* ---- helpers ---- */

static char *read_whole(const char *path) {
  FILE *in = fopen(path, "rb");
  ck_assert_ptr_nonnull(in);
  fseek(in, 0, SEEK_END);
  size_t size = (size_t)ftell(in);
  rewind(in);
  char *bytes = malloc(size + 1);
  ck_assert_ptr_nonnull(bytes);
  ck_assert_uint_eq(fread(bytes, 1, size, in), size);
  bytes[size] = '\0';
  fclose(in);
  return bytes;
}

static void draw(cg_tensor *root, const cg_draw_options *options) {
  cg_error err = {0};
  cg_status status = cg_draw(tape, root, file, options, &err);
  ck_assert_msg(status == CG_OK, "%s", err.message);
  free(text);
  text = read_whole(file);
}

static int count(const char *part) {
  int n = 0;
  for (const char *p = text; (p = strstr(p, part)); p += strlen(part)) n++;
  return n;
}

static void has(const char *part, int times) {
  int n = count(part);
  ck_assert_msg(n == times, "\"%s\" is there %d times, not %d, in\n%s", part, n,
                times, text);
}

static bool have_dot(void) {
  return system("dot -V >/dev/null 2>&1") == 0;
}

/* Graphviz reads it without a word and keeps `parts` (in SVG). */
static void dot_accepts(const char *const *parts, int n_parts) {
  if (!have_dot()) return;
  char command[3 * PATH_SIZE];
  snprintf(command, sizeof command, "cd '%s' && dot -Tsvg graph.dot >svg 2>log",
           directory);
  int status = system(command);
  char path[PATH_SIZE + 8];
  snprintf(path, sizeof path, "%s/log", directory);
  char *log = read_whole(path);
  unlink(path);
  snprintf(path, sizeof path, "%s/svg", directory);
  char *svg = read_whole(path);
  unlink(path);
  ck_assert_msg(status == 0 && !*log, "dot says: %s\n%s", log, text);
  for (int i = 0; i < n_parts; i++)
    ck_assert_msg(strstr(svg, parts[i]), "the picture lacks %s\n%s", parts[i],
                  svg);
  free(log);
  free(svg);
}

static cg_tensor *named(const char *name, int rank, const int64_t *shape) {
  cg_tensor *x = leaf_of(NULL, rank, shape);
  cg_leaf_fill(x, 0.385);
  cg_leaf_set_name(x, name);
  return x;
}

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

/* The depth of braces at which `part` stands. */
static int depth_of(const char *part) {
  const char *end = strstr(text, part);
  ck_assert_msg(end != NULL, "no %s", part);
  int depth = 0;
  for (const char *p = text; p < end; p++) depth += (*p == '{') - (*p == '}');
  return depth;
}

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
  has("subgraph \"cluster/3:one\"", 2);
  has("subgraph \"cluster/3:two\"", 1);
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
  draw(y, NULL);
  has(" -> ", STEPS);
  has("subgraph", STEPS / 10);
  cg_leaf_free(w);
}
END_TEST

START_TEST(memory_is_given_back) {
  counter c;
  counter_init(&c);
  cg_tape *t = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  cg_tensor *w = named("w", 0, NULL), *y = w;
  for (int k = 0; k < 100; k++) y = cg_tanh(t, y);
  size_t nodes = cg_tape_get_stats(t).nodes;
  size_t held = cg_tape_get_stats(t).bytes_held, blocks = c.live_blocks;
  for (size_t n = 1; n < 20; n++) {
    c.fail_at = c.calls + n;
    cg_error err = {0};
    cg_status status = cg_draw(t, y, file, NULL, &err);
    ck_assert_int_eq(err.status, status);
    ck_assert_int_eq(status, c.calls < c.fail_at ? CG_OK : CG_ERR_NOMEM);
    ck_assert_int_eq(access(file, F_OK) == 0, status == CG_OK);
    unlink(file);
    ck_assert_uint_eq(cg_tape_get_stats(t).bytes_held, held);
    ck_assert_uint_eq(c.live_blocks, blocks);
  }
  fine(t);
  ck_assert_uint_eq(cg_tape_get_stats(t).nodes, nodes);
  cg_tape_free(t);
  cg_leaf_free(w);
}
END_TEST

/* ---- files ---- */

static int files_there(void) {
  int n = 0;
  DIR *dir = opendir(directory);
  ck_assert_ptr_nonnull(dir);
  while (readdir(dir)) n++;
  closedir(dir);
  return n - 2; /* . and .. */
}

/* Drawing to `path` fails with IO and says so about the path. */
static void cannot_draw(const char *path) {
  cg_tensor *w = named("w", CG_DIMS(2));
  cg_tensor *y = cg_exp(tape, w);
  for (int k = 0; k < 200; k++) y = cg_tanh(tape, y); /* more than a buffer */
  cg_error err = {0};
  ck_assert_int_eq(cg_draw(tape, y, path, NULL, &err), CG_ERR_IO);
  ck_assert_int_eq(err.status, CG_ERR_IO);
  ck_assert_str_eq(err.op, "draw");
  if (strlen(path) < 200)
    ck_assert_msg(strstr(err.message, path), "%s: %s", path, err.message);
  ck_assert_int_eq(cg_draw(tape, y, path, NULL, NULL), CG_ERR_IO);
  fine(tape); /* the tape has nothing to do with it */
  cg_leaf_free(w);
}

START_TEST(full_device) {
  if (access("/dev/full", W_OK) != 0) return;
  cannot_draw("/dev/full");
  struct stat info;
  ck_assert_int_eq(stat("/dev/full", &info), 0);
  ck_assert(S_ISCHR(info.st_mode));
}
END_TEST

START_TEST(places_that_cannot_be_written) {
  char path[2 * PATH_SIZE];
  snprintf(path, sizeof path, "%s/none/graph.dot", directory);
  cannot_draw(path);
  cannot_draw(directory);
  cannot_draw("");
  draw(cg_scalar(tape, CG_F64, 1), NULL);
  snprintf(path, sizeof path, "%s/below", file);
  cannot_draw(path);
  char *longest = malloc(6000);
  memset(longest, 'x', 5999);
  longest[5999] = '\0';
  cannot_draw(longest);
  free(longest);
  ck_assert_int_eq(files_there(), 1);
}
END_TEST

START_TEST(unwritable_directory) {
  if (geteuid() == 0) { /* root may write everywhere but there */
    if (access("/proc/self", F_OK) == 0) cannot_draw("/proc/self/graph.dot");
    return;
  }
  ck_assert_int_eq(chmod(directory, 0500), 0);
  cannot_draw(file);
  ck_assert_int_eq(files_there(), 0);
  ck_assert_int_eq(chmod(directory, 0700), 0);
}
END_TEST

/* The file may grow to 5000 bytes only: writing fails half-way. Tests run in
 * processes of their own, so the limit ends with this one. */
START_TEST(no_room) {
  draw(cg_scalar(tape, CG_F64, 1), NULL);
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit;
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = 5000;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  cannot_draw(file);
  limit.rlim_cur = before;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  ck_assert_int_eq(files_there(), 1); /* the old one, as it was */
  char *now = read_whole(file);
  ck_assert_str_eq(now, text);
  free(now);
}
END_TEST

START_TEST(null_device) {
  cg_tensor *x = cg_scalar(tape, CG_F64, 1);
  ck_assert_int_eq(cg_draw(tape, x, "/dev/null", NULL, NULL), CG_OK);
  struct stat info;
  ck_assert_int_eq(stat("/dev/null", &info), 0);
  ck_assert(S_ISCHR(info.st_mode));
}
END_TEST

/* An existing file is replaced as a whole; a link stays a link; a failure to
 * draw leaves the old file. */
START_TEST(replacing_a_file) {
  cg_tensor *x = cg_scalar(tape, CG_F64, 1), *y = cg_exp(tape, x);
  for (int k = 0; k < 100; k++) y = cg_tanh(tape, y);
  draw(y, NULL);
  draw(x, NULL);
  has("tanh", 0);
  ck_assert_int_eq(files_there(), 1);
  char link_path[PATH_SIZE];
  snprintf(link_path, sizeof link_path, "%s/link.dot", directory);
  ck_assert_int_eq(symlink(file, link_path), 0);
  ck_assert_int_eq(cg_draw(tape, cg_exp(tape, x), link_path, NULL, NULL),
                   CG_OK);
  struct stat info;
  ck_assert_int_eq(lstat(link_path, &info), 0);
  ck_assert(S_ISLNK(info.st_mode));
  unlink(link_path);
  free(text);
  text = read_whole(file);
  has("label=\"exp", 1);
  ck_assert_int_eq(cg_draw(tape, NULL, file, NULL, NULL), CG_ERR_ARG);
  char *now = read_whole(file);
  ck_assert_str_eq(now, text);
  free(now);
  ck_assert_int_eq(files_there(), 1);
}
END_TEST

/* ---- arguments ---- */

START_TEST(bad_arguments) {
  cg_error err = {0};
  cg_tensor *w = named("w", CG_DIMS(2));
  ck_assert_int_eq(cg_draw(NULL, w, file, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_int_eq(cg_draw(tape, w, NULL, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_draw(tape, NULL, file, NULL, &err), CG_ERR_ARG);
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *y = cg_exp(tape, w);
  cg_tape_rewind(tape, mark);
  ck_assert_int_eq(cg_draw(tape, y, file, NULL, &err), CG_ERR_STALE);
  ck_assert_int_eq(err.status, CG_ERR_STALE);
  fine(tape);
  ck_assert_int_eq(files_there(), 0);
  cg_leaf_free(w);
}
END_TEST

/* After a failure one wants to see how far it went. */
START_TEST(a_tape_with_an_error) {
  cg_tensor *w = named("w", CG_DIMS(2, 3));
  cg_tensor *y = cg_exp(tape, w);
  ck_assert_ptr_null(cg_matmul(tape, y, y));
  draw(y, NULL);
  has("label=\"exp", 1);
  cg_error err = {0};
  ck_assert_int_eq(cg_draw(tape, NULL, file, NULL, &err), CG_ERR_SHAPE);
  ck_assert_str_eq(err.op, "matmul");
  failed(tape, CG_ERR_SHAPE, "matmul", "[2, 3]");
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
  tcase_add_test(tc, hostile_names);
  tcase_add_test(tc, names_as_they_are_drawn);
  tcase_add_test(tc, scopes_of_similar_names);
  tcase_add_test(tc, deep_scopes);
  tcase_add_test(tc, a_long_chain);
  tcase_add_test(tc, memory_is_given_back);
  tcase_add_test(tc, full_device);
  tcase_add_test(tc, places_that_cannot_be_written);
  tcase_add_test(tc, unwritable_directory);
  tcase_add_test(tc, no_room);
  tcase_add_test(tc, null_device);
  tcase_add_test(tc, replacing_a_file);
  tcase_add_test(tc, bad_arguments);
  tcase_add_test(tc, a_tape_with_an_error);
  return run_case("draw", tc);
}
