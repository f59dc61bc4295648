// A stand-in for libcuda.so.1 that needs no GPU: host memory as device memory, a worker thread per stream, ordered
// queues, events, injected delays and errors, counters of what lives. It orders nothing that CUDA does not order:
// workers meet the rest of the program in semaphores and atomic flags alone, so that a missing wait is a data race
// that ThreadSanitizer sees, and one that delays bring to light.
#include "fake_cuda.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    NOT_READY = 600,
    LAUNCH_FAILED = 719,
};
typedef int Result;

// ---- Controls ------------------------------------------------------------------------------------------------

enum { COPY_IN, COPY_OUT, KERNEL, OPERATIONS };
enum { MAX_DEVICES = 4, MAX_FAILURES = 8, MAX_STREAMS = 256, MAX_DEPTH = 32 };

typedef struct {
    const char *call;
    atomic_int countdown;
    Result result;
    bool loses_device;
} Failure;

static int device_count;
static int64_t total_memory;
static int64_t durations[OPERATIONS];
static int64_t jitter;
static uint64_t seed;
static int ignored;
static const struct FakeClock *simulation;
static Failure failures[MAX_FAILURES];
static int failure_count;
static _Atomic Result lost;  // what every call returns once the device is lost
static atomic_int live[FAKE_KINDS];
static _Atomic int64_t allocated;
static atomic_int stream_count;

EXPORT void fake_reset(void) {
    device_count = 1;
    total_memory = (int64_t)8 << 30;
    memset(durations, 0, sizeof durations);
    jitter = 0;
    ignored = 0;
    simulation = NULL;
    while (failure_count > 0) free((char *)failures[--failure_count].call);
    lost = SUCCESS;
    stream_count = 0;
}

__attribute__((constructor)) static void initialize(void) { fake_reset(); }

EXPORT void fake_set_devices(int count) { device_count = count; }
EXPORT void fake_set_memory(int64_t bytes) { total_memory = bytes; }
EXPORT void fake_simulate(const struct FakeClock *clock) { simulation = clock; }
EXPORT void fake_ignore(int waits) { ignored = waits; }
EXPORT int fake_live(int kind) { return live[kind]; }

EXPORT void fake_set_durations(int64_t copy_in, int64_t copy_out, int64_t kernel) {
    durations[COPY_IN] = copy_in;
    durations[COPY_OUT] = copy_out;
    durations[KERNEL] = kernel;
}

EXPORT void fake_set_jitter(int64_t nanoseconds, uint64_t start) {
    jitter = nanoseconds;
    seed = start;
}

EXPORT void fake_fail(const char *call, int successes, Result result, int loses_device) {
    Failure *failure = &failures[failure_count++];
    failure->call = strdup(call);
    failure->countdown = successes;
    failure->result = result;
    failure->loses_device = loses_device;
}

static Result state(void) { return atomic_load_explicit(&lost, memory_order_relaxed); }

static Result failure_of(const char *call) {
    for (int i = 0; i < failure_count; ++i) {
        Failure *failure = &failures[i];
        if (strcmp(failure->call, call) != 0) continue;
        if (atomic_fetch_sub_explicit(&failure->countdown, 1, memory_order_relaxed) != 0) continue;
        if (failure->loses_device) atomic_store_explicit(&lost, failure->result, memory_order_relaxed);
        return failure->result;
    }
    return state();
}

static void count(int kind, int change) { atomic_fetch_add_explicit(&live[kind], change, memory_order_relaxed); }

// ---- Time ----------------------------------------------------------------------------------------------------

