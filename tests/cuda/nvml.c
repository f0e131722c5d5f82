/* A stand-in for NVIDIA's management library, for tests: what the judge asks it, answered by the
 * script of the stand-in driver (see `script.h`). Nothing it says is a measurement.
 *
 *   cc -std=c11 -shared -fPIC nvml.c -Wl,-soname,libnvidia-ml.so.1 */
#include "script.h"

typedef int nvmlReturn;
typedef struct device {
    unsigned locked_least, locked_most; /* 0: not locked */
} *nvmlDevice;

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    VERSION_MISMATCH = 25
};

#define CALL __attribute__((visibility("default"))) nvmlReturn

static struct device devices[MOST];
static int initialised;

static nvmlReturn enter(const char *call)
{
    nvmlReturn code;
    follow_script();
    code = scripted(call);
    return code ? code : initialised ? SUCCESS : UNINITIALIZED;
}

#define ENTER(call)                                                                                \
    do {                                                                                           \
        nvmlReturn gate = enter(call);                                                             \
        if (gate)                                                                                  \
            return gate;                                                                           \
    } while (0)

/* For calls about a device. */
#define ENTER_DEVICE(call)                                                                         \
    ENTER(call);                                                                                   \
    if (device < devices || device >= devices + script.devices)                                    \
    return INVALID_ARGUMENT

static nvmlReturn told(char *to, unsigned length, const char *text)
{
    if (strlen(text) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return SUCCESS;
}

CALL nvmlInitWithFlags(unsigned flags)
{
    nvmlReturn code;
    (void)flags;
    follow_script();
    code = scripted("nvmlInit_v2");
    if (code)
        return code;
    initialised++;
    note("nvml +");
    return SUCCESS;
}

CALL nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

CALL nvmlShutdown(void)
{
    ENTER("nvmlShutdown");
    initialised--;
    note("nvml -");
    return SUCCESS;
}

CALL nvmlSystemGetDriverVersion(char *to, unsigned length)
{
    ENTER("nvmlSystemGetDriverVersion");
    return told(to, length, "580.65.06");
}

CALL nvmlSystemGetNVMLVersion(char *to, unsigned length)
{
    ENTER("nvmlSystemGetNVMLVersion");
    return told(to, length, "13.580.65.06");
}

CALL nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    ENTER("nvmlSystemGetCudaDriverVersion_v2");
    *version = script.version;
    return SUCCESS;
}

/* ----------------------------------------------------------------------------------- devices */

static void uuid_of(int device, char *to)
{
    char *at = to + sprintf(to, "GPU-");
    int i;
    for (i = 0; i < 16; i++) {
        unsigned byte = script.uuid[i];
        if (i == 15)
            byte = (byte - (unsigned)device) & 255;
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", byte);
    }
}

CALL nvmlDeviceGetCount_v2(unsigned *count)
{
    ENTER("nvmlDeviceGetCount_v2");
    *count = (unsigned)script.devices;
    return SUCCESS;
}

CALL nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice *device)
{
    ENTER("nvmlDeviceGetHandleByIndex_v2");
    if (index >= (unsigned)script.devices)
        return INVALID_ARGUMENT;
    *device = &devices[index];
    return SUCCESS;
}

CALL nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice *device)
{
    int i;
    char text[64];
    ENTER("nvmlDeviceGetHandleByUUID");
    for (i = 0; i < script.devices; i++) {
        uuid_of(i, text);
        if (strcmp(text, uuid) == 0) {
            *device = &devices[i];
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}

CALL nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice *device)
{
    unsigned domain, bus, slot;
    ENTER("nvmlDeviceGetHandleByPciBusId_v2");
    if (sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3)
        return INVALID_ARGUMENT;
    if (domain || slot || bus < 1 || bus > (unsigned)script.devices)
        return NOT_FOUND;
    *device = &devices[bus - 1];
    return SUCCESS;
}

CALL nvmlDeviceGetIndex(nvmlDevice device, unsigned *index)
{
    ENTER_DEVICE("nvmlDeviceGetIndex");
    *index = (unsigned)(device - devices);
    return SUCCESS;
}

CALL nvmlDeviceGetName(nvmlDevice device, char *to, unsigned length)
{
    ENTER_DEVICE("nvmlDeviceGetName");
    return told(to, length, script.name);
}

CALL nvmlDeviceGetUUID(nvmlDevice device, char *to, unsigned length)
{
    char text[64];
    ENTER_DEVICE("nvmlDeviceGetUUID");
    uuid_of((int)(device - devices), text);
    return told(to, length, text);
}

/* nvmlPciInfo_t of nvml.h. */
struct pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char id[32];
};

