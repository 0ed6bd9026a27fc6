/*
 * Inside the room: loops of constant length over registers must be unrolled
 * for the arrays to become registers. Not under sanitizers, whose checks make
 * the unrolled code too large to compile in reasonable time.
 */
#ifndef PL_KERNELS_UNROLL_H
#define PL_KERNELS_UNROLL_H

#if defined(__has_feature)
#define PL_HAS_SANITIZER (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PL_HAS_SANITIZER 1
#else
#define PL_HAS_SANITIZER 0
#endif

#if PL_HAS_SANITIZER
#define UNROLL
#define ALWAYS_INLINE static inline
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define UNROLL _Pragma("GCC unroll 16")
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

#endif