static int64_t now(void) {
    if (simulation) return simulation->now();
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void sleep_for(int64_t nanoseconds) {
    if (nanoseconds <= 0) return;
    const struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    nanosleep(&time, NULL);
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

// ---- Streams and events ----------------------------------------------------------------------------------------

// One recording of an event. Those who wait for it poll, because a lock would order more than CUDA does.
typedef struct {
    atomic_int references;
    atomic_int done;
    int64_t time;
} Record;

typedef struct {
    Record *latest;
} Event;

typedef struct {
    const void *input;
    void *output;
    float *check;
    int64_t height, width, channels, scale;
    int input_bytes, output_bytes;  // per value: 1 for uint8, 2 for float16, 4 for float32
} Upscale;

typedef struct Work {
    struct Work *_Atomic next;
    enum { COPY, LAUNCH, RECORD, WAIT, QUIT } what;
    int operation;
    void *to;
    const void *from;
    size_t bytes;
    Record *record;
    Upscale upscale;
} Work;

typedef struct {
    int index;
    pthread_t worker;
    pthread_mutex_t producers;
    sem_t queued;
    Work *last;   // the producers'
    Work *first;  // the worker's: already done
    int64_t submitted;
    _Atomic int64_t finished;
    int64_t ready;  // when all is done, in a simulation
    uint64_t random;
} Stream;

static Stream *streams[MAX_STREAMS];
static pthread_mutex_t streams_mutex = PTHREAD_MUTEX_INITIALIZER;

static Record *reference(Record *record) {
    if (record) atomic_fetch_add(&record->references, 1);
    return record;
}

static void drop(Record *record) {
    if (record && atomic_fetch_sub(&record->references, 1) == 1) free(record);
}

static void await(Record *record) {
    while (!atomic_load_explicit(&record->done, memory_order_acquire)) sleep_for(20000);
}

static float half_to_float(uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const float significand = (float)(bits & 1023);
    float value = exponent ? ldexpf(1024 + significand, exponent - 25) : ldexpf(significand, -24);
    if (exponent == 31) value = significand != 0 ? NAN : INFINITY;
    return bits & 0x8000 ? -value : value;
}

// From [0, 1] or NaN.
static uint16_t unit_to_half(float value) {
    if (isnan(value)) return 0x7E00;
    if (value < 0x1p-14f) return (uint16_t)rintf(value * 0x1p24f);
    int exponent;
    const float significand = frexpf(value, &exponent);
    return (uint16_t)((exponent + 14) * 1024 + (int)rintf(significand * 2048) - 1024);
}

static float load(const void *values, int64_t i, int bytes) {
    if (bytes == 1) return (float)((const uint8_t *)values)[i] / 255;
    if (bytes == 2) return half_to_float(((const uint16_t *)values)[i]);
    return ((const float *)values)[i];
}

static void store(void *values, int64_t i, int bytes, float value) {
    const float unit = value < 0 ? 0 : value > 1 ? 1 : value;
    if (bytes == 1) ((uint8_t *)values)[i] = (uint8_t)(isnan(unit) ? 0 : rintf(unit * 255));
    if (bytes == 2) ((uint16_t *)values)[i] = unit_to_half(unit);
    if (bytes == 4) ((float *)values)[i] = unit;
}

static void run_upscale(const Upscale *u) {
    float sum = 0;
    const int64_t width = u->width * u->scale;
    for (int64_t y = 0; y < u->height * u->scale; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            for (int64_t c = 0; c < u->channels; ++c) {
                const int64_t from = (y / u->scale * u->width + x / u->scale) * u->channels + c;
                const float value = load(u->input, from, u->input_bytes);
                sum += fabsf(value);
                store(u->output, (y * width + x) * u->channels + c, u->output_bytes, value);
            }
        }
    }
    *u->check = sum;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static bool operates(const Work *work) { return work->what == COPY || work->what == LAUNCH; }

// A copy of a few bytes takes none.
static int64_t duration_of(const Work *work) {
    return !operates(work) || (work->what == COPY && work->bytes <= 64) ? 0 : durations[work->operation];
}

static void execute(Stream *stream, Work *work) {
    static const char *const kNames[OPERATIONS] = {"copy in", "copy out", "kernel"};
    if (operates(work) && !simulation) {
        const int64_t extra = jitter > 0 ? (int64_t)(next_random(&stream->random) % (uint64_t)jitter) : 0;
        sleep_for(duration_of(work) + extra);
    }
    if (operates(work) && failure_of(kNames[work->operation]) != SUCCESS) return;
    if (work->what == COPY) memcpy(work->to, work->from, work->bytes);
    if (work->what == LAUNCH) run_upscale(&work->upscale);
    if (work->what == WAIT && !simulation) await(work->record);
    if (work->what == RECORD) {
        work->record->time = simulation ? stream->ready : now();
        atomic_store_explicit(&work->record->done, 1, memory_order_release);
    }
    drop(work->record);
}

static void *run_stream(void *argument) {
    Stream *stream = argument;
    for (bool quit = false; !quit;) {
        while (sem_wait(&stream->queued) != 0) continue;
        Work *work = atomic_load_explicit(&stream->first->next, memory_order_acquire);
        free(stream->first);
        stream->first = work;
        quit = work->what == QUIT;
        execute(stream, work);
        atomic_fetch_add_explicit(&stream->finished, 1, memory_order_release);
    }
    return NULL;
}

static void simulate(Stream *stream, Work *work) {
    stream->ready = later(stream->ready, now());
    if (work->what == WAIT) stream->ready = later(stream->ready, work->record->time);
    stream->ready += duration_of(work);
    execute(stream, work);
}

static void submit(Stream *stream, const Work *description) {
    Work *work = malloc(sizeof *work);
    *work = *description;
    if (simulation && work->what != QUIT) {
        simulate(stream, work);
        free(work);
        return;
    }
    pthread_mutex_lock(&stream->producers);
    ++stream->submitted;
    atomic_store_explicit(&stream->last->next, work, memory_order_release);
    stream->last = work;
    pthread_mutex_unlock(&stream->producers);
    sem_post(&stream->queued);
}

static void await_stream(Stream *stream) {
    if (simulation) {
        simulation->sleep_until(stream->ready);
        return;
    }
    pthread_mutex_lock(&stream->producers);
    const int64_t submitted = stream->submitted;
    pthread_mutex_unlock(&stream->producers);
    while (atomic_load_explicit(&stream->finished, memory_order_acquire) < submitted) sleep_for(20000);
}

static void await_device(void) {
    pthread_mutex_lock(&streams_mutex);
    for (int i = 0; i < MAX_STREAMS; ++i) {
        if (streams[i]) await_stream(streams[i]);
    }
    pthread_mutex_unlock(&streams_mutex);
}

// Puts `stream` in the place of another, or of none.
static void replace_stream(Stream *old, Stream *stream) {
    pthread_mutex_lock(&streams_mutex);
    int i = 0;
    while (streams[i] != old) ++i;
    streams[i] = stream;
    pthread_mutex_unlock(&streams_mutex);
}

// ---- The driver's functions ------------------------------------------------------------------------------------

static char contexts[MAX_DEVICES];  // the address of one stands for a device's primary context
static _Thread_local void *current[MAX_DEPTH];
static _Thread_local int depth;

#define ENTER(call)                                 \
    do {                                            \
        const Result failed = failure_of(call);     \
        if (failed != SUCCESS) return failed;       \
    } while (false)

#define ENTER_CONTEXT(call)                                     \
    do {                                                        \
        ENTER(call);                                            \
        if (depth == 0 || !current[depth - 1]) return INVALID_CONTEXT; \
    } while (false)

EXPORT Result cuGetErrorName(Result result, const char **name) {
    *name = result == OUT_OF_MEMORY     ? "CUDA_ERROR_OUT_OF_MEMORY"
            : result == NO_DEVICE       ? "CUDA_ERROR_NO_DEVICE"
            : result == INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT"
            : result == INVALID_VALUE   ? "CUDA_ERROR_INVALID_VALUE"
            : result == LAUNCH_FAILED   ? "CUDA_ERROR_LAUNCH_FAILED"
                                        : NULL;
    return *name ? SUCCESS : INVALID_VALUE;
}

EXPORT Result cuGetErrorString(Result result, const char **text) {
    const char *name;
    const Result known = cuGetErrorName(result, &name);
    *text = known == SUCCESS ? "as the fake driver was told" : NULL;
    return known;
}

EXPORT Result cuInit(unsigned flags) {
    (void)flags;
    ENTER("cuInit");
    return device_count > 0 ? SUCCESS : NO_DEVICE;
}

EXPORT Result cuDriverGetVersion(int *version) {
    *version = 13010;
    return SUCCESS;
}

EXPORT Result cuDeviceGetCount(int *count) {
    ENTER("cuDeviceGetCount");
    *count = device_count;
    return SUCCESS;
}

EXPORT Result cuDeviceGet(int *device, int ordinal) {
    ENTER("cuDeviceGet");
    *device = ordinal;
    return ordinal >= 0 && ordinal < device_count ? SUCCESS : INVALID_DEVICE;
}

EXPORT Result cuDeviceGetName(char *name, int length, int device) {
    ENTER("cuDeviceGetName");
    (void)device;
    strncpy(name, "Fake GPU", (size_t)length);
    return SUCCESS;
}

EXPORT Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    ENTER("cuDeviceGetAttribute");
    (void)device;
    *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 0;
    return SUCCESS;
}

EXPORT Result cuDeviceTotalMem_v2(size_t *bytes, int device) {
    ENTER("cuDeviceTotalMem");
    (void)device;
    *bytes = (size_t)total_memory;
    return SUCCESS;
}

EXPORT Result cuDevicePrimaryCtxRetain(void **context, int device) {
    ENTER("cuDevicePrimaryCtxRetain");
    *context = &contexts[device];
    count(FAKE_CONTEXTS, 1);
    return SUCCESS;
}

EXPORT Result cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    count(FAKE_CONTEXTS, -1);
    return failure_of("cuDevicePrimaryCtxRelease");
}