CALL nvmlDeviceGetPciInfo_v3(nvmlDevice device, struct pci *pci)
{
    ENTER_DEVICE("nvmlDeviceGetPciInfo_v3");
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned)(device - devices) + 1;
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", pci->bus & 255);
    snprintf(pci->id, sizeof pci->id, "00000000:%02X:00.0", pci->bus & 255);
    return SUCCESS;
}

/* ------------------------------------------------------------------- clocks and what they do */

/* nvmlClockType_t: graphics, SM, memory, video. */
CALL nvmlDeviceGetClockInfo(nvmlDevice device, int type, unsigned *clock)
{
    ENTER_DEVICE("nvmlDeviceGetClockInfo");
    if (type < 0 || type > 3)
        return INVALID_ARGUMENT;
    *clock = type == 2 ? script.memory_clock : script.clock;
    if (type != 2 && device->locked_most) {
        if (*clock > device->locked_most)
            *clock = device->locked_most;
        if (*clock < device->locked_least)
            *clock = device->locked_least;
    }
    return SUCCESS;
}

CALL nvmlDeviceGetMaxClockInfo(nvmlDevice device, int type, unsigned *clock)
{
    ENTER_DEVICE("nvmlDeviceGetMaxClockInfo");
    if (type < 0 || type > 3)
        return INVALID_ARGUMENT;
    *clock = type == 2 ? script.memory_clock : script.max_clock;
    return SUCCESS;
}

CALL nvmlDeviceSetGpuLockedClocks(nvmlDevice device, unsigned least, unsigned most)
{
    ENTER_DEVICE("nvmlDeviceSetGpuLockedClocks");
    if (least > most)
        return INVALID_ARGUMENT;
    device->locked_least = least;
    device->locked_most = most;
    note("lock %u %u", least, most);
    return SUCCESS;
}

CALL nvmlDeviceResetGpuLockedClocks(nvmlDevice device)
{
    ENTER_DEVICE("nvmlDeviceResetGpuLockedClocks");
    device->locked_least = device->locked_most = 0;
    note("unlock");
    return SUCCESS;
}

CALL nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice device, unsigned long long *reasons)
{
    long question;
    int i;
    ENTER_DEVICE("nvmlDeviceGetCurrentClocksThrottleReasons");
    question = ++script.throttle_questions;
    *reasons = 0;
    for (i = 0; i < script.throttle_count; i++)
        if (question >= script.throttles[i].from && question <= script.throttles[i].to)
            *reasons |= script.throttles[i].bits;
    return SUCCESS;
}

/* The newer name of the same question. */
CALL nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice device, unsigned long long *reasons)
{
    return nvmlDeviceGetCurrentClocksThrottleReasons(device, reasons);
}

CALL nvmlDeviceGetTemperature(nvmlDevice device, int sensor, unsigned *temperature)
{
    ENTER_DEVICE("nvmlDeviceGetTemperature");
    if (sensor != 0)
        return INVALID_ARGUMENT;
    *temperature = script.temperature;
    return SUCCESS;
}

CALL nvmlDeviceGetPowerUsage(nvmlDevice device, unsigned *milliwatts)
{
    ENTER_DEVICE("nvmlDeviceGetPowerUsage");
    *milliwatts = script.power;
    return SUCCESS;
}

CALL nvmlDeviceGetPerformanceState(nvmlDevice device, int *state)
{
    ENTER_DEVICE("nvmlDeviceGetPerformanceState");
    *state = (int)script.pstate;
    return SUCCESS;
}

/* ----------------------------------------------------------------- processes and memory */

/* nvmlProcessInfo_t of nvml.h. */
struct process {
    unsigned pid;
    unsigned long long bytes;
    unsigned gpu_instance, compute_instance;
};

CALL nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice device, unsigned *count,
                                             struct process *processes)
{
    unsigned i, room;
    ENTER_DEVICE("nvmlDeviceGetComputeRunningProcesses_v3");
    room = *count;
    *count = script.process_count;
    if (room < script.process_count)
        return INSUFFICIENT_SIZE;
    for (i = 0; i < script.process_count; i++) {
        processes[i].pid = script.processes[i].pid;
        processes[i].bytes = script.processes[i].bytes;
        processes[i].gpu_instance = processes[i].compute_instance = UINT_MAX;
    }
    return SUCCESS;
}

/* nvmlMemory_v2_t of nvml.h. */
struct memory {
    unsigned version;
    unsigned long long total, reserved, available, used;
};

CALL nvmlDeviceGetMemoryInfo_v2(nvmlDevice device, struct memory *memory)
{
    unsigned i;
    ENTER_DEVICE("nvmlDeviceGetMemoryInfo_v2");
    if (memory->version != (sizeof *memory | 2U << 24))
        return VERSION_MISMATCH;
    memory->total = script.memory;
    memory->reserved = memory->used = 0;
    for (i = 0; i < script.process_count; i++)
        memory->used += script.processes[i].bytes;
    memory->available = memory->total - memory->used;
    return SUCCESS;
}
