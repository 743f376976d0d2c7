/* flow_report.c - what gradient_flow prints, writes and draws. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cli.h"
#include "gnuplot.h"
#include "gradient_flow.h"
#include "plot.h"
#include "spectrum.h"

#define TOLERANCE 1e-10

/* ---- the table ---- */

static void print_rows(const flow_figures *f, int count, cg_activation phi,
                       const flow_options *o) {
  const int64_t last = o->gaps - 1, early = last / 6;
  printf("\n%s\n", phi == CG_ACT_IDENTITY
                       ? "Without activation: dh_T/dh_{T-gap} = W_hh^gap"
                       : "With tanh: the same matrices, times diag(1 - h^2)");
  printf("  %6s  %8s  %9s  %10s  %10s  %10s  %10s  %7s\n", "radius", "log",
         "Lyapunov", "norm at", "norm at", "|dL/dW_hh|", "clipped", "cosine");
  printf("  %6s  %8s  %9s  gap %6" PRId64 "  gap %6" PRId64 "\n", "", "radius",
         "exponent", early + 1, last + 1);
  for (int i = 0; i < count; i++) {
    if (f[i].phi != phi) continue;
    printf("  %6g  %8.4f  %9.4f  %10.3g  %10.3g  %10.3g  %10.3g  %7.4f\n",
           f[i].radius, log(f[i].radius), f[i].lyapunov, f[i].norm[early],
           f[i].norm[last], f[i].norm_W, f[i].norm_clipped, f[i].cosine);
  }
}

static bool check(const char *what, double error, double tolerance) {
  bool ok = error <= tolerance;
  printf("  %-58s %8.1e  %s\n", what, error, ok ? "agrees" : "DIFFERS");
  return ok;
}

/* Of linear nets the exponent is the logarithm of the radius, up to what is
 * left of the beginning after T steps; and radii below and above 1 do what they
 * must. */
static bool print_checks(const flow_figures *f, int count,
                         const flow_options *o) {
  double tape = 0, power = 0, exponent = 0;
  int wrong = 0;
  for (int i = 0; i < count; i++) {
    bool linear = f[i].phi == CG_ACT_IDENTITY;
    tape = fmax(tape, f[i].tape_error);
    power = fmax(power, f[i].power_error);
    if (!linear) continue;
    double rate = log(f[i].radius);
    exponent = fmax(exponent, fabs(f[i].lyapunov - rate));
    double last = f[i].norm[o->gaps - 1];
    wrong += rate < -5.0 / (double)o->gaps && !(last < f[i].norm[0]);
    wrong += rate > 5.0 / (double)o->gaps && !(last > f[i].norm[0]);
  }
  putchar('\n');
  bool ok = check("Jacobians from the tape = explicit products", tape,
                  TOLERANCE);
  ok = check("without activation = Q S^gap Q^T, in closed form", power,
             TOLERANCE) && ok;
  ok = check("without activation: Lyapunov exponent = log of the radius",
             exponent, 10.0 / (double)o->steps) && ok;
  printf("  %-58s %8d  %s\n",
         "radii below 1 vanish, above 1 explode; exceptions:", wrong,
         wrong ? "DIFFERS" : "agrees");
  return ok && !wrong;
}

/* ---- pictures ---- */

static const char *phi_name(const flow_figures *f) {
  return f->phi == CG_ACT_IDENTITY ? "no activation" : "tanh";
}

/* A block per net, to be plotted with `index`. */
static void write_block(FILE *to, const flow_figures *f, int64_t gaps) {
  for (int64_t g = 0; g < gaps; g++)
    fprintf(to, "%s\t%g\t%" PRId64 "\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\n",
            phi_name(f), f->radius, g + 1, f->norm[g], f->values[0][g],
            f->values[1][g], f->values[2][g], f->plain[g], f->clipped[g]);
  fputs("\n\n", to);
}

static const char style[] =
    "set format y '10^{%%T}'\n"
    "set logscale y\n"
    "set grid\n"
    "set xlabel 'gap T - k'\n"
    "set palette defined (0 '#08519c', 0.5 '#bdbdbd', 1 '#a50f15')\n"
    "unset colorbox\n"
    "n = %d\n"
    "nets = %d\n"
    "radius(i) = real(word(radii, i + 1))\n"
    "shade(i) = n > 1 ? i / (n - 1.0) : 0\n";

static void put_radii(char *text, size_t size, const flow_options *o) {
  int at = snprintf(text, size, "radii = '");
  for (int i = 0; i < o->n_radii; i++)
    at += snprintf(text + at, size - (size_t)at, "%s%g", i ? " " : "",
                   o->radii[i]);
  snprintf(text + at, size - (size_t)at, "'\n");
}

/* Two panels side by side, without activation and with tanh; `plots` uses
 * `first`, the index of the panel's first block. */
