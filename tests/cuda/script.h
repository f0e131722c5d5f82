/* What the stand-in driver and the stand-in NVML share: the script they follow and the log they
 * keep. Both lie in the folder of the library, as `script` and `log`.
 *
 * One instruction a line; `#` begins a comment. What is not understood ends the process, so that
 * no test passes by a slip of the pen.
 *
 *   devices N                        how many devices there are; each differs by its UUID and bus
 *   name TEXT                        of the devices
 *   uuid 8-4-4-4-12                  of the first device; the next ones end in another byte
 *   version N                        of the driver, 13000 for CUDA 13.0
 *   cc MAJOR MINOR                   compute capability
 *   memory BYTES                     of a device
 *   l2 BYTES                         second-level cache
 *   sms N                            multiprocessors
 *   attribute NUMBER VALUE           any other attribute of a device
 *   kernel NAME LIBRARY SYMBOL [SIZE...]
 *                                    a kernel: `void SYMBOL(void **parameters)` of a library, named
 *                                    from the script's folder; the sizes of its parameters, where
 *                                    the image does not tell
 *   function NAME NUMBER VALUE       an attribute of a kernel, such as 4, its registers
 *   ns NAME N                        a launch takes at least N ns
 *   first_ns NAME N                  the first launch does
 *   late NAME N                      work on another stream: N ns after a launch the context is
 *                                    still busy, its stream is not
 *   scribble NAME PARAM OFFSET BYTES the kernel also writes bytes of 0xEE, OFFSET bytes from where
 *                                    its parameter number PARAM (from 0) points
 *   fail CALL CODE [after N] [times M]
 *                                    a call, of the driver or NVML, returns CODE: all but the first
 *                                    N, M of them
 *   fail_launch NAME CODE [after N]  the N+1st launch of a kernel fails, which the next call that
 *                                    waits for the device tells
 *   hang NAME [after N]              the N+1st launch of a kernel never ends
 *   temperature C | clock MHZ | memory_clock MHZ | max_clock MHZ | power MW | pstate N
 *   process PID|self [BYTES]         a process with a context on the devices
 *   throttle BITS [from A to B]      reasons that the A-th to the B-th question for them get
 *
 * The log tells, one a line: `init`, `context +`, `context -`, `context reset`, `alloc BYTES ADDR`,
 * `free ADDR`, before it `dirty ADDR` where it was not all zeros, `module +`, `module -`, `stream`, `event`, `graph` and `exec` with + or -,
 * `launch NAME`, `fail CALL CODE`, and of NVML `nvml +`, `nvml -`, `lock MIN MAX`, `unlock`. */
#ifndef OPTLOOP_SCRIPT_H
#define OPTLOOP_SCRIPT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 64
#define PARAMETERS 64

/* Which of the calls of a sort something happens to: all but the first `after`, `times` of them. */
struct turns {
    long after, times, seen;
};

struct failure {
    char call[64];
    int code;
    struct turns turns;
};

struct kernel {
    char name[128];
    void (*run)(void **parameters);
    size_t sizes[PARAMETERS];
    int parameters; /* -1: nobody says how many */
    long long ns, first_ns, late_ns;
    long launches;
    int attributes[16]; /* -1: as usual */
    int fault_code;
    struct turns fault, hang;
    int scribble_parameter; /* -1: it does not */
    long long scribble_offset;
    size_t scribble_bytes;
};

struct throttle {
    unsigned long long bits;
    long from, to;
};

static struct {
    int read;
    int log;
    char folder[PATH_MAX];
    int devices, version, major, minor, multiprocessors;
    unsigned long long memory, l2;
    char name[64];
    unsigned char uuid[16];
    int attributes[MOST][2], attribute_count;
    struct failure failures[MOST];
    int failure_count;
    struct kernel *kernels[MOST];
    int kernel_count;
    unsigned temperature, clock, memory_clock, max_clock, power, pstate;
    struct {
        unsigned pid;
        unsigned long long bytes;
    } processes[MOST];
    unsigned process_count;
    struct throttle throttles[MOST];
    int throttle_count;
    long throttle_questions;
} script;

/* One line of the log, by one write, so that lines of several processes do not mix. */
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int length;
    if (script.log < 0)
        return;
    va_start(arguments, format);
    length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(script.log, line, (size_t)length) < 0)
        script.log = -1;
}

static void give_up(const char *what, const char *line)
{
    fprintf(stderr, "stand-in driver: %s: %s\n", what, line);
    abort();
}

static int happens(struct turns *turns)
{
    long number = turns->seen++;
    return number >= turns->after && number - turns->after < turns->times;
}

/* What the script has this call return; 0 is success. */
static int scripted(const char *call)
{
    int i;
    for (i = 0; i < script.failure_count; i++) {
        struct failure *failure = &script.failures[i];
        if (strcmp(failure->call, call) == 0 && happens(&failure->turns)) {
            note("fail %s %d", call, failure->code);
            return failure->code;
        }
    }
    return 0;
}

