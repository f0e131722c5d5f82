/* A stand-in for the CUDA driver, for tests. It answers the calls that the judge makes and follows
 * a script (see `script.h`), so that every fault of a driver can be had on a machine without a
 * device. It tests how faults are handled; nothing it says is a measurement.
 *
 * Device memory is the host's, a stream is worked off at once by the calling thread, and time is
 * real. The judge's own kernels are built from their very source; a candidate's is a function of a
 * library that the script names. Built by
 *
 *   cc -std=c11 -shared -fPIC -DHELPERS='"…/helpers.cu"' driver.c -Wl,-soname,libcuda.so.1
 *
 * and with -DTOO_OLD as the driver of CUDA 11.0, which lacks a call. One thread at a time calls. */
#include "script.h"
#include <time.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct context *CUcontext;
typedef struct handle *CUmodule, *CUfunction, *CUstream, *CUevent, *CUgraph, *CUgraphExec,
    *CUgraphNode;

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    OUT_OF_RESOURCES = 701,
    NOT_SUPPORTED = 801
};

#define CALL __attribute__((visibility("default"))) CUresult

/* Declared here for the judge's kernels, defined below. */
static unsigned long long optloop_clock(void);

/* Each kernel strides by the number of threads, so one thread does all. */
static unsigned long long optloop_first_thread(void) { return 0; }
static unsigned long long optloop_thread_count(void) { return 1; }
static void optloop_add(unsigned long long *to, unsigned long long value) { *to += value; }
static void optloop_least(unsigned long long *to, unsigned long long value)
{
    if (value < *to)
        *to = value;
}

#pragma GCC visibility push(hidden)
#include HELPERS
#pragma GCC visibility pop

#define AT(type, i) (*(type *)parameters[i])
static void run_delay(void **parameters) { optloop_delay(AT(u64, 0)); }
static void run_stamp(void **parameters) { optloop_stamp(AT(u64 *, 0)); }
static void run_touch(void **parameters)
{
    optloop_touch(AT(u32 *, 0), AT(u64, 1), AT(u32 *, 2));
}
static void run_hash(void **parameters)
{
    optloop_hash(AT(u64 *, 0), AT(u64, 1), AT(u64, 2), AT(u64 *, 3));
}
static void run_zones_fill(void **parameters)
{
    optloop_zones_fill(AT(char *, 0), AT(u64 *, 1), AT(u64, 2), AT(u64, 3), AT(u64, 4));
}
static void run_zones_check(void **parameters)
{
    optloop_zones_check(AT(char *, 0), AT(u64 *, 1), AT(u64, 2), AT(u64, 3), AT(u64, 4),
                        AT(u64 *, 5));
}
static void run_compare(void **parameters)
{
    optloop_compare(AT(void *, 0), AT(void *, 1), AT(u64, 2), AT(u32, 3), AT(double, 4),
                    AT(double, 5), AT(u64 *, 6));
}
static void run_copy(void **parameters)
{
    optloop_copy(AT(optloop_word *, 0), AT(optloop_word *, 1), AT(int, 2));
}
static void run_fma(void **parameters) { optloop_fma(AT(float *, 0), AT(float *, 1), AT(int, 2)); }

/* The judge's kernels and the sizes of their parameters, a digit each. */
static const struct {
    const char *name;
    void (*run)(void **parameters);
    const char *sizes;
} helpers[] = {{"optloop_delay", run_delay, "8"},
               {"optloop_stamp", run_stamp, "8"},
               {"optloop_touch", run_touch, "888"},
               {"optloop_hash", run_hash, "8888"},
               {"optloop_zones_fill", run_zones_fill, "88888"},
               {"optloop_zones_check", run_zones_check, "888888"},
               {"optloop_compare", run_compare, "8884888"},
               {"optloop_copy", run_copy, "884"},
               {"optloop_fma", run_fma, "884"}};

/* ------------------------------------------------------------------ the state of the device */

struct context {
    int retained;
};

enum kind { GONE, MODULE, FUNCTION, STREAM, EVENT, GRAPH, EXEC };

/* A node of a graph, with the arguments as they were when it was added. */
struct node {
    struct node *next;
    CUfunction function;
    void *parameters[PARAMETERS];
    u64 values[]; /* where `parameters` point */
};

/* Whatever a handle names. It stays when that is gone, so that a stale handle is noticed. */
struct handle {
    enum kind kind;
    CUcontext context;
    char *image;   /* of a module that is text */
    CUmodule home; /* of a function, as what follows */
    struct kernel *kernel;
    size_t sizes[PARAMETERS];
    int parameters;
    int dynamic_limit;
    int timed, recorded, lost; /* of an event */
    u64 when;
    struct node *nodes; /* of a graph */
    struct handle *next;
};

struct allocation {
    char *start;
    size_t bytes;
    CUcontext context;
    struct allocation *next;
};

static struct context contexts[MOST];
static _Thread_local CUcontext current;
static struct handle *handles;
static struct allocation *allocations;
static u64 allocated;
static int initialised;
static CUresult broken;  /* what every call returns once the context is lost */
static CUresult pending; /* what the next call that waits returns */
static int hung;         /* a launch that never ends is on its way */
static u64 busy_until;   /* on a stream that nobody waits for */

