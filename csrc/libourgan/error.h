// What ends a call of the C interface, with the status that it returns.
#pragma once

#include <stdexcept>
#include <string>

#include "ourgan.h"

namespace ourgan::c {

class Error : public std::runtime_error {
public:
    Error(ourgan_status status, const std::string& what) : std::runtime_error(what), status_(status) {}
    ourgan_status status() const { return status_; }

private:
    ourgan_status status_;
};

}  // namespace ourgan::c
