/* bptt_quantity.c - the quantities that are compared: names, shapes, memory,
 * and the file they are written to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bptt.h"
#include "cli.h"

static const struct {
  const char *name, *shape;
} quantities[Q_COUNT] = {
    [Q_LOSS] = {"loss", ""},          [Q_H] = {"h", "TBH"},
    [Q_LOGITS] = {"logits", "TBK"},   [Q_DELTA_O] = {"delta_o", "TBK"},
    [Q_DELTA_H] = {"delta_h", "TBH"}, [Q_DELTA_Z] = {"delta_z", "TBH"},
    [Q_W_XH] = {"W_xh", "HD"},        [Q_W_HH] = {"W_hh", "HH"},
    [Q_W_HY] = {"W_hy", "KH"},        [Q_B_H] = {"b_h", "H"},
    [Q_B_Y] = {"b_y", "K"},           [Q_H0] = {"h0", "BH"},
};

const char *bptt_name(bptt_quantity q) { return quantities[q].name; }

static int64_t size_of(const cg_bptt_problem *p, char letter) {
  switch (letter) {
  case 'T': return p->T;
  case 'B': return p->B;
  case 'D': return p->D;
  case 'H': return p->H;
  default: return p->K;
  }
}

int bptt_shape(const cg_bptt_problem *p, bptt_quantity q, int64_t shape[3]) {
  int rank = 0;
  for (const char *s = quantities[q].shape; *s; s++)
    shape[rank++] = size_of(p, *s);
  return rank;
}

int64_t bptt_numel(const cg_bptt_problem *p, bptt_quantity q) {
  int64_t shape[3], n = 1;
  int rank = bptt_shape(p, q, shape);
  for (int i = 0; i < rank; i++) n *= shape[i];
  return n;
}

/* ---- memory ---- */

bool bptt_figures_make(bptt_figures *f, const cg_bptt_problem *p) {
  size_t total = 0;
  for (int q = 0; q < Q_COUNT; q++) total += (size_t)bptt_numel(p, q);
  double *next = calloc(total, sizeof *next);
  *f = (bptt_figures){.block = next};
  if (!next) return cli_fail("out of memory for the results");
  for (int q = 0; q < Q_COUNT; q++) {
    f->of[q] = next;
    next += bptt_numel(p, q);
  }
  return true;
}

void bptt_figures_free(bptt_figures *f) {
  free(f->block);
  *f = (bptt_figures){0};
}

bptt_figures bptt_figures_of(cg_bptt_result *r) {
  return (bptt_figures){.of = {
                            [Q_LOSS] = &r->loss,
                            [Q_H] = r->h,
                            [Q_LOGITS] = r->o,
                            [Q_DELTA_O] = r->delta_o,
                            [Q_DELTA_H] = r->delta_h,
                            [Q_DELTA_Z] = r->delta_z,
                            [Q_W_XH] = r->dW_xh,
                            [Q_W_HH] = r->dW_hh,
                            [Q_W_HY] = r->dW_hy,
                            [Q_B_H] = r->db_h,
                            [Q_B_Y] = r->db_y,
                            [Q_H0] = r->dh_0,
                        }};
}

/* ---- the file ---- */

bool bptt_write(const char *path, const cg_bptt_problem *p,
                const bptt_figures *autograd, const bptt_figures *manual) {
  const bptt_figures *sides[] = {autograd, manual};
  const char *const prefixes[] = {"autograd", "manual"};
  char names[2 * Q_COUNT][24];
  cg_array arrays[2 * Q_COUNT] = {0};
  for (int i = 0; i < 2 * Q_COUNT; i++) {
    bptt_quantity q = i % Q_COUNT;
    int side = i / Q_COUNT;
    snprintf(names[i], sizeof names[i], "%s.%s", prefixes[side], bptt_name(q));
    arrays[i].name = names[i];
    arrays[i].dtype = CG_F64;
    arrays[i].rank = bptt_shape(p, q, arrays[i].shape);
    arrays[i].data = sides[side]->of[q];
  }
  cg_error err = {0};
  if (!cg_safetensors_write(path, arrays, 2 * Q_COUNT, NULL, 0, &err))
    return true;
  return cli_fail("--out: %s", err.message);
}
