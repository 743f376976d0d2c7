/* denormals.h - what becomes of numbers below the least normal one.
 *
 * Gradients that vanish along a recurrence pass through the denormal numbers
 * (below 1.2e-38 in float32, below 2.2e-308 in float64) before they are zero,
 * and a processor takes some 150 cycles for each operation on one of these: a
 * walk back may take several times as long because of numbers that no sum will
 * ever notice. A thread can have them taken as zero instead.
 */
#ifndef CHRONOGRAD_DENORMALS_H
#define CHRONOGRAD_DENORMALS_H

#include <stdbool.h>

#include <chronograd/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From now on the floating-point operations of the calling thread, not only
 * those of this library, take denormal operands as zero and give zero where a
 * result would be denormal (`on`), or follow IEEE 754 (not `on`; so does a
 * program unless told otherwise). On Linux a new thread begins as the one that
 * starts it. Flushed, each number errs by less than the least normal one, which
 * later factors may enlarge; runs in the same mode give the same bits.
 * Returns false, and changes nothing, if this processor has no such mode or the
 * library does not know it (it does on x86-64). */
CG_API bool cg_flush_denormals(bool on);
/* Does the calling thread take denormal numbers as zero? */
CG_API bool cg_flushes_denormals(void);

#ifdef __cplusplus
}
#endif
#endif
