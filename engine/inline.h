/* inline.h - functions that are compiled into whoever calls them, for what is
 * known there or for its instruction set. */
#ifndef CG_ENGINE_INLINE_H
#define CG_ENGINE_INLINE_H

#if defined(__GNUC__)
#define INLINE __attribute__((always_inline)) static inline
#else
#define INLINE static inline
#endif

#endif
