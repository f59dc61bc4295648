#include <cstdio>
#include <cstring>
#include <exception>

#include "check.h"

std::vector<Test>& all_tests() {
    static std::vector<Test> tests;
    return tests;
}

namespace {

// Whether a test's name or file contains one of the words, or there are none.
bool is_wanted(const Test& test, int count, char** words) {
    for (int i = 0; i < count; ++i) {
        if (std::strstr(test.name, words[i]) != nullptr || std::strstr(test.file, words[i]) != nullptr) return true;
    }
    return count == 0;
}

}  // namespace

// Arguments: words that the tests to run have in their names or files; by default all are run.
int main(int argc, char** argv) {
    int failures = 0;
    for (const Test& test : all_tests()) {
        if (!is_wanted(test, argc - 1, argv + 1)) continue;
        try {
            test.run();
            std::printf("passed %s\n", test.name);
        } catch (const std::exception& error) {
            std::printf("FAILED %s: %s\n", test.name, error.what());
            ++failures;
        }
    }
    return failures == 0 ? 0 : 1;
}
