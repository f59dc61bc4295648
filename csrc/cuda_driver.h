// The CUDA driver, loaded when it is first needed: building takes no CUDA toolkit, and one build runs with and
// without a GPU. The types and functions used are declared here by hand; their sizes and values are part of the
// driver's stable binary interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "device.h"

namespace ourgan {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = std::uint64_t;
using CUcontext = struct CUctx_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;

inline constexpr CUresult CUDA_SUCCESS = 0;
inline constexpr CUresult CUDA_ERROR_OUT_OF_MEMORY = 2;
inline constexpr int CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75;
inline constexpr int CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76;
inline constexpr unsigned CU_STREAM_NON_BLOCKING = 1;
inline constexpr unsigned CU_EVENT_BLOCKING_SYNC = 1;

// A shared library, never unloaded.
class Library {
public:
    // Throws DeviceError if it cannot be loaded.
    explicit Library(const std::string& path);
    // Throws DeviceError if there is no such function.
    void* function(const char* name) const;

private:
    std::string path_;
    void* handle_;
};

template <class... Parameters>
struct DriverFunction {
    using Pointer = CUresult (*)(Parameters...);

    DriverFunction(const Library& library, const char* symbol)
        : name(symbol), pointer(reinterpret_cast<Pointer>(library.function(symbol))) {}

    const char* name;
    Pointer pointer;
};

struct CudaDriver {
    // Loads the driver at `path`, "" for the system's, once per process. Throws DeviceError, which says what to do.
    static const CudaDriver& load(const std::string& path);

    // Throws DeviceMemoryError or DeviceError unless the function succeeds.
    template <class... Parameters, class... Arguments>
    void call(const DriverFunction<Parameters...>& function, Arguments... arguments) const {
        check(function.name, function.pointer(arguments...));
    }

    explicit CudaDriver(const std::string& path) : library(path) {}
    void check(const char* name, CUresult result) const;

    Library library;
    DriverFunction<CUresult, const char**> get_error_name{library, "cuGetErrorName"};
    DriverFunction<CUresult, const char**> get_error_string{library, "cuGetErrorString"};
    DriverFunction<unsigned> init{library, "cuInit"};
    DriverFunction<int*> driver_get_version{library, "cuDriverGetVersion"};
    DriverFunction<int*> device_get_count{library, "cuDeviceGetCount"};
    DriverFunction<CUdevice*, int> device_get{library, "cuDeviceGet"};
    DriverFunction<char*, int, CUdevice> device_get_name{library, "cuDeviceGetName"};
    DriverFunction<int*, int, CUdevice> device_get_attribute{library, "cuDeviceGetAttribute"};
    DriverFunction<std::size_t*, CUdevice> device_total_mem{library, "cuDeviceTotalMem_v2"};
    DriverFunction<CUcontext*, CUdevice> primary_ctx_retain{library, "cuDevicePrimaryCtxRetain"};
    DriverFunction<CUdevice> primary_ctx_release{library, "cuDevicePrimaryCtxRelease_v2"};
    DriverFunction<CUcontext> ctx_push_current{library, "cuCtxPushCurrent_v2"};
    DriverFunction<CUcontext*> ctx_pop_current{library, "cuCtxPopCurrent_v2"};
    DriverFunction<CUdeviceptr*, std::size_t> mem_alloc{library, "cuMemAlloc_v2"};
    DriverFunction<CUdeviceptr> mem_free{library, "cuMemFree_v2"};
    DriverFunction<std::size_t*, std::size_t*> mem_get_info{library, "cuMemGetInfo_v2"};
    DriverFunction<void**, std::size_t, unsigned> mem_host_alloc{library, "cuMemHostAlloc"};
    DriverFunction<void*> mem_free_host{library, "cuMemFreeHost"};
    DriverFunction<CUdeviceptr, const void*, std::size_t, CUstream> memcpy_htod_async{library, "cuMemcpyHtoDAsync_v2"};
    DriverFunction<void*, CUdeviceptr, std::size_t, CUstream> memcpy_dtoh_async{library, "cuMemcpyDtoHAsync_v2"};
    DriverFunction<CUstream*, unsigned> stream_create{library, "cuStreamCreate"};
    DriverFunction<CUstream> stream_destroy{library, "cuStreamDestroy_v2"};
    DriverFunction<CUstream> stream_synchronize{library, "cuStreamSynchronize"};
    DriverFunction<CUstream, CUevent, unsigned> stream_wait_event{library, "cuStreamWaitEvent"};
    DriverFunction<CUevent*, unsigned> event_create{library, "cuEventCreate"};
    DriverFunction<CUevent> event_destroy{library, "cuEventDestroy_v2"};
    DriverFunction<CUevent, CUstream> event_record{library, "cuEventRecord"};
    DriverFunction<CUevent> event_synchronize{library, "cuEventSynchronize"};
    DriverFunction<float*, CUevent, CUevent> event_elapsed_time{library, "cuEventElapsedTime"};
};

}  // namespace ourgan
