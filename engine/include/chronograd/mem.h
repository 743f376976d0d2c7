/* mem.h - where memory comes from.
 *
 * Every allocation of the library goes through a cg_allocator, so a caller can
 * place it, count it or make it fail. NULL stands for the C library's heap.
 */
#ifndef CHRONOGRAD_MEM_H
#define CHRONOGRAD_MEM_H

#include <stddef.h>

#include <chronograd/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Data of tensors starts at multiples of this many bytes where the tensor is
 * large enough for it to matter. */
#define CG_ALIGNMENT 64

/* `alloc` returns at least `size` bytes (size > 0) aligned to CG_ALIGNMENT, or
 * NULL. `release` gets back a block with the size it was asked for. Both are
 * called from whichever thread uses the object that holds the allocator; the
 * struct must outlive that object. */
typedef struct cg_allocator {
  void *(*alloc)(void *context, size_t size); /* see above */
  void (*release)(void *context, void *block, size_t size); /* see above */
  void *context; /* the caller's, handed to both */
} cg_allocator;

/* The C library's heap. Never NULL. */
CG_API const cg_allocator *cg_allocator_default(void);

#ifdef __cplusplus
}
#endif
#endif
