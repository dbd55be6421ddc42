#include "device/cuda/classify.hpp"

namespace pinrail::devices {
namespace {

// Codes that some of the Toolkits Pinrail builds with have no name for.
constexpr int contained = 226;           // cudaErrorContained
constexpr int tensor_memory_leak = 721;  // cudaErrorTensorMemoryLeak

bool ends_the_context(int code) noexcept {
  switch (code) {
    // A kernel went wrong. The context is corrupt, and every call on it says so from now on.
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case tensor_memory_leak:
      return true;
    // The hardware went wrong, here or at the other end of a link.
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case contained:
    case cudaErrorExternalDevice:
      return true;
    // Someone ended the context (cudaDeviceReset), the MPS server ended us, or the process is ending.
    case cudaErrorDeviceUninitialized:
    case cudaErrorContextIsDestroyed:
    case cudaErrorMpsClientTerminated:
    case cudaErrorCudartUnloading:
      return true;
    // The driver was working when the device was opened, so this is a child after fork(): it can't use CUDA.
    case cudaErrorInitializationError:
      return true;
    default:
      return false;
  }
}

}  // namespace

errc classify(cudaError_t code) noexcept {
  if (code == cudaSuccess) return errc::none;
  if (code == cudaErrorMemoryAllocation) return errc::out_of_memory;
  return ends_the_context(static_cast<int>(code)) ? errc::device_lost : errc::device_error;
}

}  // namespace pinrail::devices
