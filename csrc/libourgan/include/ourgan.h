/* libourgan: new pictures of one photograph, for products that embed no Python. C99 or C++.
 *
 * A source is an opened bundle (.ourgan) or photograph; a canvas is one picture of a size and seed, of which any
 * region of any level is read into the caller's memory. Layouts are composed of the photograph's patches, and detail
 * is the photograph's own: what takes a network is refused (OURGAN_ENGINE_ERROR), and Python's ourgan_sdk renders it.
 * The bytes are those that ourgan_sdk gives with structure="patches".
 *
 * Every function that returns an ourgan_status returns OURGAN_OK, or a code that ourgan_last_error() explains; outputs
 * are then left as they were. Null where an object or an output is expected is OURGAN_VALUE_ERROR. Functions may be
 * called from any thread, and by several threads on the same object at once, but for the functions that free one: call
 * these once, when no other call uses the object. Nothing is printed, and the process's locale, signals and directory
 * stay as they are. After fork() the child opens its own sources. */
#ifndef OURGAN_H
#define OURGAN_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define OURGAN_API __declspec(dllimport)
#elif defined(__GNUC__)
#define OURGAN_API __attribute__((visibility("default")))
#else
#define OURGAN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- Versions ------------------------------------------------------------------------------------------------- */

/* Of the binary interface: it grows by functions, and by fields at the end of structures; all else is a new one. */
#define OURGAN_ABI_VERSION 1

/* That of the library, "1.2.3", and the interface's. Never fail. */
OURGAN_API const char *ourgan_version(void);
OURGAN_API int32_t ourgan_abi_version(void);

/* --- Errors --------------------------------------------------------------------------------------------------- */

typedef int32_t ourgan_status;

/* Each is named as the exception that ourgan_sdk raises for the same reason: see ourgan_status_name(). */
enum {
    OURGAN_OK = 0,
    OURGAN_VALUE_ERROR = 1,      /* an argument is not allowed */
    OURGAN_INDEX_ERROR = 2,      /* a region is empty or leaves the picture, or there is no such level */
    OURGAN_SIZE_ERROR = 3,       /* a picture of that size, extent or layout cannot be made */
    OURGAN_BUNDLE_ERROR = 4,     /* a bundle is damaged, foreign, of a later version, or holds no photograph */
    OURGAN_PHOTOGRAPH_ERROR = 5, /* a photograph cannot be read, or is of a kind that is not read here */
    OURGAN_ENGINE_ERROR = 6,     /* it takes a network, which this library has none of */
    OURGAN_BUDGET_ERROR = 7,     /* the source's memory limit is too small; the message says what it takes at least */
    OURGAN_MEMORY_ERROR = 8,     /* the system gives no more memory, or no more threads */
    OURGAN_CANCELLED = 9,        /* by a token, or by what progress returned */
    OURGAN_INTERNAL_ERROR = 10   /* a fault of this library */
};

/* "BundleError" for OURGAN_BUNDLE_ERROR, and so on; "unknown" for numbers that are no status. Never fails. */
OURGAN_API const char *ourgan_status_name(ourgan_status status);

/* What the last call of this thread that failed has returned, and one sentence for a person, in UTF-8, in which bytes of
 * names that are not, and control characters, are written \xff; OURGAN_OK and "" before the first one. The text is
 * this thread's, and stays until its next call that fails. Never fail. */
OURGAN_API ourgan_status ourgan_last_status(void);
OURGAN_API const char *ourgan_last_error(void);

/* --- Cancelling and progress ---------------------------------------------------------------------------------- */

/* A token that ends the calls which were given it. One token may serve many calls. */
typedef struct ourgan_cancel ourgan_cancel;

OURGAN_API ourgan_status ourgan_cancel_new(ourgan_cancel **token);
/* Ends the calls that use it, within a step, which of a large photograph on one thread takes seconds, and all later
 * ones, until it is reset. From any thread; not from a signal's handler. Null is nothing. */
OURGAN_API void ourgan_cancel_set(ourgan_cancel *token);
OURGAN_API void ourgan_cancel_reset(ourgan_cancel *token);
/* Null is nothing. */
OURGAN_API void ourgan_cancel_free(ourgan_cancel *token);

/* Told what share of a call's work is done, from 0 to 1, never less than before; after each step, mostly several times
 * a second, in the calling thread. What is not 0 cancels the call. It may call this library, but not wait for another
 * thread that uses the same canvas, nor read or prepare a canvas whose search it is told of (OURGAN_VALUE_ERROR), nor
 * any other canvas of the same source: two threads that do so may wait for each other for ever. It must return (no
 * longjmp). */
typedef int32_t (*ourgan_progress)(double share, void *user);

/* --- Sources -------------------------------------------------------------------------------------------------- */

/* A bundle or a photograph, decoded into memory: 3 bytes per pixel. */
typedef struct ourgan_source ourgan_source;

typedef struct ourgan_source_options {
    size_t struct_size;    /* set by ourgan_source_options_init(), as all fields are */
    uint64_t memory_limit; /* bytes, for the source and all of its canvases together; 0: none. Where a small allocation
                              is refused by the system while a file is decoded, GLib ends the process: a limit that
                              the system can give prevents it */
    int32_t threads;       /* of each call that decodes, searches or gathers, 1 to 1024; 0: all that the machine has */
    int32_t reserved;      /* 0 */
} ourgan_source_options;

/* Fills in the defaults of a structure of `size` bytes, of the header that the caller was compiled with: writes no more,
 * whatever a later library has. Null is nothing. */