static unsigned long long optloop_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * 1000000000ULL + (u64)now.tv_nsec;
}

static void sleep_ns(u64 ns)
{
    struct timespec span = {(time_t)(ns / 1000000000ULL), (long)(ns % 1000000000ULL)};
    nanosleep(&span, NULL);
}

/* After these nothing in the process's context works any more (CUDA driver API, CUresult: "leaves
 * the process in an inconsistent state"). */
static int is_sticky(CUresult code)
{
    return code == 214 || code == 700 || code == 702 || code == 710 ||
           (code >= 714 && code <= 719);
}

enum need { NOTHING, INITIALISED, CONTEXT };

static CUresult returned(CUresult code)
{
    if (is_sticky(code))
        broken = code;
    return code;
}

/* What each call begins with: the script first, then what must have come before. */
static CUresult enter(const char *call, enum need need)
{
    CUresult code;
    follow_script();
    if (broken)
        return broken;
    code = scripted(call);
    if (code)
        return returned(code);
    if (need >= INITIALISED && !initialised)
        return NOT_INITIALIZED;
    if (need >= CONTEXT && (!current || !current->retained))
        return INVALID_CONTEXT;
    return SUCCESS;
}

#define ENTER(call, need)                                                                          \
    do {                                                                                           \
        CUresult gate = enter(call, need);                                                         \
        if (gate)                                                                                  \
            return gate;                                                                           \
    } while (0)

/* Waits for the device, which for a hung one is for ever. */
static CUresult settle(void)
{
    CUresult code = pending;
    while (hung)
        sleep_ns(1000000000ULL);
    pending = SUCCESS;
    return returned(code);
}

#define SETTLE()                                                                                   \
    do {                                                                                           \
        CUresult gate = settle();                                                                  \
        if (gate)                                                                                  \
            return gate;                                                                           \
    } while (0)

static struct handle *new_handle(enum kind kind)
{
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        give_up("no memory", "handle");
    handle->kind = kind;
    handle->context = current;
    handle->next = handles;
    return handles = handle;
}

static int is(const struct handle *handle, enum kind kind)
{
    return handle && handle->kind == kind && handle->context->retained;
}

/* The default streams have no handle: 0, CU_STREAM_LEGACY, CU_STREAM_PER_THREAD. */
static int is_stream(CUstream stream) { return (size_t)stream <= 2 || is(stream, STREAM); }

static void forget_nodes(struct handle *graph)
{
    while (graph->nodes) {
        struct node *node = graph->nodes;
        graph->nodes = node->next;
        free(node);
    }
}

static void close_handle(struct handle *handle)
{
    forget_nodes(handle);
    free(handle->image);
    handle->image = NULL;
    handle->kind = GONE;
}

static void release(struct allocation **link)
{
    struct allocation *gone = *link;
    *link = gone->next;
    allocated -= gone->bytes;
    memset(gone->start, 0xDD, gone->bytes);
    free(gone->start);
    free(gone);
}

/* What a context owned goes with it, silently: what the log lacks was left over. */
static void end_context(CUcontext context)
{
    struct allocation **link = &allocations;
    struct handle *handle;
    context->retained = 0;
    while (*link) {
        if ((*link)->context == context)
            release(link);
        else
            link = &(*link)->next;
    }
    for (handle = handles; handle; handle = handle->next)
        if (handle->kind != GONE && handle->context == context)
            close_handle(handle);
}

/* Whether all of it lies in one living allocation. */
static int is_ours(CUdeviceptr at, size_t bytes)
{
    struct allocation *one;
    for (one = allocations; one; one = one->next) {
        u64 start = (u64)one->start;
        if (at >= start && at <= start + one->bytes && bytes <= start + one->bytes - at)
            return 1;
    }
    return 0;
}

/* ------------------------------------------------------------------------ driver and devices */

CALL cuInit(unsigned flags)
{
    ENTER("cuInit", NOTHING);
    if (flags)
        return INVALID_VALUE;
    if (script.devices == 0)
        return NO_DEVICE;
    if (!initialised)
        note("init");
    initialised = 1;
    return SUCCESS;
}

CALL cuDriverGetVersion(int *version)
{
    ENTER("cuDriverGetVersion", NOTHING);
#ifdef TOO_OLD
    *version = 11000;
#else
    *version = script.version;
#endif
    return SUCCESS;
}

CALL cuDeviceGetCount(int *count)
{
    ENTER("cuDeviceGetCount", INITIALISED);
    *count = script.devices;
    return SUCCESS;
}

