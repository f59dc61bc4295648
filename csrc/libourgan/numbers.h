// Numbers in messages: the same in every locale.
#pragma once

#include <charconv>
#include <string>

namespace ourgan::c {

inline std::string written(double value, std::chars_format format, int precision) {
    char buffer[400];  // DBL_MAX has 309 digits before its point
    return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value, format, precision).ptr);
}

// As by "%.4g" and "%.2f".
inline std::string general(double value) { return written(value, std::chars_format::general, 4); }
inline std::string hundredths(double value) { return written(value, std::chars_format::fixed, 2); }

}  // namespace ourgan::c
