// A file, or bytes that somebody else holds, read in parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace ourgan::c {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint64_t kHead = 1024;  // bytes that tell what kind of file it is

// Bytes that somebody else holds.
struct View {
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;

    View() = default;
    View(const std::uint8_t* bytes, std::size_t count) : data(bytes), size(count) {}
    View(const Bytes& bytes) : data(bytes.data()), size(bytes.size()) {}  // as the bytes themselves are given

    // The part of it that begins there, as far as it goes.
    View from(std::size_t at, std::size_t count = SIZE_MAX) const;
    bool starts_with(const char* text, std::size_t count) const;
};

// Integers of `count` bytes, the most significant first or last; bytes behind the end are 0.
std::uint64_t big_endian(const View& view, std::size_t at, int count);
std::uint64_t little_endian(const View& view, std::size_t at, int count);

// What can be opened, but is a pipe, a device or a socket.
struct NoRegularFile : std::exception {
    const char* what() const noexcept override { return "it is no regular file"; }
};

class Input {
public:
    // Throws std::system_error if the file cannot be opened, NoRegularFile if it is none; waits for nobody.
    explicit Input(const std::string& path);
    explicit Input(const View& bytes) : bytes_(bytes), size_(bytes.size) {}

    std::uint64_t size() const { return size_; }
    // `count` bytes from there on, fewer if the input ends before. Throws std::system_error if it cannot be read.
    Bytes read(std::uint64_t at, std::uint64_t count) const;

private:
    struct Closer {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };

    std::unique_ptr<std::FILE, Closer> file_;
    View bytes_;
    std::uint64_t size_ = 0;
};

}  // namespace ourgan::c