EXPORT Result cuCtxPushCurrent_v2(void *context) {
    ENTER("cuCtxPushCurrent");
    if (depth == MAX_DEPTH) return INVALID_VALUE;
    current[depth++] = context;
    return SUCCESS;
}

EXPORT Result cuCtxPopCurrent_v2(void **context) {
    if (depth == 0) return INVALID_CONTEXT;
    *context = current[--depth];
    return SUCCESS;
}

EXPORT Result cuCtxGetCurrent(void **context) {
    *context = depth > 0 ? current[depth - 1] : NULL;
    return SUCCESS;
}

EXPORT Result cuCtxSetCurrent(void *context) {
    if (depth == 0) depth = 1;
    current[depth - 1] = context;
    return SUCCESS;
}

// Memory begins with its size, and is filled with what is NaN as a float.
enum { HEADER = 64 };

static void *allocate(size_t bytes, int kind) {
    char *memory = NULL;
    if (posix_memalign((void **)&memory, HEADER, HEADER + bytes) != 0) return NULL;
    memcpy(memory, &bytes, sizeof bytes);
    memset(memory + HEADER, 0xFF, bytes);
    count(kind, 1);
    return memory + HEADER;
}

EXPORT Result cuMemAlloc_v2(uint64_t *address, size_t bytes) {
    ENTER_CONTEXT("cuMemAlloc");
    if (bytes == 0) return INVALID_VALUE;
    if (bytes > (uint64_t)(total_memory - allocated)) return OUT_OF_MEMORY;
    void *memory = allocate(bytes, FAKE_DEVICE_MEMORY);
    if (!memory) return OUT_OF_MEMORY;
    atomic_fetch_add_explicit(&allocated, (int64_t)bytes, memory_order_relaxed);
    *address = (uint64_t)(uintptr_t)memory;
    return SUCCESS;
}

