#include <cstdio>
#include <exception>

#include "check.h"

std::vector<Test>& all_tests() {
    static std::vector<Test> tests;
    return tests;
}

int main() {
    int failures = 0;
    for (const Test& test : all_tests()) {
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