/* The kernel of that name, which is new if the script has said nothing about it yet. */
static struct kernel *kernel_named(const char *name)
{
    struct kernel *kernel;
    int i;
    for (i = 0; i < script.kernel_count; i++)
        if (strcmp(script.kernels[i]->name, name) == 0)
            return script.kernels[i];
    kernel = calloc(1, sizeof *kernel);
    if (!kernel || script.kernel_count == MOST)
        give_up("too many kernels", name);
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    kernel->parameters = -1;
    kernel->scribble_parameter = -1;
    for (i = 0; i < 16; i++)
        kernel->attributes[i] = -1;
    return script.kernels[script.kernel_count++] = kernel;
}

/* The words of a line. */
struct words {
    const char *line;
    char *word[PARAMETERS + 8];
    int count, next;
};

static const char *word(struct words *words)
{
    if (words->next >= words->count)
        give_up("the script's line is too short", words->line);
    return words->word[words->next++];
}

static long long number(struct words *words)
{
    const char *text = word(words);
    char *end;
    long long value = strtoll(text, &end, 0);
    if (end == text || *end)
        give_up("no number in the script's line", words->line);
    return value;
}

static int next_is(struct words *words, const char *expected)
{
    if (words->next >= words->count || strcmp(words->word[words->next], expected) != 0)
        return 0;
    words->next++;
    return 1;
}

static struct turns turns_of(struct words *words, long times)
{
    struct turns turns = {0, times, 0};
    if (next_is(words, "after"))
        turns.after = (long)number(words);
    if (next_is(words, "times"))
        turns.times = (long)number(words);
    return turns;
}

static void *room(int count, void *slot, const char *line)
{
    if (count >= MOST)
        give_up("too many such lines in the script", line);
    return slot;
}

static void read_kernel(struct words *words)
{
    struct kernel *kernel = kernel_named(word(words));
    const char *file = word(words), *symbol = word(words);
    char path[2 * PATH_MAX];
    void *library, *found;
    snprintf(path, sizeof path, "%s%s%s", *file == '/' ? "" : script.folder,
             *file == '/' ? "" : "/", file);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    found = library ? dlsym(library, symbol) : NULL;
    if (!found)
        give_up(dlerror(), words->line);
    memcpy(&kernel->run, &found, sizeof found);
    if (words->next < words->count)
        kernel->parameters = 0;
    while (words->next < words->count)
        kernel->sizes[kernel->parameters++] = (size_t)number(words);
}

static void read_uuid(struct words *words)
{
    const char *text = word(words);
    int i = 0;
    for (; *text && i < 16; text += 2, i++) {
        unsigned byte;
        while (*text == '-')
            text++;
        if (sscanf(text, "%2x", &byte) != 1)
            break;
        script.uuid[i] = (unsigned char)byte;
    }
    if (i != 16 || *text)
        give_up("no UUID in the script's line", words->line);
}

static void read_attribute(struct words *words)
{
    int *slot = room(script.attribute_count, script.attributes[script.attribute_count], words->line);
    script.attribute_count++;
    slot[0] = (int)number(words);
    slot[1] = (int)number(words);
}

static void read_failure(struct words *words)
{
    struct failure *failure =
        room(script.failure_count, &script.failures[script.failure_count], words->line);
    script.failure_count++;
    snprintf(failure->call, sizeof failure->call, "%s", word(words));
    failure->code = (int)number(words);
    failure->turns = turns_of(words, LONG_MAX);
}

static void read_process(struct words *words)
{
    unsigned at = script.process_count;
    room((int)at, NULL, words->line);
    script.processes[at].pid = next_is(words, "self") ? (unsigned)getpid() : (unsigned)number(words);
    if (words->next < words->count)
        script.processes[at].bytes = (unsigned long long)number(words);
    script.process_count++;
}

static void read_throttle(struct words *words)
{
    struct throttle *throttle =
        room(script.throttle_count, &script.throttles[script.throttle_count], words->line);
    script.throttle_count++;
    throttle->bits = (unsigned long long)number(words);
    throttle->from = next_is(words, "from") ? (long)number(words) : 1;
    throttle->to = next_is(words, "to") ? (long)number(words) : LONG_MAX;
}

/* Lines about what a kernel does. */
static int read_deed(const char *what, struct words *words)
{
    struct kernel *kernel;
    static const char *const deeds[] = {"function", "ns",   "first_ns", "late", "scribble",
                                        "fail_launch", "hang"};
    size_t i = 0;
    while (i < sizeof deeds / sizeof *deeds && strcmp(what, deeds[i]) != 0)
        i++;
    if (i == sizeof deeds / sizeof *deeds)
        return 0;
    kernel = kernel_named(word(words));
    if (i == 0) {
        long long attribute = number(words);
        if (attribute < 0 || attribute > 15)
            give_up("no such attribute", words->line);
        kernel->attributes[attribute] = (int)number(words);
    } else if (i == 1) {
        kernel->ns = number(words);
    } else if (i == 2) {
        kernel->first_ns = number(words);
    } else if (i == 3) {
        kernel->late_ns = number(words);
    } else if (i == 4) {
        kernel->scribble_parameter = (int)number(words);
        kernel->scribble_offset = number(words);
        kernel->scribble_bytes = (size_t)number(words);
    } else if (i == 5) {
        kernel->fault_code = (int)number(words);
        kernel->fault = turns_of(words, 1);
    } else {
        kernel->hang = turns_of(words, 1);
    }
    return 1;
}