CALL cuDeviceGet(CUdevice *device, int ordinal)
{
    ENTER("cuDeviceGet", INITIALISED);
    if (ordinal < 0 || ordinal >= script.devices)
        return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

#define DEVICE_CALL(call)                                                                          \
    ENTER(call, INITIALISED);                                                                      \
    if (device < 0 || device >= script.devices)                                                    \
    return INVALID_DEVICE

CALL cuDeviceGetName(char *name, int length, CUdevice device)
{
    DEVICE_CALL("cuDeviceGetName");
    snprintf(name, (size_t)length, "%s", script.name);
    return SUCCESS;
}

CALL cuDeviceGetUuid_v2(unsigned char *uuid, CUdevice device)
{
    DEVICE_CALL("cuDeviceGetUuid_v2");
    memcpy(uuid, script.uuid, 16);
    uuid[15] = (unsigned char)(uuid[15] - device);
    return SUCCESS;
}

CALL cuDeviceGetUuid(unsigned char *uuid, CUdevice device)
{
    return cuDeviceGetUuid_v2(uuid, device);
}

CALL cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    DEVICE_CALL("cuDeviceTotalMem_v2");
    *bytes = script.memory;
    return SUCCESS;
}

/* By the numbers of CUdevice_attribute. Sizes are those of compute capability 9.0 (CUDA
 * programming guide, "Technical Specifications per Compute Capability"). */
static const int attributes[][2] = {
    {1, 1024},    {2, 1024},     {3, 1024},    {4, 64},      {5, 2147483647}, {6, 65535},
    {7, 65535},   {8, 49152},    {9, 65536},   {10, 32},     {11, 2147483647}, {12, 65536},
    {13, 1980000}, {19, 1},      {31, 1},      {32, 1},      {36, 2619000},   {37, 5120},
    {39, 2048},   {40, 3},       {41, 1},      {78, 1},      {79, 1},         {80, 1},
    {81, 233472}, {82, 65536},   {83, 1},      {89, 1},      {90, 1},         {95, 1},
    {97, 232448}, {106, 32},     {108, 32 << 20}, {109, 128 << 20}, {111, 1024}, {115, 1}};

static int attribute_of(int attribute, CUdevice device)
{
    size_t i;
    int line;
    for (line = script.attribute_count - 1; line >= 0; line--)
        if (script.attributes[line][0] == attribute)
            return script.attributes[line][1];
    switch (attribute) {
    case 16:
        return script.multiprocessors;
    case 33:
        return device + 1;
    case 38:
        return (int)script.l2;
    case 75:
        return script.major;
    case 76:
        return script.minor;
    default:
        break;
    }
    for (i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (attributes[i][0] == attribute)
            return attributes[i][1];
    return 0;
}

CALL cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    DEVICE_CALL("cuDeviceGetAttribute");
    if (attribute < 1 || attribute > 200)
        return INVALID_VALUE;
    *value = attribute_of(attribute, device);
    return SUCCESS;
}

CALL cuDeviceGetPCIBusId(char *id, int length, CUdevice device)
{
    DEVICE_CALL("cuDeviceGetPCIBusId");
    snprintf(id, (size_t)length, "0000:%02X:00.0", (unsigned)device + 1);
    return SUCCESS;
}

/* ---------------------------------------------------------------------------------- contexts */

CALL cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    DEVICE_CALL("cuDevicePrimaryCtxRetain");
    contexts[device].retained++;
    note("context +");
    *context = &contexts[device];
    return SUCCESS;
}

CALL cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    DEVICE_CALL("cuDevicePrimaryCtxRelease_v2");
    if (!contexts[device].retained)
        return INVALID_CONTEXT;
    note("context -");
    if (contexts[device].retained == 1)
        end_context(&contexts[device]);
    else
        contexts[device].retained--;
    return SUCCESS;
}

CALL cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
    DEVICE_CALL("cuDevicePrimaryCtxSetFlags_v2");
    return flags > 0xff ? INVALID_VALUE : SUCCESS;
}

/* Those who retained it still hold it, and find it empty. */
CALL cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    int retained;
    DEVICE_CALL("cuDevicePrimaryCtxReset_v2");
    note("context reset");
    retained = contexts[device].retained;
    end_context(&contexts[device]);
    contexts[device].retained = retained;
    return SUCCESS;
}

CALL cuCtxSetCurrent(CUcontext context)
{
    ENTER("cuCtxSetCurrent", INITIALISED);
    if (context && !context->retained)
        return INVALID_CONTEXT;
    current = context;
    return SUCCESS;
}

CALL cuCtxGetCurrent(CUcontext *context)
{
    ENTER("cuCtxGetCurrent", INITIALISED);
    *context = current;
    return SUCCESS;
}

CALL cuCtxSynchronize(void)
{
    u64 now;
    ENTER("cuCtxSynchronize", CONTEXT);
    SETTLE();
    while ((now = optloop_clock()) < busy_until)
        sleep_ns(busy_until - now);
    return SUCCESS;
}

CALL cuCtxResetPersistingL2Cache(void)
{
    ENTER("cuCtxResetPersistingL2Cache", CONTEXT);
    return SUCCESS;
}

/* ------------------------------------------------------------------------------------ memory */

CALL cuMemGetInfo_v2(size_t *available, size_t *total)
{
    ENTER("cuMemGetInfo_v2", CONTEXT);
    *available = script.memory - allocated;
    *total = script.memory;
    return SUCCESS;
}

