#include "cuda_driver.h"

#include <map>
#include <memory>
#include <mutex>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace ourgan {
namespace {

#ifdef _WIN32
constexpr const char* kSystemLibrary = "nvcuda.dll";

// A bare name is looked for where the driver installs itself, never beside the program or in its working directory.
void* open_library(const std::string& path) {
    const DWORD search = path.find_first_of("\\/") == std::string::npos ? LOAD_LIBRARY_SEARCH_SYSTEM32 : 0;
    return reinterpret_cast<void*>(LoadLibraryExA(path.c_str(), nullptr, search));
}
std::string open_error() { return "error " + std::to_string(GetLastError()); }
void* find_function(void* library, const char* name) {
    return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}
#else
constexpr const char* kSystemLibrary = "libcuda.so.1";

void* open_library(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); }
std::string open_error() { return dlerror(); }
void* find_function(void* library, const char* name) { return dlsym(library, name); }
#endif

// What the driver says about a result; it does not know those of newer drivers.
std::string told(const DriverFunction<CUresult, const char**>& function, CUresult result) {
    const char* text = nullptr;
    return function.pointer(result, &text) == CUDA_SUCCESS && text != nullptr ? text : "error " + std::to_string(result);
}

}  // namespace

Library::Library(const std::string& path) : path_(path), handle_(open_library(path)) {
    if (handle_ == nullptr) {
        throw DeviceError("the CUDA driver cannot be loaded (" + open_error() +
                          "): install NVIDIA's driver, or use an engine for the CPU");
    }
}

void* Library::function(const char* name) const {
    void* address = find_function(handle_, name);
    if (address == nullptr) {
        throw DeviceError("the CUDA driver " + path_ + " lacks " + name + ": install a newer one from NVIDIA");
    }
    return address;
}

const CudaDriver& CudaDriver::load(const std::string& path) {
    static std::mutex mutex;
    // Never destroyed: buffers that live until the process ends still need it.
    static auto& loaded = *new std::map<std::string, std::unique_ptr<const CudaDriver>>();
    const std::lock_guard<std::mutex> lock(mutex);
    std::unique_ptr<const CudaDriver>& driver = loaded[path];
    if (!driver) driver = std::make_unique<const CudaDriver>(path.empty() ? kSystemLibrary : path);
    return *driver;
}

void CudaDriver::check(const char* name, CUresult result) const {
    if (result == CUDA_SUCCESS) return;
    const std::string message = std::string(name) + " failed with " + told(get_error_name, result) + ": " +
                                told(get_error_string, result);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) throw DeviceMemoryError(message);
    throw DeviceError(message);
}

}  // namespace ourgan
