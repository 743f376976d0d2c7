/* test_rnn_golden.c - recurrent nets in a dozen configurations equal PyTorch's,
 * and variants that it computes step by step: outputs, last states and all
 * gradients (golden/make_rnn.py, make_rnn_variants.py). */
#include "nn_test.h"
#include "rnn_case.h"

#ifdef CG_HAVE_JANSSON

static const char *const files[] = {
    "rnn_bi",       "rnn_lengths",  "rnn_relu_bi_lengths",
    "rnn_no_bias_batch_first",      "lstm_bi",
    "lstm_lengths", "lstm_bi_lengths_batch_first",
    "lstm_proj",    "lstm_proj_bi_lengths",
    "gru_bi",       "gru_lengths",  "gru_bi_lengths_batch_first",
    "norm_rnn",     "norm_lstm",    "norm_gru",
    "gru_before"};

/* Of the file's arrays, those that are results. */
static int count_results(const cg_safetensors *file) {
  int n = 0;
  for (int i = 0; i < cg_safetensors_count(file); i++) {
    const char *name = cg_safetensors_at(file, i)->name;
    n += strncmp(name, "grad.", 5) == 0 || strcmp(name, "h") == 0 ||
         strcmp(name, "h_last") == 0 || strcmp(name, "c_last") == 0;
  }
  return n;
}

/* _i: the file, twice: in float64 and float32. */
START_TEST(all_is_pytorch_s) {
  char path[64], name[96];
  snprintf(path, sizeof path, "rnn/%s", files[_i / 2]);
  cg_safetensors *file = golden_open(path);
  rnn_case c = {0};
  cg_error err = {0};
  cg_status status = rnn_case_run(&c, file, _i % 2 ? CG_F32 : CG_F64, &err);
  ck_assert_msg(!status, "%s: %s", path, err.message);
  int compared = 0;
  for (int i = 0; true; i++) {
    const cg_tensor *x = rnn_case_item(&c, i, name, sizeof name);
    if (!name[0]) break;
    if (!x) continue;
    near_golden(file, "", name, x, _i % 2 ? 1e-5 : 1e-12);
    compared++;
  }
  ck_assert_int_eq(compared, count_results(file));
  rnn_case_free(&c);
  cg_safetensors_close(file);
}
END_TEST

#endif

int main(void) {
  TCase *tc = tcase_create("rnn_golden");
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, all_is_pytorch_s, 0, 2 * N_OF(files));
#endif
  return run_case("rnn_golden", tc);
}