CALL cuMemAlloc_v2(CUdeviceptr *at, size_t bytes)
{
    struct allocation *one;
    ENTER("cuMemAlloc_v2", CONTEXT);
    if (!bytes)
        return INVALID_VALUE;
    if (bytes > script.memory - allocated)
        return OUT_OF_MEMORY;
    one = calloc(1, sizeof *one);
    if (!one || posix_memalign((void **)&one->start, 512, bytes) != 0) {
        free(one);
        return OUT_OF_MEMORY;
    }
    /* Nobody may count on zeros. A large one is left as it is: filling it would take its time. */
    memset(one->start, 0xA5, bytes < 1 << 20 ? bytes : 1 << 20);
    one->bytes = bytes;
    one->context = current;
    one->next = allocations;
    allocations = one;
    allocated += bytes;
    *at = (CUdeviceptr)one->start;
    note("alloc %zu 0x%llx", bytes, *at);
    return SUCCESS;
}

/* Whether nothing is left to find in it. */
static int is_wiped(const struct allocation *allocation)
{
    size_t i;
    for (i = 0; i < allocation->bytes; i++)
        if (allocation->start[i])
            return 0;
    return 1;
}

CALL cuMemFree_v2(CUdeviceptr at)
{
    struct allocation **link;
    ENTER("cuMemFree_v2", CONTEXT);
    if (!at)
        return SUCCESS;
    SETTLE();
    for (link = &allocations; *link; link = &(*link)->next) {
        if ((CUdeviceptr)(*link)->start == at) {
            if (!is_wiped(*link))
                note("dirty 0x%llx", at);
            note("free 0x%llx", at);
            release(link);
            return SUCCESS;
        }
    }
    return INVALID_VALUE;
}

/* Page-locked memory of the host; the log does not tell of it. */
CALL cuMemAllocHost_v2(void **at, size_t bytes)
{
    ENTER("cuMemAllocHost_v2", CONTEXT);
    *at = bytes ? malloc(bytes) : NULL;
    return *at ? SUCCESS : bytes ? OUT_OF_MEMORY : INVALID_VALUE;
}

CALL cuMemFreeHost(void *at)
{
    ENTER("cuMemFreeHost", CONTEXT);
    free(at);
    return SUCCESS;
}

/* Work that is behind a failed or hung launch is never done. */
static int is_stuck(void) { return hung || pending; }

static CUresult copied(void *to, const void *from, size_t bytes)
{
    if (!is_stuck())
        memmove(to, from, bytes);
    return SUCCESS;
}

CALL cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    ENTER("cuMemcpyHtoD_v2", CONTEXT);
    if (!is_ours(to, bytes))
        return INVALID_VALUE;
    SETTLE();
    return copied((void *)to, from, bytes);
}

CALL cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    ENTER("cuMemcpyDtoH_v2", CONTEXT);
    if (!is_ours(from, bytes))
        return INVALID_VALUE;
    SETTLE();
    return copied(to, (void *)from, bytes);
}

CALL cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    ENTER("cuMemcpyDtoD_v2", CONTEXT);
    if (!is_ours(to, bytes) || !is_ours(from, bytes))
        return INVALID_VALUE;
    return copied((void *)to, (void *)from, bytes);
}

CALL cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER("cuMemcpyDtoDAsync_v2", CONTEXT);
    if (!is_stream(stream))
        return INVALID_HANDLE;
    if (!is_ours(to, bytes) || !is_ours(from, bytes))
        return INVALID_VALUE;
    return copied((void *)to, (void *)from, bytes);
}

CALL cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    ENTER("cuMemcpyHtoDAsync_v2", CONTEXT);
    if (!is_stream(stream))
        return INVALID_HANDLE;
    if (!is_ours(to, bytes))
        return INVALID_VALUE;
    return copied((void *)to, from, bytes);
}

CALL cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER("cuMemcpyDtoHAsync_v2", CONTEXT);
    if (!is_stream(stream))
        return INVALID_HANDLE;
    if (!is_ours(from, bytes))
        return INVALID_VALUE;
    return copied(to, (void *)from, bytes);
}

static CUresult set_bytes(CUdeviceptr at, unsigned char value, size_t count, CUstream stream)
{
    if (!is_stream(stream))
        return INVALID_HANDLE;
    if (!is_ours(at, count))
        return INVALID_VALUE;
    if (!is_stuck())
        memset((void *)at, value, count);
    return SUCCESS;
}

static CUresult set_words(CUdeviceptr at, unsigned value, size_t count, CUstream stream)
{
    size_t i;
    if (!is_stream(stream))
        return INVALID_HANDLE;
    if (at % 4 || count > (size_t)-1 / 4 || !is_ours(at, 4 * count))
        return INVALID_VALUE;
    for (i = 0; i < count && !is_stuck(); i++)
        ((unsigned *)at)[i] = value;
    return SUCCESS;
}

CALL cuMemsetD8_v2(CUdeviceptr at, unsigned char value, size_t count)
{
    ENTER("cuMemsetD8_v2", CONTEXT);
    return set_bytes(at, value, count, NULL);
}

CALL cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t count, CUstream stream)
{
    ENTER("cuMemsetD8Async", CONTEXT);
    return set_bytes(at, value, count, stream);
}

