// Stands in for the CUDA compiler: lets g++ compile a source of kernels into functions that run on the CPU.
//
// Include this before the kernels. It defines CUDA's keywords and functions. The threads come from cuda_fibres.h (each
// thread of a block is a fibre: blocks of 1024 threads in any order, deadlocks reported) or, if EMULATION_THREADS is
// defined, from cuda_threads.h (each thread is a system thread, for ThreadSanitizer).
//
// Stricter than a device: shared memory starts as NaN; all threads of a block must reach a barrier, at the same line;
// there are no atomics on floats. More exact than a device: the fast intrinsics are the exact functions.
#pragma once
#include <cmath>
// System headers must come before the definitions below, because they use some of these names themselves.
#include <math.h>  // brings exp(float) and the like into the global namespace, as in CUDA
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#ifdef EMULATION_THREADS
#include <condition_variable>
#include <mutex>
#include <thread>
#else
#include "fibre.h"
#endif
#include "warp.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)  // checked by compiled.py, which parses it from the source
#ifdef __SANITIZE_ADDRESS__
#define __shared__ static  // guarded by the sanitizer, which skips variables with their own section
#else
#define __shared__ static __attribute__((section("block_shared")))  // not in templates and inline functions
#endif
#define DYN_SHARED(T, name) T* name = reinterpret_cast<T*>(emulation::shared_memory())

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

#define EMULATION_VECTOR(T, size)                         \
  struct alignas(sizeof(T) * 2) T##2 { T x, y; };         \
  struct alignas(size) T##4 { T x, y, z, w; };            \
  inline T##2 make_##T##2(T x, T y) { return {x, y}; }    \
  inline T##4 make_##T##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATION_VECTOR(float, 16)
EMULATION_VECTOR(double, 16)
EMULATION_VECTOR(int, 16)
#undef EMULATION_VECTOR

namespace emulation {

constexpr unsigned char POISON = 0xFF;  // as a float or a double: NaN

struct Place {  // a thread's position
  dim3 thread, block, threads, blocks;
  int number;  // the thread's index in its block, x fastest
};

extern "C" [[gnu::weak, gnu::visibility("hidden")]] char __start_block_shared[], __stop_block_shared[];

inline void poison_static() {
  if (__start_block_shared) memset(__start_block_shared, POISON, size_t(__stop_block_shared - __start_block_shared));
}

struct Launch {
  dim3 blocks, threads;
  size_t shared;  // bytes for each block
  int order;      // of the threads: 0 ascending, 1 descending, others: the seed of a shuffle
  void (*call)(void**);
  void** arguments;
};

inline dim3 unravel(unsigned long long n, dim3 size) {
  return {unsigned(n % size.x), unsigned(n / size.x % size.y), unsigned(n / size.x / size.y)};
}

}  // namespace emulation

#ifdef EMULATION_THREADS
#include "cuda_threads.h"
#else
#include "cuda_fibres.h"
#endif

#define threadIdx (emulation::here().thread)
#define blockIdx (emulation::here().block)
#define blockDim (emulation::here().threads)
#define gridDim (emulation::here().blocks)
#define warpSize emulation::WARP

// Each barrier passes its line, so that threads waiting at different barriers are recognised as diverged.
#define __syncthreads() emulation::block_barrier(__LINE__)
#define __syncwarp(...) emulation::sync_warp(__LINE__, ##__VA_ARGS__)
#define __shfl_sync(...) emulation::shuffle(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) emulation::shuffle_xor(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) emulation::shuffle_down(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) emulation::shuffle_up(__LINE__, __VA_ARGS__)
#define __ballot_sync(...) emulation::vote(__LINE__, __VA_ARGS__)
#define __any_sync(...) (emulation::vote(__LINE__, __VA_ARGS__) != 0)
#define __all_sync(...) emulation::all_vote(__LINE__, __VA_ARGS__)