EXPORT Result cuMemFree_v2(uint64_t address) {
    await_device();
    char *memory = (char *)(uintptr_t)address - HEADER;
    size_t bytes;
    memcpy(&bytes, memory, sizeof bytes);
    atomic_fetch_sub_explicit(&allocated, (int64_t)bytes, memory_order_relaxed);
    free(memory);
    count(FAKE_DEVICE_MEMORY, -1);
    return failure_of("cuMemFree");
}

EXPORT Result cuMemGetInfo_v2(size_t *available, size_t *total) {
    ENTER_CONTEXT("cuMemGetInfo");
    *total = (size_t)total_memory;
    *available = (size_t)(total_memory - allocated);
    return SUCCESS;
}

EXPORT Result cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
    ENTER_CONTEXT("cuMemHostAlloc");
    (void)flags;
    if (bytes == 0) return INVALID_VALUE;
    *memory = allocate(bytes, FAKE_PINNED_MEMORY);
    return *memory ? SUCCESS : OUT_OF_MEMORY;
}

EXPORT Result cuMemFreeHost(void *memory) {
    free((char *)memory - HEADER);
    count(FAKE_PINNED_MEMORY, -1);
    return failure_of("cuMemFreeHost");
}

EXPORT Result cuStreamCreate(Stream **result, unsigned flags) {
    ENTER_CONTEXT("cuStreamCreate");
    (void)flags;
    Stream *stream = calloc(1, sizeof *stream);
    stream->index = stream_count++;
    stream->first = stream->last = calloc(1, sizeof(Work));
    stream->random = seed + (uint64_t)stream->index;
    pthread_mutex_init(&stream->producers, NULL);
    sem_init(&stream->queued, 0, 0);
    if (pthread_create(&stream->worker, NULL, run_stream, stream) != 0) return OUT_OF_MEMORY;
    replace_stream(NULL, stream);
    count(FAKE_STREAMS, 1);
    *result = stream;
    return SUCCESS;
}