CALL cuMemsetD32_v2(CUdeviceptr at, unsigned value, size_t count)
{
    ENTER("cuMemsetD32_v2", CONTEXT);
    return set_words(at, value, count, NULL);
}

CALL cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t count, CUstream stream)
{
    ENTER("cuMemsetD32Async", CONTEXT);
    return set_words(at, value, count, stream);
}

/* --------------------------------------------------------------------- modules and functions */

static CUresult load(CUmodule *module, const char *image)
{
    const char *start = image;
    struct handle *loaded;
    if (!image)
        return INVALID_VALUE;
    if (memcmp(image, "\177ELF", 4) == 0) {
        loaded = new_handle(MODULE);
    } else {
        start += strspn(start, " \t\r\n");
        if (strncmp(start, "//", 2) != 0 && strncmp(start, ".version", 8) != 0)
            return INVALID_IMAGE;
        loaded = new_handle(MODULE);
        loaded->image = strdup(image);
    }
    note("module +");
    *module = loaded;
    return SUCCESS;
}

CALL cuModuleLoadData(CUmodule *module, const void *image)
{
    ENTER("cuModuleLoadData", CONTEXT);
    return load(module, image);
}

CALL cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, const int *options,
                        void **values)
{
    ENTER("cuModuleLoadDataEx", CONTEXT);
    if (count && (!options || !values))
        return INVALID_VALUE;
    return load(module, image);
}

CALL cuModuleUnload(CUmodule module)
{
    struct handle *handle;
    ENTER("cuModuleUnload", CONTEXT);
    if (!is(module, MODULE))
        return INVALID_HANDLE;
    SETTLE();
    note("module -");
    for (handle = handles; handle; handle = handle->next)
        if (handle->kind == FUNCTION && handle->home == module)
            close_handle(handle);
    close_handle(module);
    return SUCCESS;
}

/* The text behind `.entry NAME`, where a PTX image has that. */
static const char *entry_of(const char *image, const char *name)
{
    size_t length = strlen(name);
    while ((image = strstr(image, ".entry"))) {
        image += strlen(".entry");
        image += strspn(image, " \t\r\n");
        if (strncmp(image, name, length) == 0 && strchr("( \t\r\n{", image[length]))
            return image + length;
    }
    return NULL;
}

/* Sizes of the parameters by the PTX text of an entry: `.param .u64 name`, or
 * `.param .align 8 .b8 name[24]`. */
static void read_sizes(CUfunction function, const char *entry)
{
    const char *end = strchr(entry, ')'), *body = strchr(entry, '{');
    const char *at = entry;
    function->parameters = 0;
    if (!end || (body && body < end))
        return;
    while ((at = strstr(at, ".param")) && at < end && function->parameters < PARAMETERS) {
        const char *next = at + strcspn(at, ",)");
        const char *array = memchr(at, '[', (size_t)(next - at));
        size_t bytes = 0;
        for (at += strlen(".param"); at < next && !bytes; at++)
            if (at[0] == '.' && strchr("ubsf", at[1]) && at[2] >= '0' && at[2] <= '9')
                bytes = (size_t)atoi(at + 2) / 8;
        if (array)
            bytes *= (size_t)atoll(array + 1);
        function->sizes[function->parameters++] = bytes;
        at = next;
    }
}

CALL cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    struct kernel *kernel;
    const char *entry = NULL;
    size_t i = 0;
    ENTER("cuModuleGetFunction", CONTEXT);
    if (!is(module, MODULE))
        return INVALID_HANDLE;
    kernel = kernel_named(name);
    if (module->image)
        entry = entry_of(module->image, name);
    while (i < sizeof helpers / sizeof *helpers && strcmp(helpers[i].name, name) != 0)
        i++;
    if (i < sizeof helpers / sizeof *helpers && (entry || !module->image)) {
        size_t count = strlen(helpers[i].sizes);
        kernel->run = helpers[i].run;
        for (kernel->parameters = 0; kernel->parameters < (int)count; kernel->parameters++)
            kernel->sizes[kernel->parameters] = (size_t)(helpers[i].sizes[kernel->parameters] - '0');
    }
    if (!kernel->run)
        return NOT_FOUND;
    *function = new_handle(FUNCTION);
    (*function)->home = module;
    (*function)->kernel = kernel;
    (*function)->dynamic_limit = 49152;
    (*function)->parameters = kernel->parameters;
    memcpy((*function)->sizes, kernel->sizes, sizeof kernel->sizes);
    if (entry && kernel->parameters < 0)
        read_sizes(*function, entry);
    return SUCCESS;
}

/* By the numbers of CUfunction_attribute. */
static int function_attribute(CUfunction function, int attribute)
{
    int compute = 10 * script.major + script.minor;
    const int usual[16] = {1024, 0, 0, 0, 32, compute, compute, 0, 0, -1, 0, 0, 0, 0, 1, 0};
    if (attribute == 8)
        return function->dynamic_limit;
    if (function->kernel->attributes[attribute] >= 0)
        return function->kernel->attributes[attribute];
    return usual[attribute];
}