/* Lines that are a word and a number. */
static int read_figure(const char *what, struct words *words)
{
    static const struct {
        const char *name;
        unsigned *value;
    } figures[] = {{"temperature", &script.temperature}, {"clock", &script.clock},
                   {"memory_clock", &script.memory_clock}, {"max_clock", &script.max_clock},
                   {"power", &script.power},             {"pstate", &script.pstate},
                   {"devices", (unsigned *)&script.devices},
                   {"version", (unsigned *)&script.version},
                   {"sms", (unsigned *)&script.multiprocessors}};
    size_t i;
    for (i = 0; i < sizeof figures / sizeof *figures; i++) {
        if (strcmp(what, figures[i].name) == 0) {
            *figures[i].value = (unsigned)number(words);
            return 1;
        }
    }
    return 0;
}

static void read_line(char *line)
{
    struct words words = {0};
    char text[1024], *rest = NULL, *at;
    const char *what;
    line[strcspn(line, "#")] = 0;
    snprintf(text, sizeof text, "%s", line);
    words.line = text;
    for (at = strtok_r(line, " \t\r", &rest); at; at = strtok_r(NULL, " \t\r", &rest)) {
        if (words.count == PARAMETERS + 8)
            give_up("the script's line is too long", text);
        words.word[words.count++] = at;
    }
    if (words.count == 0)
        return;
    what = word(&words);
    if (strcmp(what, "kernel") == 0) {
        read_kernel(&words);
    } else if (strcmp(what, "uuid") == 0) {
        read_uuid(&words);
    } else if (strcmp(what, "attribute") == 0) {
        read_attribute(&words);
    } else if (strcmp(what, "fail") == 0) {
        read_failure(&words);
    } else if (strcmp(what, "process") == 0) {
        read_process(&words);
    } else if (strcmp(what, "throttle") == 0) {
        read_throttle(&words);
    } else if (strcmp(what, "cc") == 0) {
        script.major = (int)number(&words);
        script.minor = (int)number(&words);
    } else if (strcmp(what, "memory") == 0) {
        script.memory = (unsigned long long)number(&words);
    } else if (strcmp(what, "l2") == 0) {
        script.l2 = (unsigned long long)number(&words);
    } else if (strcmp(what, "name") == 0) {
        script.name[0] = 0;
        while (words.next < words.count) {
            size_t length = strlen(script.name);
            snprintf(script.name + length, sizeof script.name - length, "%s%s", length ? " " : "",
                     word(&words));
        }
    } else if (!read_deed(what, &words) && !read_figure(what, &words)) {
        give_up("no such word in the script's line", text);
    }
    if (words.next < words.count)
        give_up("too much in the script's line", text);
}

static void set_defaults(void)
{
    int i;
    script.devices = 1;
    script.version = 13000;
    script.major = 9;
    script.multiprocessors = 132;
    script.memory = 80ULL << 30;
    script.l2 = 50ULL << 20;
    strcpy(script.name, "Stand-in H");
    for (i = 0; i < 16; i++)
        script.uuid[i] = (unsigned char)(i * 17);
    script.temperature = 40;
    script.clock = 1980;
    script.memory_clock = 2619;
    script.max_clock = 1980;
    script.power = 120000;
}

/* Reads the script and opens the log, once, by the first call of all: later a sandbox may be in
 * the way. A missing script means a device without surprises. */
static void follow_script(void)
{
    char path[PATH_MAX + 16], *text, *line, *rest = NULL;
    Dl_info here;
    FILE *file;
    if (script.read)
        return;
    script.read = 1;
    set_defaults();
    if (!dladdr(&script, &here) || !realpath(here.dli_fname, script.folder))
        give_up("cannot tell where it lies", "dladdr");
    *strrchr(script.folder, '/') = 0;
    snprintf(path, sizeof path, "%s/log", script.folder);
    script.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    snprintf(path, sizeof path, "%s/script", script.folder);
    file = fopen(path, "re");
    if (!file)
        return;
    text = calloc(1, 1 << 16);
    if (!text || fread(text, 1, (1 << 16) - 1, file) == (1 << 16) - 1)
        give_up("the script is too long", path);
    fclose(file);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        read_line(line);
    free(text);
    if (script.devices < 0 || script.devices > MOST)
        give_up("that many devices", path);
}

#endif
