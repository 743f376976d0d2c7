/* inline.h - functions that are compiled into whoever calls them, for what is
 * known there or for its instruction set, and such as never are, for they would
 * burden a short way past them. */
#ifndef CG_ENGINE_INLINE_H
#define CG_ENGINE_INLINE_H

#if defined(__GNUC__)
#define INLINE __attribute__((always_inline)) static inline
#define NOINLINE __attribute__((noinline))
#else
#define INLINE static inline
#define NOINLINE
#endif

#endif