CALL cuFuncGetAttribute(int *value, int attribute, CUfunction function)
{
    ENTER("cuFuncGetAttribute", CONTEXT);
    if (!is(function, FUNCTION))
        return INVALID_HANDLE;
    if (attribute < 0 || attribute > 15)
        return INVALID_VALUE;
    *value = function_attribute(function, attribute);
    return SUCCESS;
}

CALL cuFuncSetAttribute(CUfunction function, int attribute, int value)
{
    ENTER("cuFuncSetAttribute", CONTEXT);
    if (!is(function, FUNCTION))
        return INVALID_HANDLE;
    if (attribute == 9)
        return value >= -1 && value <= 100 ? SUCCESS : INVALID_VALUE;
    if (attribute != 8 || value < 0 ||
        value + function_attribute(function, 1) > attribute_of(97, 0))
        return INVALID_VALUE;
    function->dynamic_limit = value;
    return SUCCESS;
}

CALL cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *size)
{
    size_t i, at = 0;
    ENTER("cuFuncGetParamInfo", CONTEXT);
    if (!is(function, FUNCTION))
        return INVALID_HANDLE;
    if (function->parameters < 0)
        return NOT_SUPPORTED;
    if (index >= (size_t)function->parameters)
        return INVALID_VALUE;
    for (i = 0;; i++) {
        size_t bytes = function->sizes[i];
        size_t alignment = bytes && bytes % 8 == 0 ? 8 : bytes && bytes % 4 == 0 ? 4
                                                     : bytes && bytes % 2 == 0   ? 2
                                                                                 : 1;
        at = (at + alignment - 1) / alignment * alignment;
        if (i == index)
            break;
        at += bytes;
    }
    *offset = at;
    if (size)
        *size = function->sizes[index];
    return SUCCESS;
}

/* As many blocks as threads, registers and shared memory leave room for. */
CALL cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads,
                                                 size_t dynamic)
{
    int shared, registers, room;
    ENTER("cuOccupancyMaxActiveBlocksPerMultiprocessor", CONTEXT);
    if (!is(function, FUNCTION))
        return INVALID_HANDLE;
    if (threads < 1)
        return INVALID_VALUE;
    threads = (threads + 31) / 32 * 32;
    shared = function_attribute(function, 1) + (int)dynamic + attribute_of(111, 0);
    registers = function_attribute(function, 4) * threads;
    room = attribute_of(106, 0);
    if (room > attribute_of(39, 0) / threads)
        room = attribute_of(39, 0) / threads;
    if (room > attribute_of(81, 0) / shared)
        room = attribute_of(81, 0) / shared;
    if (registers && room > attribute_of(82, 0) / registers)
        room = attribute_of(82, 0) / registers;
    *blocks = room;
    return SUCCESS;
}

/* ---------------------------------------------------------------------------------- launches */

struct shape {
    unsigned grid[3], block[3], dynamic;
};

/* What the driver refuses before anything runs. */
static CUresult refusal(CUfunction function, const struct shape *shape)
{
    u64 threads = 1;
    int i;
    for (i = 0; i < 3; i++) {
        if (!shape->grid[i] || shape->grid[i] > (unsigned)attribute_of(5 + i, 0))
            return INVALID_VALUE;
        if (!shape->block[i] || shape->block[i] > (unsigned)attribute_of(2 + i, 0))
            return INVALID_VALUE;
        threads *= shape->block[i];
    }
    if (threads > (u64)attribute_of(1, 0) || shape->dynamic > (unsigned)function->dynamic_limit)
        return INVALID_VALUE;
    if (threads > (u64)function_attribute(function, 0) ||
        threads * (u64)function_attribute(function, 4) > (u64)attribute_of(12, 0))
        return OUT_OF_RESOURCES;
    return SUCCESS;
}

static void scribble(const struct kernel *kernel, void **parameters)
{
    char *start;
    if (kernel->scribble_parameter < 0)
        return;
    start = *(char **)parameters[kernel->scribble_parameter];
    memset(start + kernel->scribble_offset, 0xEE, kernel->scribble_bytes);
}

/* How long a launch takes: by the script; or by `// stand-in ns N` in an image that is text, by which
 * two kernels of one name can differ. */
static long long duration(const struct kernel *kernel, const char *image)
{
    static const char mark[] = "// stand-in ns ";
    const char *own = image ? strstr(image, mark) : NULL;
    if (own)
        return atoll(own + sizeof mark - 1);
    return kernel->launches == 0 && kernel->first_ns ? kernel->first_ns : kernel->ns;
}

/* One launch, from its beginning to its end. */
static void run(struct kernel *kernel, const char *image, void **parameters)
{
    u64 start = optloop_clock();
    long long ns = duration(kernel, image);
    int hangs = happens(&kernel->hang), fails = kernel->fault_code && happens(&kernel->fault);
    kernel->launches++;
    note("launch %s", kernel->name);
    if (is_stuck())
        return;
    if (hangs) {
        hung = 1;
        return;
    }
    if (fails) {
        note("fail %s %d", kernel->name, kernel->fault_code);
        pending = kernel->fault_code;
        return;
    }
    kernel->run(parameters);
    scribble(kernel, parameters);
    while (optloop_clock() - start < (u64)ns) {
    }
    if (kernel->late_ns)
        busy_until = optloop_clock() + (u64)kernel->late_ns;
}

