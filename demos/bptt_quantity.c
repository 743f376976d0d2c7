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
    [Q_DELTA_H] = {"delta_h", "TBH"}, [Q_DELTA_Z] = {"delta_z", "TBG"},
    [Q_W_XH] = {"W_xh", "GD"},        [Q_W_HH] = {"W_hh", "GH"},
    [Q_W_HY] = {"W_hy", "KH"},        [Q_B_H] = {"b_h", "G"},
    [Q_B_HH] = {"b_hh", "G"},         [Q_B_Y] = {"b_y", "K"},
    [Q_H0] = {"h0", "BH"},            [Q_C0] = {"c0", "BH"},
};

const char *bptt_name(bptt_quantity q) { return quantities[q].name; }

bool bptt_has(const bptt_case *c, bptt_quantity q) {
  if (q == Q_DELTA_Z) return c->cell != CG_CELL_GRU;
  if (q == Q_B_HH) return c->cell != CG_CELL_RNN;
  return q != Q_C0 || c->cell == CG_CELL_LSTM;
}

/* G stands for the rows of all gates. */
static int64_t size_of(const bptt_case *c, char letter) {
  switch (letter) {
  case 'T': return c->p.T;
  case 'B': return c->p.B;
  case 'D': return c->p.D;
  case 'G': return c->gates * c->p.H;
  case 'H': return c->p.H;
  default: return c->p.K;
  }
}

int bptt_shape(const bptt_case *c, bptt_quantity q, int64_t shape[3]) {
  int rank = 0;
  for (const char *s = quantities[q].shape; *s; s++)
    shape[rank++] = size_of(c, *s);
  return rank;
}

int64_t bptt_numel(const bptt_case *c, bptt_quantity q) {
  int64_t shape[3], n = 1;
  int rank = bptt_shape(c, q, shape);
  for (int i = 0; i < rank; i++) n *= shape[i];
  return bptt_has(c, q) ? n : 0;
}

/* ---- memory ---- */

bool bptt_figures_make(bptt_figures *f, const bptt_case *c) {
  size_t total = 0;
  for (int q = 0; q < Q_COUNT; q++) total += (size_t)bptt_numel(c, q);
  double *next = calloc(total, sizeof *next);
  *f = (bptt_figures){.block = next};
  if (!next) return cli_fail("out of memory for the results");
  for (int q = 0; q < Q_COUNT; q++) {
    if (bptt_has(c, q)) f->of[q] = next;
    next += bptt_numel(c, q);
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

bool bptt_write(const char *path, const bptt_case *c,
                const bptt_figures *autograd, const bptt_figures *manual) {
  const bptt_figures *sides[] = {autograd, manual};
  const char *const prefixes[] = {"autograd", "manual"};
  char names[2 * Q_COUNT][24];
  cg_array arrays[2 * Q_COUNT] = {0};
  int n = 0;
  for (int i = 0; i < 2 * Q_COUNT; i++) {
    bptt_quantity q = i % Q_COUNT;
    int side = i / Q_COUNT;
    if (!sides[side]->of[q]) continue;
    snprintf(names[n], sizeof names[n], "%s.%s", prefixes[side], bptt_name(q));
    arrays[n].name = names[n];
    arrays[n].dtype = CG_F64;
    arrays[n].rank = bptt_shape(c, q, arrays[n].shape);
    arrays[n++].data = sides[side]->of[q];
  }
  cg_error err = {0};
  if (!cg_safetensors_write(path, arrays, n, NULL, 0, &err)) return true;
  return cli_fail("--out: %s", err.message);
}
