// A test framework of one screen: TEST registers a function, CHECK and CHECK_THROWS report where they fail.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

struct Test {
    const char* name;
    const char* file;
    void (*run)();
};

std::vector<Test>& all_tests();

struct Registration {
    Registration(const char* name, const char* file, void (*run)()) { all_tests().push_back({name, file, run}); }
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

#define TEST(name)                                          \
    static void name();                                     \
    static const Registration name##_registration(#name, __FILE__, name); \
    static void name()

#define CHECK(condition)                                    \
    do {                                                    \
        if (!(condition)) fail(__FILE__, __LINE__, #condition); \
    } while (false)

// The expression must throw an exception of this type whose message contains `words`.
#define CHECK_THROWS(expression, type, words)                                                        \
    do {                                                                                             \
        bool thrown = false;                                                                         \
        try {                                                                                        \
            expression;                                                                              \
        } catch (const type& error) {                                                                \
            thrown = true;                                                                           \
            if (std::string(error.what()).find(words) == std::string::npos) {                        \
                fail(__FILE__, __LINE__, std::string(#expression " threw: ") + error.what());        \
            }                                                                                        \
        }                                                                                            \
        if (!thrown) fail(__FILE__, __LINE__, #expression " did not throw " #type);                  \
    } while (false)