CALL cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                    unsigned block_x, unsigned block_y, unsigned block_z, unsigned dynamic,
                    CUstream stream, void **parameters, void **extra)
{
    struct shape shape = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, dynamic};
    CUresult refused;
    ENTER("cuLaunchKernel", CONTEXT);
    if (!is(function, FUNCTION) || !is_stream(stream))
        return INVALID_HANDLE;
    if (extra || (!parameters && function->parameters != 0))
        return INVALID_VALUE;
    refused = refusal(function, &shape);
    if (refused)
        return refused;
    run(function->kernel, function->home->image, parameters);
    return SUCCESS;
}

/* ------------------------------------------------------------------------ streams and events */

CALL cuStreamCreate(CUstream *stream, unsigned flags)
{
    ENTER("cuStreamCreate", CONTEXT);
    if (flags > 1)
        return INVALID_VALUE;
    *stream = new_handle(STREAM);
    note("stream +");
    return SUCCESS;
}

CALL cuStreamSynchronize(CUstream stream)
{
    ENTER("cuStreamSynchronize", CONTEXT);
    if (!is_stream(stream))
        return INVALID_HANDLE;
    return settle();
}

CALL cuStreamQuery(CUstream stream)
{
    ENTER("cuStreamQuery", CONTEXT);
    if (!is_stream(stream))
        return INVALID_HANDLE;
    return hung ? NOT_READY : settle();
}

CALL cuStreamDestroy_v2(CUstream stream)
{
    ENTER("cuStreamDestroy_v2", CONTEXT);
    if (!is(stream, STREAM))
        return INVALID_HANDLE;
    note("stream -");
    close_handle(stream);
    return SUCCESS;
}

CALL cuEventCreate(CUevent *event, unsigned flags)
{
    ENTER("cuEventCreate", CONTEXT);
    if (flags > 7)
        return INVALID_VALUE;
    *event = new_handle(EVENT);
    (*event)->timed = !(flags & 2);
    note("event +");
    return SUCCESS;
}

CALL cuEventRecord(CUevent event, CUstream stream)
{
    ENTER("cuEventRecord", CONTEXT);
    if (!is(event, EVENT) || !is_stream(stream))
        return INVALID_HANDLE;
    event->recorded = 1;
    event->lost = is_stuck();
    event->when = optloop_clock();
    return SUCCESS;
}

CALL cuEventQuery(CUevent event)
{
    ENTER("cuEventQuery", CONTEXT);
    if (!is(event, EVENT))
        return INVALID_HANDLE;
    if (!event->lost)
        return SUCCESS;
    return hung ? NOT_READY : settle();
}

CALL cuEventSynchronize(CUevent event)
{
    ENTER("cuEventSynchronize", CONTEXT);
    if (!is(event, EVENT))
        return INVALID_HANDLE;
    return event->lost ? settle() : SUCCESS;
}

CALL cuEventElapsedTime(float *ms, CUevent start, CUevent end)
{
    ENTER("cuEventElapsedTime", CONTEXT);
    if (!is(start, EVENT) || !is(end, EVENT))
        return INVALID_HANDLE;
    if (!start->timed || !end->timed || !start->recorded || !end->recorded)
        return INVALID_HANDLE;
    if (start->lost || end->lost)
        return NOT_READY;
    *ms = (float)((double)(long long)(end->when - start->when) / 1e6);
    return SUCCESS;
}

CALL cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
    ENTER("cuEventElapsedTime_v2", CONTEXT);
    return cuEventElapsedTime(ms, start, end);
}

CALL cuEventDestroy_v2(CUevent event)
{
    ENTER("cuEventDestroy_v2", CONTEXT);
    if (!is(event, EVENT))
        return INVALID_HANDLE;
    note("event -");
    close_handle(event);
    return SUCCESS;
}

/* ------------------------------------------------------------------------------------ graphs */

/* CUDA_KERNEL_NODE_PARAMS_v2 of cuda.h. */
struct kernel_node {
    CUfunction function;
    unsigned grid[3], block[3], dynamic;
    void **parameters, **extra;
    void *kernel, *context;
};

CALL cuGraphCreate(CUgraph *graph, unsigned flags)
{
    ENTER("cuGraphCreate", CONTEXT);
    if (flags)
        return INVALID_VALUE;
    *graph = new_handle(GRAPH);
    note("graph +");
    return SUCCESS;
}

static struct node *new_node(CUfunction function, void **parameters)
{
    struct node *node;
    size_t words = 0, at = 0;
    int i;
    for (i = 0; i < function->parameters; i++)
        words += (function->sizes[i] + 7) / 8;
    node = calloc(1, sizeof *node + 8 * words);
    if (!node)
        give_up("no memory", "node");
    node->function = function;
    for (i = 0; i < function->parameters; i++) {
        node->parameters[i] = &node->values[at];
        memcpy(&node->values[at], parameters[i], function->sizes[i]);
        at += (function->sizes[i] + 7) / 8;
    }
    return node;
}

