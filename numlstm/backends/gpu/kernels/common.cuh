// What all kernels share. The compiler options define REAL as float or double, both in modules.py and in the tests,
// which also compile these files with g++ and a header that stands in for CUDA. Therefore: no inline PTX, no textures,
// no wmma; literals are (REAL)1, not 1.0; `double` only where a sum or a distribution is float64 by contract.
#ifdef __CUDACC__
#define DYN_SHARED(T, name)                                       \
  extern __shared__ __align__(16) unsigned char shared_bytes[];   \
  T* name = reinterpret_cast<T*>(shared_bytes)
#endif

#define KERNEL extern "C" __global__ void
#define INLINE __device__ __forceinline__

// The four gates of a unit, in the order i f g o; read and written as one.
struct alignas(16) Four {
  REAL i, f, g, o;
};

// A loop over entries n, n + stride, ... of a flat array works with any grid.
#define FLAT_INDEX ((long long)blockIdx.x * blockDim.x + threadIdx.x)
#define FLAT_STRIDE ((long long)gridDim.x * blockDim.x)

INLINE REAL sigmoid(REAL z) { return (REAL)1 / ((REAL)1 + exp(-z)); }

INLINE REAL hard_sigmoid(REAL z) {
  REAL y = (REAL)0.2 * z + (REAL)0.5;
  return y < (REAL)0 ? (REAL)0 : (y > (REAL)1 ? (REAL)1 : y);
}

// The value of gate i, f or o for its input z, and the slope there as a function of the value.
INLINE REAL gate_of(REAL z, int hard) { return hard ? hard_sigmoid(z) : sigmoid(z); }

INLINE REAL slope_of(REAL gate, int hard) {
  if (hard) return gate > (REAL)0 && gate < (REAL)1 ? (REAL)0.2 : (REAL)0;
  return gate * ((REAL)1 - gate);
}
