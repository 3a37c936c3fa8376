// NVIDIA's own occupancy rules, evaluated without a device.
#include <cuda_occupancy.h>

extern "C" int blocks_at_once(int sm, int threads, int registers, int fixed_shared, int shared, int shared_limit,
                              int shared_all, int threads_all) {
  cudaOccDeviceProp card;
  card.computeMajor = sm / 10;
  card.computeMinor = sm % 10;
  card.maxThreadsPerBlock = 1024;
  card.maxThreadsPerMultiprocessor = threads_all;
  card.regsPerBlock = card.regsPerMultiprocessor = 65536;
  card.warpSize = 32;
  card.sharedMemPerBlock = 48 * 1024;
  card.sharedMemPerMultiprocessor = shared_all;
  card.numSms = 1;
  card.sharedMemPerBlockOptin = shared_limit;
  card.reservedSharedMemPerBlock = sm >= 80 ? 1024 : 0;
  cudaOccFuncAttributes kernel;
  kernel.maxThreadsPerBlock = 1024;
  kernel.numRegs = registers;
  kernel.sharedSizeBytes = fixed_shared;
  kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  kernel.maxDynamicSharedSizeBytes = shared;
  cudaOccDeviceState state;
  cudaOccResult result;
  cudaOccError error = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &card, &kernel, &state, threads, shared);
  return error == CUDA_OCC_SUCCESS ? result.activeBlocksPerMultiprocessor : -int(error);
}