namespace emulation {

inline void sync_warp(int line, unsigned mask = ~0u) { meet({mask, line, -1, false, 0}); }

template <class P>
unsigned vote(int line, unsigned mask, P predicate) {
  return meet({mask, line, -1, bool(predicate), 0}).votes;
}

template <class P>
bool all_vote(int line, unsigned mask, P predicate) {
  return meet({mask, line, -1, !bool(predicate), 0}).votes == 0;
}

template <class T>
T exchange(int line, unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  Deposit deposit{mask, line, source, false, 0};
  memcpy(&deposit.value, &value, sizeof value);
  Share share = meet(deposit);
  memcpy(&value, &share.value, sizeof value);
  return value;
}

inline int lane() { return here().number % WARP; }

template <class T>
T shuffle(int line, unsigned mask, T value, int source, int width = WARP) {
  return exchange(line, mask, value, (lane() & ~(width - 1)) | (source & (width - 1)));
}

template <class T>
T shuffle_xor(int line, unsigned mask, T value, int bits, int width = WARP) {
  int source = lane() ^ bits;
  return exchange(line, mask, value, source < (lane() & ~(width - 1)) + width ? source : -1);
}

template <class T>
T shuffle_down(int line, unsigned mask, T value, unsigned by, int width = WARP) {
  int source = lane() + int(by);
  return exchange(line, mask, value, source < (lane() & ~(width - 1)) + width ? source : -1);
}

template <class T>
T shuffle_up(int line, unsigned mask, T value, unsigned by, int width = WARP) {
  int source = lane() - int(by);
  return exchange(line, mask, value, source >= (lane() & ~(width - 1)) ? source : -1);
}

template <class T>
constexpr void no_float_atomics() {
  static_assert(std::is_integral_v<T>, "no atomics on floats: the order of their sums is not fixed");
}

}  // namespace emulation

#define EMULATION_ATOMIC(name, expression)                                                              \
  template <class T>                                                                                    \
  T name(T* at, std::common_type_t<T> value) {                                                          \
    emulation::no_float_atomics<T>();                                                                   \
    T old = __atomic_load_n(at, __ATOMIC_RELAXED);                                                      \
    while (!__atomic_compare_exchange_n(at, &old, T(expression), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) \
      ;                                                                                                 \
    return old;                                                                                         \
  }
EMULATION_ATOMIC(atomicAdd, old + value)
EMULATION_ATOMIC(atomicMax, old < value ? value : old)
EMULATION_ATOMIC(atomicMin, value < old ? value : old)
EMULATION_ATOMIC(atomicOr, old | value)
EMULATION_ATOMIC(atomicAnd, old & value)
EMULATION_ATOMIC(atomicExch, value)
#undef EMULATION_ATOMIC

template <class T>
T atomicCAS(T* at, std::common_type_t<T> expected, std::common_type_t<T> value) {
  emulation::no_float_atomics<T>();
  __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}

inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T __ldg(const T* at) {
  return *at;
}

using std::max;
using std::min;
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned x, unsigned y) { return unsigned((uint64_t(x) * y) >> 32); }

namespace emulation {
template <class To, class From>
To bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace emulation
inline unsigned __float_as_uint(float x) { return emulation::bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emulation::bits<float>(x); }
inline int __float_as_int(float x) { return emulation::bits<int>(x); }
inline float __int_as_float(int x) { return emulation::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulation::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulation::bits<double>(x); }

// A kernel's signature, one word per parameter: * for a pointer, NumPy's letter for the kind of number (V for a struct,
// v for void), and the size.
namespace emulation {

template <class Parameter>
std::string word() {
  using Number = std::remove_cv_t<std::remove_pointer_t<Parameter>>;
  std::string star = std::is_pointer_v<Parameter> ? "*" : "";
  if constexpr (std::is_void_v<Number>) return star + "v0 ";
  else {
    const char* kind = std::is_same_v<Number, bool>           ? "b"
                       : std::is_floating_point_v<Number>     ? "f"
                       : !std::is_integral_v<Number>          ? "V"
                       : std::is_signed_v<Number>             ? "i"
                                                              : "u";
    return star + kind + std::to_string(sizeof(Number)) + " ";
  }
}

template <auto kernel>
struct Entry;

template <class... P, void (*kernel)(P...)>
struct Entry<kernel> {
  static std::string signature() { return (word<P>() + ... + ""); }
  static void call(void** arguments) { unpack(arguments, std::index_sequence_for<P...>{}); }
  template <size_t... n>
  static void unpack(void** arguments, std::index_sequence<n...>) {
    kernel(*static_cast<std::remove_cv_t<P>*>(arguments[n])...);
  }
};

}  // namespace emulation

#define EMULATION_EXPORT [[gnu::visibility("default")]]
#define EMULATION_KERNEL(kernel, bound)                                                                          \
  extern "C" EMULATION_EXPORT const char* kernel##__signature() {                                                \
    static const std::string text = emulation::Entry<&kernel>::signature();                                      \
    return text.c_str();                                                                                         \
  }                                                                                                              \
  extern "C" EMULATION_EXPORT int kernel##__bound() { return int(bound); }                                       \
  extern "C" EMULATION_EXPORT const char* kernel##__run(const unsigned* g, const unsigned* b, size_t shared,     \
                                                        int order, void** arguments) {                           \
    emulation::problem.clear();                                                                                  \
    emulation::run({{g[0], g[1], g[2]}, {b[0], b[1], b[2]}, shared, order, &emulation::Entry<&kernel>::call, arguments}); \
    return emulation::problem.c_str();                                                                           \
  }
