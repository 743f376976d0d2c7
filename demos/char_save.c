/* char_save.c - keeping a trained model. */
#include "char_save.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo.h"

static int fail(const cg_error *err, const char *path) {
  demo_fail_cg(err, "cannot save the model to %s", path);
  return DEMO_FAILED;
}

static int try_beside(const char_model *m, const char *path) {
  char beside[PATH_MAX];
  int length = snprintf(beside, sizeof beside, "%s.try-%ld", path,
                        (long)getpid());
  if (length < 0 || (size_t)length >= sizeof beside)
    return demo_fail(DEMO_USAGE, "the name of the model file is too long");
  cg_error err = {0};
  cg_status status = char_model_save(m, beside, &err);
  if (status) return fail(&err, path);
  unlink(beside);
  return DEMO_OK;
}

int char_save_try(const char_model *m, const char *path) {
  struct stat info;
  cg_error err = {0};
  if (stat(path, &info) != 0 || S_ISREG(info.st_mode))
    return try_beside(m, path);
  if (S_ISDIR(info.st_mode))
    return demo_fail(DEMO_USAGE,
                     "cannot save the model to %s: it is a directory", path);
  if (!S_ISCHR(info.st_mode)) return DEMO_OK;
  return char_model_save(m, path, &err) ? fail(&err, path) : DEMO_OK;
}

int char_save(const char_model *m, const char *path) {
  cg_error err = {0};
  if (!char_model_save(m, path, &err)) return DEMO_OK;
  fail(&err, path);
  const char *temp = getenv("TMPDIR");
  char rescue[PATH_MAX];
  int length = snprintf(rescue, sizeof rescue - 32, "%s/char_rnn-XXXXXX",
                        temp && *temp ? temp : "/tmp");
  if (length < 0 || (size_t)length >= sizeof rescue - 32 || !mkdtemp(rescue))
    return demo_fail(DEMO_FAILED, "there is no place to save the model");
  snprintf(rescue + length, 32, "/model.safetensors");
  if (char_model_save(m, rescue, &err)) return fail(&err, rescue);
  return demo_fail(DEMO_FAILED, "the model was saved to %s instead", rescue);
}
