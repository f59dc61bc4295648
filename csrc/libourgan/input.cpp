#include "input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace ourgan::c {
namespace {

[[noreturn]] void fail() { throw std::system_error(errno, std::generic_category()); }

}  // namespace

View View::from(std::size_t at, std::size_t count) const {
    const std::size_t start = std::min(at, size);
    return {data + start, std::min(count, size - start)};
}

bool View::starts_with(const char* text, std::size_t count) const {
    return size >= count && std::memcmp(data, text, count) == 0;
}

std::uint64_t big_endian(const View& view, std::size_t at, int count) {
    std::uint64_t value = 0;
    for (int i = 0; i < count; ++i, ++at) value = value << 8 | (at < view.size ? view.data[at] : 0u);
    return value;
}

std::uint64_t little_endian(const View& view, std::size_t at, int count) {
    std::uint64_t value = 0;
    for (int i = count; i-- > 0;) {
        const std::size_t place = at + static_cast<std::size_t>(i);
        value = value << 8 | (place < view.size ? view.data[place] : 0u);
    }
    return value;
}

Input::Input(const std::string& path) {
    // Without waiting: to open a pipe that nobody writes to would take for ever.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) fail();
    file_.reset(::fdopen(descriptor, "rb"));
    if (!file_) {
        const int reason = errno;
        ::close(descriptor);
        throw std::system_error(reason, std::generic_category());
    }
    struct stat status {};
    if (fstat(descriptor, &status) != 0) fail();
    if (S_ISDIR(status.st_mode)) throw std::system_error(EISDIR, std::generic_category());
    if (!S_ISREG(status.st_mode)) throw NoRegularFile();
    size_ = static_cast<std::uint64_t>(status.st_size);
}

Bytes Input::read(std::uint64_t at, std::uint64_t count) const {
    if (!file_) {
        const View part = bytes_.from(static_cast<std::size_t>(std::min<std::uint64_t>(at, bytes_.size)),
                                      static_cast<std::size_t>(std::min<std::uint64_t>(count, bytes_.size)));
        return Bytes(part.data, part.data + part.size);
    }
    Bytes bytes(static_cast<std::size_t>(std::min(count, at < size_ ? size_ - at : 0)));
    if (bytes.empty()) return bytes;
    if (fseeko(file_.get(), static_cast<off_t>(at), SEEK_SET) != 0) fail();
    const std::size_t got = std::fread(bytes.data(), 1, bytes.size(), file_.get());
    if (got < bytes.size() && std::ferror(file_.get()) != 0) fail();
    bytes.resize(got);  // the file may have been cut since
    return bytes;
}

}  // namespace ourgan::c