static bool draw_panels(const char *name, const char *title, const char *plots,
                        const flow_options *o, int count) {
  char radii[512], head[1024], script[4096];
  put_radii(radii, sizeof radii, o);
  snprintf(head, sizeof head, style, o->n_radii, count);
  snprintf(script, sizeof script,
           "set terminal svg size 980,420 background rgb 'white'\n"
           "set output picture\n%s%s"
           "set multiplot layout 1,2 title '%s'\n"
           "set key outside right reverse Left samplen 2\n"
           "first = 0\nset title 'no activation'\n%s"
           "first = n\nset title 'tanh'\n%s"
           "unset multiplot\n",
           radii, head, title, plots, plots);
  return plot_draw(o->out, name, script);
}

static bool same_table(const flow_figures *f, int count, const flow_options *o,
                       const char *name) {
  FILE *to = plot_table_open(o->out, name);
  if (!to) return false;
  fputs("# phi\tradius\tgap\tnorm\tlargest\tmedian\tsmallest\tgradient\t"
        "clipped\n",
        to);
  for (int i = 0; i < count; i++) write_block(to, &f[i], o->gaps);
  return plot_table_close(to, o->out, name);
}

static bool draw_lyapunov(const flow_figures *f, int count,
                          const flow_options *o, int *drawn) {
  FILE *to = plot_table_open(o->out, "lyapunov");
  if (!to) return false;
  fputs("# phi\tradius\texponent\n", to);
  for (int i = 0; i < count; i++) {
    fprintf(to, "%s\t%g\t%.6g\n", phi_name(&f[i]), f[i].radius, f[i].lyapunov);
    if (i + 1 == o->n_radii) fputs("\n\n", to);
  }
  if (!plot_table_close(to, o->out, "lyapunov")) return false;
  *drawn += plot_draw(
      o->out, "lyapunov",
      "set title 'The rate at which gradients grow or vanish'\n"
      "set xlabel 'spectral radius of W_{hh}'\n"
      "set ylabel 'largest Lyapunov exponent'\n"
      "set grid\n"
      "set xzeroaxis lw 2\n"
      "set key top left\n"
      "plot table index 0 using 2:3 with points pt 7 ps 1.2 lc '#08519c' "
      "title 'no activation', log(x) lc '#08519c' title 'log radius', "
      "table index 1 using 2:3 with linespoints pt 7 lc '#a50f15' "
      "title 'tanh'\n");
  return true;
}

static bool write_all(const flow_figures *f, int count, const flow_options *o,
                      int *drawn) {
  static const char *const names[] = {"norms", "spectrum", "clipping"};
  for (int i = 0; i < 3; i++)
    if (!same_table(f, count, o, names[i])) return false;
  *drawn += draw_panels(
      "norms", "What crosses a gap: norm of dh_T / dh_{T-gap}",
      "plot for [i=0:n-1] table index first+i using 3:4 with lines lw 2 "
      "lc palette frac shade(i) title sprintf('radius %g', radius(i))\n",
      o, count);
  if (spectrum_available())
    *drawn += draw_panels(
        "spectrum",
        "Singular values of dh_T / dh_{T-gap}: largest (solid), median "
        "(dashed), smallest (dotted)",
        "plot for [i=0:n-1] table index first+i using 3:5 with lines lw 2 "
        "lc palette frac shade(i) title sprintf('radius %g', radius(i)), "
        "for [i=0:n-1] table index first+i using 3:6 with lines dt 2 "
        "lc palette frac shade(i) notitle, "
        "for [i=0:n-1] table index first+i using 3:7 with lines dt 3 "
        "lc palette frac shade(i) notitle\n",
        o, count);
  *drawn += draw_panels(
      "clipping",
      "The signal |dL/dh_{T-gap}|: as it is (solid), clipped on its way "
      "(dashed)",
      "plot for [i=0:n-1] table index first+i using 3:8 with lines lw 2 "
      "lc palette frac shade(i) title sprintf('radius %g', radius(i)), "
      "for [i=0:n-1] table index first+i using 3:9 with lines lw 2 dt 2 "
      "lc palette frac shade(i) notitle\n",
      o, count);
  return draw_lyapunov(f, count, o, drawn);
}

bool flow_report(const flow_figures *f, int count, const flow_options *o,
                 bool *agree) {
  printf("H = %" PRId64 " units, seed %" PRIu64 ", exponents over T = %" PRId64
         " steps\nclipping: the gradient of each state is cut to a norm of "
         "%g\n",
         o->hidden, o->seed, o->steps, o->clip);
  print_rows(f, count, CG_ACT_IDENTITY, o);
  print_rows(f, count, CG_ACT_TANH, o);
  *agree = print_checks(f, count, o);
  int drawn = 0;
  if (o->out && !write_all(f, count, o, &drawn)) return false;
  if (o->out)
    printf("\nTables in %s.*.tsv, %d pictures in %s.*.svg%s.\n", o->out, drawn,
           o->out, gnuplot_installed() ? "" : " (gnuplot is not installed)");
  if (!spectrum_available())
    puts("No singular values: built without LAPACKE.");
  puts(*agree ? "All agree." : "They do NOT all agree.");
  return true;
}
