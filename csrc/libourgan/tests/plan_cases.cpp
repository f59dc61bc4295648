// Reads photographs' and pictures' sizes, and prints what is planned for them: tests/capi/test_plan.py compares that
// with what Python plans. A line: height and width of the photograph, of the picture, extent (0: none), variety,
// whether y and x wrap.
#include <cstdio>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>

#include "error.h"
#include "plan.h"

namespace {

using ourgan::Size;

void print(const ourgan::LevelSizes& sizes) {
    for (const auto& [height, width] : sizes) std::printf(" %d %d", height, width);
    std::printf(" |");
}

void plan(const Size& photograph, const Size& size, const std::optional<double>& extent, double variety,
          const ourgan::Wrap& wrap) {
    const ourgan::c::DetailPlan plan = ourgan::c::plan_detail(photograph, size, extent);
    const Size patches = ourgan::c::patches_size(photograph);
    const Size structure = ourgan::c::structure_size(plan, std::max(patches.height, patches.width));
    std::printf("%d %d %.17g %.17g |", plan.searched, plan.passes, plan.extent, ourgan::c::fitting_extent(photograph, size));
    print(plan.picture);
    print(plan.photograph);
    print({{static_cast<int>(patches.height), static_cast<int>(patches.width)},
           {static_cast<int>(structure.height), static_cast<int>(structure.width)}});
    for (const auto& level : ourgan::c::composition_levels(patches, structure, variety)) {
        print({level.photograph, level.picture});
    }
    ourgan::c::check_structure(structure, plan.extent);
    ourgan::c::check_wrap(photograph, size, extent, wrap);
}

}  // namespace

int main() {
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        Size photograph, size;
        double extent = 0, variety = 0;
        ourgan::Wrap wrap;
        words >> photograph.height >> photograph.width >> size.height >> size.width >> extent >> variety >> wrap.y >> wrap.x;
        try {
            plan(photograph, size, extent > 0 ? std::optional<double>(extent) : std::nullopt, variety, wrap);
            std::printf("\n");
        } catch (const ourgan::c::Error& error) {
            std::printf(" error: %s\n", error.what());
        }
    }
    return 0;
}
