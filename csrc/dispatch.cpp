#include "kernels.h"
#include "levels.h"
#include "patches.h"

#include <cstdlib>
#include <cstring>

namespace ourgan {

extern const Kernels kernels_portable;
extern const LevelKernels levels_portable;
extern const PatchKernels patches_portable;
#ifdef OURGAN_X86_KERNELS
extern const Kernels kernels_avx2, kernels_avx512;
extern const LevelKernels levels_avx2, levels_avx512;
extern const PatchKernels patches_avx2, patches_avx512;
#endif

namespace {

// Those of the builds, given from the plainest to the fastest, that this processor can run.
template <class Table>
std::vector<const Table*> runnable(const std::vector<const Table*>& builds) {
    std::vector<const Table*> result{builds.front()};
#ifdef OURGAN_X86_KERNELS
    if (__builtin_cpu_supports("avx2")) result.push_back(builds[1]);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
        result.push_back(builds[2]);
    }
#endif
    return result;
}

// The fastest of the builds available, or the one that the environment variable OURGAN_INSTRUCTION_SET names: results
// are the same, and this is how to see it.
template <class Table>
const Table& chosen(const std::vector<const Table*>& available) {
    const char* wanted = std::getenv("OURGAN_INSTRUCTION_SET");
    for (const Table* table : available) {
        if (wanted != nullptr && std::strcmp(table->instruction_set, wanted) == 0) return *table;
    }
    return *available.back();
}

#ifdef OURGAN_X86_KERNELS
#define OURGAN_BUILDS(table) {&table##_portable, &table##_avx2, &table##_avx512}
#else
#define OURGAN_BUILDS(table) {&table##_portable}
#endif

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> available = runnable<Kernels>(OURGAN_BUILDS(kernels));
    return available;
}

const std::vector<const LevelKernels*>& available_level_kernels() {
    static const std::vector<const LevelKernels*> available = runnable<LevelKernels>(OURGAN_BUILDS(levels));
    return available;
}

const std::vector<const PatchKernels*>& available_patch_kernels() {
    static const std::vector<const PatchKernels*> available = runnable<PatchKernels>(OURGAN_BUILDS(patches));
    return available;
}

const Kernels& kernels() {
    static const Kernels& result = chosen(available_kernels());
    return result;
}

const LevelKernels& level_kernels() {
    static const LevelKernels& result = chosen(available_level_kernels());
    return result;
}

const PatchKernels& patch_kernels() {
    static const PatchKernels& result = chosen(available_patch_kernels());
    return result;
}

}  // namespace ourgan