static void append(struct handle *graph, struct node *node)
{
    struct node **link = &graph->nodes;
    while (*link)
        link = &(*link)->next;
    *link = node;
}

/* Nodes run in the order they were added, which is after all they depend on. */
CALL cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                             size_t count, const struct kernel_node *what)
{
    struct shape shape;
    struct node *added;
    CUresult refused;
    ENTER("cuGraphAddKernelNode_v2", CONTEXT);
    if (!is(graph, GRAPH))
        return INVALID_HANDLE;
    if (!what || (count && !dependencies) || !is(what->function, FUNCTION) || what->extra)
        return INVALID_VALUE;
    if (what->function->parameters < 0)
        give_up("a node of a graph needs the sizes of its parameters in the script",
                what->function->kernel->name);
    if (what->function->parameters && !what->parameters)
        return INVALID_VALUE;
    memcpy(shape.grid, what->grid, sizeof shape.grid);
    memcpy(shape.block, what->block, sizeof shape.block);
    shape.dynamic = what->dynamic;
    refused = refusal(what->function, &shape);
    if (refused)
        return refused;
    added = new_node(what->function, what->parameters);
    append(graph, added);
    *node = (CUgraphNode)(void *)added;
    return SUCCESS;
}

#ifndef TOO_OLD
CALL cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    struct node *node;
    ENTER("cuGraphInstantiateWithFlags", CONTEXT);
    if (!is(graph, GRAPH))
        return INVALID_HANDLE;
    if (flags > 15)
        return INVALID_VALUE;
    *exec = new_handle(EXEC);
    for (node = graph->nodes; node; node = node->next)
        append(*exec, new_node(node->function, node->parameters));
    note("exec +");
    return SUCCESS;
}
#endif

CALL cuGraphUpload(CUgraphExec exec, CUstream stream)
{
    ENTER("cuGraphUpload", CONTEXT);
    return is(exec, EXEC) && is_stream(stream) ? SUCCESS : INVALID_HANDLE;
}

CALL cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    struct node *node;
    ENTER("cuGraphLaunch", CONTEXT);
    if (!is(exec, EXEC) || !is_stream(stream))
        return INVALID_HANDLE;
    for (node = exec->nodes; node; node = node->next)
        if (!is(node->function, FUNCTION))
            return INVALID_HANDLE;
    for (node = exec->nodes; node; node = node->next)
        run(node->function->kernel, node->function->home->image, node->parameters);
    return SUCCESS;
}

CALL cuGraphExecDestroy(CUgraphExec exec)
{
    ENTER("cuGraphExecDestroy", CONTEXT);
    if (!is(exec, EXEC))
        return INVALID_HANDLE;
    note("exec -");
    close_handle(exec);
    return SUCCESS;
}

CALL cuGraphDestroy(CUgraph graph)
{
    ENTER("cuGraphDestroy", CONTEXT);
    if (!is(graph, GRAPH))
        return INVALID_HANDLE;
    note("graph -");
    close_handle(graph);
    return SUCCESS;
}

/* ------------------------------------------------------------------------------------ errors */

/* Names and numbers of CUresult in cuda.h; the texts are the stand-in's own. */
static const struct {
    CUresult code;
    const char *name, *text;
} errors[] = {{0, "CUDA_SUCCESS", "no error"},
              {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
              {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
              {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
              {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
              {34, "CUDA_ERROR_STUB_LIBRARY", "the library is a stub"},
              {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "the device is busy or unavailable"},
              {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
              {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
              {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
              {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
              {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image for this device"},
              {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
              {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
              {220, "CUDA_ERROR_NVLINK_UNCORRECTABLE", "uncorrectable NVLink error"},
              {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "PTX of an unsupported version"},
              {304, "CUDA_ERROR_OPERATING_SYSTEM", "an operating system call failed"},
              {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
              {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
              {600, "CUDA_ERROR_NOT_READY", "device not ready"},
              {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
              {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources for launch"},
              {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
              {710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
              {714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "hardware stack error"},
              {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
              {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
              {717, "CUDA_ERROR_INVALID_ADDRESS_SPACE", "not a global or shared address"},
              {718, "CUDA_ERROR_INVALID_PC", "invalid program counter"},
              {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
              {800, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
              {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
              {802, "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
              {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "driver and kernel module differ"},
              {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "no forward compatibility"},
              {999, "CUDA_ERROR_UNKNOWN", "unknown error"}};

static CUresult say(CUresult code, const char **to, int text)
{
    size_t i;
    for (i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i].code == code) {
            *to = text ? errors[i].text : errors[i].name;
            return SUCCESS;
        }
    }
    *to = NULL;
    return INVALID_VALUE;
}

/* NVRTC asks for tables that nobody describes, and does without. */
CALL cuGetExportTable(const void **table, const void *id)
{
    (void)id;
    *table = NULL;
    return NOT_FOUND;
}

CALL cuGetErrorName(CUresult code, const char **name) { return say(code, name, 0); }
CALL cuGetErrorString(CUresult code, const char **text) { return say(code, text, 1); }