EXPORT Result cuStreamDestroy_v2(Stream *stream) {
    submit(stream, &(Work){.what = QUIT});
    pthread_join(stream->worker, NULL);
    replace_stream(stream, NULL);
    free(stream->first);
    sem_destroy(&stream->queued);
    pthread_mutex_destroy(&stream->producers);
    free(stream);
    count(FAKE_STREAMS, -1);
    return failure_of("cuStreamDestroy");
}

EXPORT Result cuStreamSynchronize(Stream *stream) {
    ENTER_CONTEXT("cuStreamSynchronize");
    await_stream(stream);
    return state();
}

EXPORT Result cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
    ENTER_CONTEXT("cuStreamWaitEvent");
    (void)flags;
    const bool skipped = (stream->index == 0 && ignored & FAKE_WAITS_OF_FIRST_STREAM) ||
                         (stream->index == 2 && ignored & FAKE_WAITS_OF_THIRD_STREAM);
    if (event->latest && !skipped) submit(stream, &(Work){.what = WAIT, .record = reference(event->latest)});
    return SUCCESS;
}

EXPORT Result cuEventCreate(Event **event, unsigned flags) {
    ENTER_CONTEXT("cuEventCreate");
    (void)flags;
    *event = calloc(1, sizeof **event);
    count(FAKE_EVENTS, 1);
    return SUCCESS;
}

EXPORT Result cuEventDestroy_v2(Event *event) {
    drop(event->latest);
    free(event);
    count(FAKE_EVENTS, -1);
    return failure_of("cuEventDestroy");
}

EXPORT Result cuEventRecord(Event *event, Stream *stream) {
    ENTER_CONTEXT("cuEventRecord");
    Record *record = calloc(1, sizeof *record);
    record->references = 1;
    drop(event->latest);
    event->latest = record;
    submit(stream, &(Work){.what = RECORD, .record = reference(record)});
    return SUCCESS;
}

EXPORT Result cuEventSynchronize(Event *event) {
    ENTER_CONTEXT("cuEventSynchronize");
    if (simulation) {
        if (event->latest) simulation->sleep_until(event->latest->time);
        simulation->sleep_until(now() + simulation->host_work);
    } else if (event->latest && !(ignored & FAKE_WAITS_FOR_EVENTS)) {
        await(event->latest);
    }
    return state();
}

EXPORT Result cuEventElapsedTime(float *milliseconds, Event *start, Event *end) {
    ENTER_CONTEXT("cuEventElapsedTime");
    const Record *first = start->latest, *last = end->latest;
    *milliseconds = 0;
    if (ignored) return SUCCESS;
    if (!first || !last || !first->done || !last->done) return NOT_READY;
    *milliseconds = (float)((double)(last->time - first->time) / 1e6);
    return SUCCESS;
}

EXPORT Result cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, Stream *stream) {
    ENTER_CONTEXT("cuMemcpyHtoDAsync");
    if (simulation) simulation->sleep_until(now() + simulation->host_work);
    submit(stream, &(Work){.what = COPY, .operation = COPY_IN, .to = (void *)(uintptr_t)to, .from = from, .bytes = bytes});
    return SUCCESS;
}

EXPORT Result cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, Stream *stream) {
    ENTER_CONTEXT("cuMemcpyDtoHAsync");
    submit(stream, &(Work){.what = COPY, .operation = COPY_OUT, .to = to, .from = (void *)(uintptr_t)from, .bytes = bytes});
    return SUCCESS;
}

EXPORT Result fake_launch_upscale(uint64_t stream, uint64_t input, uint64_t output, uint64_t check, int64_t height,
                                  int64_t width, int64_t channels, int64_t scale, int input_bytes, int output_bytes) {
    ENTER("launch");
    const Upscale upscale = {
        (const void *)(uintptr_t)input, (void *)(uintptr_t)output, (float *)(uintptr_t)check, height, width, channels, scale,
        input_bytes, output_bytes,
    };
    submit((Stream *)(uintptr_t)stream, &(Work){.what = LAUNCH, .operation = KERNEL, .upscale = upscale});
    return SUCCESS;
}
