// What JPEG and PNG files tell of themselves, as ourgan_sdk/photograph/{kinds,jpeg,png,tiff}.py read it.
#pragma once

#include <optional>
#include <string>

#include "input.h"

namespace ourgan::c {

enum class Kind { jpeg, png };

// Why a photograph is refused: a sentence without its beginning, the photograph's name.
struct Refusal {
    std::string reason;
};

// By the first bytes. Throws Refusal for whatever else a file may be.
Kind kind_of(const View& data);

// The same JPEG without EXIF, XMP, IPTC, comments, thumbnails and what follows its end; nothing if it is no 8-bit
// baseline or progressive JPEG of three components.
std::optional<Bytes> without_private_data(const View& jpeg);

// Whether decoders have the whole picture in memory: an interlaced PNG, a progressive JPEG, or one in several scans.
bool is_interlaced(Kind kind, const View& file);

// Throws Refusal for a JPEG of samples that few programs read.
void check_jpeg(const View& jpeg);

// The same PNG without texts, which its decoders refuse when they are large.
// Throws Refusal if its colours are others than sRGB and no profile tells which.
Bytes checked_png(const View& png);

// EXIF's orientation; 1 if none is told.
int orientation_of(View exif);

}  // namespace ourgan::c
