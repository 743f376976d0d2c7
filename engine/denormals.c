/* denormals.c - the mode of the calling thread's floating-point unit. */
#include <chronograd/denormals.h>

#ifdef __x86_64__
#include <xmmintrin.h>

/* Bits of MXCSR: results are flushed to zero, operands are taken as zero. */
enum { FLUSH = 0x8000 | 0x0040 };

bool cg_flushes_denormals(void) { return (_mm_getcsr() & FLUSH) == FLUSH; }

/* An emulated processor may not do as it is told. */
bool cg_flush_denormals(bool on) {
  _mm_setcsr(on ? _mm_getcsr() | FLUSH : _mm_getcsr() & ~(unsigned)FLUSH);
  return cg_flushes_denormals() == on;
}

#else

bool cg_flushes_denormals(void) { return false; }
bool cg_flush_denormals(bool on) { return !on; }

#endif