OURGAN_API void ourgan_source_options_init_sized(ourgan_source_options *options, size_t size);
static inline void ourgan_source_options_init(ourgan_source_options *options) {
    ourgan_source_options_init_sized(options, sizeof *options);
}

/* Opens a file: a bundle, or a JPEG or PNG photograph. The path is in the system's encoding. options: null for the
 * defaults. The file may be changed afterwards; nothing of it is open. */
OURGAN_API ourgan_status ourgan_open(const char *path, const ourgan_source_options *options, ourgan_source **source);
/* The same of a file's bytes, which may be freed afterwards. name: what errors call it. */
OURGAN_API ourgan_status ourgan_open_memory(const void *bytes, size_t size, const char *name,
                                            const ourgan_source_options *options, ourgan_source **source);
/* Of the photograph, in pixels. Either output may be null. */
OURGAN_API ourgan_status ourgan_source_size(const ourgan_source *source, int64_t *width, int64_t *height);
/* Canvases of it stay as they are. Null is nothing. */
OURGAN_API void ourgan_source_free(ourgan_source *source);

/* --- Canvases ------------------------------------------------------------------------------------------------- */

/* One picture. */
typedef struct ourgan_canvas ourgan_canvas;

enum { OURGAN_NO_AXIS = 0, OURGAN_Y = 1, OURGAN_X = 2, OURGAN_BOTH = 3 };

typedef struct ourgan_canvas_options {
    size_t struct_size; /* set by ourgan_canvas_options_init(), as all fields are */
    int64_t width;      /* pixels, from 1 to 2^31 - 1: to be set */
    int64_t height;
    uint64_t seed;
    double extent;      /* how many photographs wide, 0.25 to 1024; 0: one, up to two where the picture is larger;
                           of a retargeted one, such that the photograph fits */
    double variety;     /* from 0, large parts of the photograph, to 1, wild; NaN (default): 0.5, or 0 with retarget */
    double vertical;    /* how much up and down matter, 0 to 4; NaN (default): 1, or 0 where y is tileable */
    int32_t tileable;   /* which opposite sides continue each other */
    int32_t symmetric;  /* along which axes the second half mirrors the first */
    int32_t retarget;   /* not 0: the photograph's own layout, rebuilt at this size */
    int32_t reserved;   /* 0 */
} ourgan_canvas_options;

/* As for sources. */
OURGAN_API void ourgan_canvas_options_init_sized(ourgan_canvas_options *options, size_t size);
static inline void ourgan_canvas_options_init(ourgan_canvas_options *options) {
    ourgan_canvas_options_init_sized(options, sizeof *options);
}

/* Plans a picture; nothing is searched yet. What it will take counts against the source's memory limit as long as it
 * lives. It keeps its source's photograph, whether or not the source is freed. */
OURGAN_API ourgan_status ourgan_canvas_new(ourgan_source *source, const ourgan_canvas_options *options,
                                           ourgan_canvas **canvas);
/* Null is nothing. */
OURGAN_API void ourgan_canvas_free(ourgan_canvas *canvas);

/* How many photographs wide it is. */
OURGAN_API ourgan_status ourgan_canvas_extent(const ourgan_canvas *canvas, double *extent);
/* Bytes that it takes at most, about, beside the source's photograph: what counts against the memory limit. Further
 * calls that read it at once take some megabytes each. */
OURGAN_API ourgan_status ourgan_canvas_memory(const ourgan_canvas *canvas, uint64_t *bytes);
/* The share of its layout (of the half that is made, where it is symmetric) that is one piece of the photograph;
 * OURGAN_VALUE_ERROR before it has been searched. */
OURGAN_API ourgan_status ourgan_canvas_copied_share(const ourgan_canvas *canvas, double *share);
/* Levels are counted from the canvas itself, 0; each has half the sides of the one before, rounded up, and takes a
 * quarter of its time. */
OURGAN_API ourgan_status ourgan_canvas_levels(const ourgan_canvas *canvas, int32_t *count);
OURGAN_API ourgan_status ourgan_canvas_level_size(const ourgan_canvas *canvas, int32_t level, int64_t *width,
                                                  int64_t *height);

/* Searches the layout and the field of the whole picture, if that was not done: what the first read does as well.
 * Where another thread is at it, the call waits for it, and goes on by itself if the other is cancelled.
 * token, progress: null for none. */
OURGAN_API ourgan_status ourgan_canvas_prepare(ourgan_canvas *canvas, const ourgan_cancel *token,
                                               ourgan_progress progress, void *user);

/* Half open: rows y0 to y1 - 1, columns x0 to x1 - 1. */
typedef struct ourgan_box {
    int64_t y0, x0, y1, x1;
} ourgan_box;

/* Of pixels, interleaved; 16 bits in the machine's byte order. Alpha is opaque. */
enum { OURGAN_RGB8 = 0, OURGAN_RGB16 = 1, OURGAN_RGBA8 = 2, OURGAN_RGBA16 = 3 };

/* Writes a region of a level, in its pixels, to `pixels`: its first row there, the others each row_stride bytes behind
 * the one before (negative for pictures that begin at the bottom). Rows must not overlap; of 16 bits, memory and
 * stride must be even. Any region has the pixels that the whole picture has there. Of a call that fails, parts may
 * have been written. token, progress: null for none. */
OURGAN_API ourgan_status ourgan_canvas_read(ourgan_canvas *canvas, int32_t level, ourgan_box region, int32_t format,
                                            void *pixels, ptrdiff_t row_stride, const ourgan_cancel *token,
                                            ourgan_progress progress, void *user);

#ifdef __cplusplus
}
#endif

#endif
