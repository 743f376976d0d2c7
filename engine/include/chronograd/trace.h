/* trace.h - finding where the first NaN or infinity comes from. */
#ifndef CHRONOGRAD_TRACE_H
#define CHRONOGRAD_TRACE_H

#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Switches tracing on or off and returns what it was; a new tape does not
 * trace, and rewinding changes nothing about it. While it is on, every result
 * and every derivative is looked at, and the first one that is NaN or infinite
 * becomes the tape's error (NONFINITE):
 *
 *   forward    the first op with such a result, in recording order. The message
 *              says whether the op made it from finite operands or which
 *              operand brought it in, with all shapes and ranges.
 *   backward   the first derivative rule, in the order of the walk, that gave
 *              such a gradient to an operand; the error names the op whose rule
 *              it is and the scope it was recorded in. Seeds, sums of finite
 *              contributions that overflow, and gradients that leaves held
 *              before are told apart.
 *
 * Ops that a rule applies are not traced one by one: what the rule gives is.
 * (In a replay, which knows no rules, those of a recorded gradient are.) An
 * intended infinity, such as a mask of -inf, is reported like any other.
 * Off, it costs nothing; on, about one more read of all values, and products
 * that are added to gradients are computed once more. Values and gradients are
 * the same bits either way. */
CG_API bool cg_tape_trace_nonfinite(cg_tape *tape, bool on);

#ifdef __cplusplus
}
#endif
#endif
