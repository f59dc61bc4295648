#include "kernels.h"

namespace ourgan {

extern const Kernels portable;
#ifdef OURGAN_X86_KERNELS
extern const Kernels avx2;
extern const Kernels avx512;
#endif

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> available = [] {
        std::vector<const Kernels*> result{&portable};
#ifdef OURGAN_X86_KERNELS
        if (__builtin_cpu_supports("avx2")) result.push_back(&avx2);
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
            result.push_back(&avx512);
        }
#endif
        return result;
    }();
    return available;
}

const Kernels& kernels() {
    static const Kernels& fastest = *available_kernels().back();
    return fastest;
}

}  // namespace ourgan
