/* One worker that is held between windows, by several ways, and what clocks say of windows of known length.
 *
 * windows HOLD FEED BYTES COUNT JUDGE_CORE WORKER_CORE WORK_NS...
 *
 * HOLD   spin     the worker spins on a word in memory (it can answer early)
 *        read     it is blocked in read(2), which the judge sees in /proc/PID/syscall
 *        stop     it has stopped itself, which the judge sees by waitid(2)
 *        notify   it is blocked in a call that a seccomp filter hands to the judge
 * FEED   judge    the judge writes the inputs from its own core and lets the worker go
 *        feeder   a process on the worker's core does both
 *
 * One line for each window: its work, what the worker itself saw, what its CPU clock says, what the judge's
 * clock says from letting go to seeing it held again (all in ns), and how often the worker was held late.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum hold { SPIN, READ, STOP, NOTIFY };

struct page {
    _Atomic uint32_t go, answer, quit;
    uint32_t work_ns;
    uint64_t own_ns, sum;
    size_t bytes;
};

static struct page *page;
static unsigned char *inputs;
static enum hold hold;
static int go_pipe[2], order_pipe[2], listener = -1;
static pid_t worker;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t)) die("clock_gettime");
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set)) die("sched_setaffinity");
}

/* Hands getpgrp() to the listener and lets everything else through. */
static int filter(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgrp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
    long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (fd < 0) die("seccomp");
    return fd;
}

static void send_fd(int socket, int fd) {
    char byte = 0, room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec one = {&byte, 1};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(socket, &m, 0) != 1) die("sendmsg");
}

static int receive_fd(int socket) {
    char byte, room[CMSG_SPACE(sizeof(int))];
    struct iovec one = {&byte, 1};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    int fd;
    if (recvmsg(socket, &m, 0) != 1) die("recvmsg");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

/* The worker. */

static void be_held(uint32_t number) {
    char byte;
    switch (hold) {
    case SPIN:
        while (atomic_load_explicit(&page->go, memory_order_acquire) != number) __builtin_ia32_pause();
        break;
    case READ:
        if (read(go_pipe[0], &byte, 1) != 1) exit(2);
        break;
    case STOP:
        kill(getpid(), SIGSTOP);
        break;
    case NOTIFY:
        syscall(SYS_getpgrp);
        break;
    }
}

static void work(int core, int socket) {
    pin(core);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (hold == NOTIFY) send_fd(socket, filter());
    for (uint32_t number = 1;; number++) {
        atomic_store_explicit(&page->answer, number, memory_order_release);
        be_held(number);
        if (page->quit) _exit(0);
        uint64_t began = now(CLOCK_MONOTONIC), sum = 0;
        for (size_t i = 0; i < page->bytes; i += 64) sum += inputs[i];
        uint64_t wanted = page->work_ns;
        while (wanted && now(CLOCK_MONOTONIC) - began < wanted) {}
        page->sum = sum;
        page->own_ns = now(CLOCK_MONOTONIC) - began;
    }
}

/* The judge. */

static struct seccomp_notif notice;

/* Waits until the worker is held; returns when that was seen. */
static uint64_t see_held(uint32_t number) {
    char text[256], path[64];
    siginfo_t info;
    switch (hold) {
    case SPIN:
        while (atomic_load_explicit(&page->answer, memory_order_acquire) != number) __builtin_ia32_pause();
        break;
    case READ:
        snprintf(path, sizeof path, "/proc/%d/syscall", worker);
        for (;;) {
            while (atomic_load_explicit(&page->answer, memory_order_acquire) != number) __builtin_ia32_pause();
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
            if (fd >= 0) close(fd);
            if (n < 0) die(path);
            text[n] = 0;
            /* "0 0x3 …": in read(2), of that descriptor; "running" otherwise. */
            if (!strncmp(text, "0 ", 2)) break;
        }
        break;
    case STOP:
        if (waitid(P_PID, (id_t)worker, &info, WSTOPPED)) die("waitid");
        break;
    case NOTIFY:
        memset(&notice, 0, sizeof notice);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notice)) die("NOTIF_RECV");
        break;
    }
    return now(CLOCK_MONOTONIC);
}

static void let_go(uint32_t number, uint64_t id) {
    char byte = 0;
    struct seccomp_notif_resp answer = {.id = id};
    switch (hold) {
    case SPIN:
        atomic_store_explicit(&page->go, number, memory_order_release);
        break;
    case READ:
        if (write(go_pipe[1], &byte, 1) != 1) die("write");
        break;
    case STOP:
        if (kill(worker, SIGCONT)) die("kill");
        break;
    case NOTIFY:
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer)) die("NOTIF_SEND");
        break;
    }
}

static void feed(uint32_t number) {
    memset(inputs, (int)number, page->bytes);
}

struct order {
    uint32_t number;
    uint64_t id;
};

static void be_feeder(int core) {
    struct order order;
    pin(core);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(order_pipe[0], &order, sizeof order) == sizeof order) {
        feed(order.number);
        let_go(order.number, order.id);
    }
    _exit(0);
}

static enum hold hold_of(const char *name) {
    const char *names[] = {"spin", "read", "stop", "notify"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) return (enum hold)i;
    fprintf(stderr, "no such hold: %s\n", name);
    exit(1);
}

int main(int argc, char **argv) {
    int sockets[2];
    clockid_t cpu;
    if (argc < 8) return 1;
    hold = hold_of(argv[1]);
    int by_feeder = !strcmp(argv[2], "feeder");
    size_t bytes = strtoul(argv[3], NULL, 10);
    long count = atol(argv[4]);
    int judge_core = atoi(argv[5]), worker_core = atoi(argv[6]);
    size_t room = sizeof *page + bytes + 4096;
    page = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (page == MAP_FAILED) die("mmap");
    inputs = (unsigned char *)page + 4096, page->bytes = bytes;
    if (pipe2(go_pipe, O_CLOEXEC) || pipe2(order_pipe, O_CLOEXEC)) die("pipe2");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)) die("socketpair");
    worker = fork();
    if (worker == 0) work(worker_core, sockets[0]);
    if (hold == NOTIFY) listener = receive_fd(sockets[1]);
    if (by_feeder && fork() == 0) be_feeder(worker_core);
    pin(judge_core);
    if (clock_getcpuclockid(worker, &cpu)) die("clock_getcpuclockid");
    uint32_t number = 1;
    see_held(number);
    for (long i = 0; i < count; i++) {
        for (int w = 7; w < argc; w++, number++) {
            page->work_ns = (uint32_t)atol(argv[w]);
            struct order order = {number, notice.id};
            uint64_t before = now(cpu), still, from, to;
            /* Held: its CPU clock stands still. The spinning worker's does not. */
            still = now(cpu) - before;
            before += still;
            from = now(CLOCK_MONOTONIC);
            if (by_feeder) {
                if (write(order_pipe[1], &order, sizeof order) != sizeof order) die("write");
            } else {
                feed(number);
                from = now(CLOCK_MONOTONIC);
                let_go(number, notice.id);
            }
            to = see_held(number + 1);
            /* Whatever it does on its way into the held state counts too. */
            uint64_t after = now(cpu), late = 0, again;
            while (hold != SPIN && (again = now(cpu)) != after) after = again, late++;
            if (i >= count / 10)
                printf("%s %llu %llu %llu %llu\n", argv[w], (unsigned long long)page->own_ns,
                       (unsigned long long)(after - before), (unsigned long long)(to - from), (unsigned long long)late);
        }
    }
    kill(worker, SIGKILL);
    return 0;
}
