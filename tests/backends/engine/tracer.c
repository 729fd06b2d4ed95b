/* Preloaded into a process, writes down what it does to files below $POWER_ROOT, in the order in which it does it.
 *
 * A record in $POWER_TRACE: kind, inode, offset, three lengths, then the path, the second path and the data.
 * What is done and its record are one step for all threads, so that the order is the true one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct record {
    uint64_t kind, inode, offset, path, other, data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_length;
static int trace = -1;

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_TRACE");
    root = getenv("POWER_ROOT");
    if (path && root) {
        root_length = strlen(root);
        trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length) {
        long written = syscall(SYS_write, trace, at, length);
        if (written <= 0)
            abort();
        at += written;
        length -= (size_t)written;
    }
}

static void note(char kind, uint64_t inode, uint64_t offset, const char *path, const char *other, const void *data,
                 size_t length) {
    struct record record = {(uint64_t)kind, inode, offset, strlen(path), strlen(other), length};
    put(&record, sizeof record);
    put(path, record.path);
    put(other, record.other);
    put(data, length);
}

static int below(const char *path) {
    return trace >= 0 && strncmp(path, root, root_length) == 0;
}

static int named(int fd, char *path) {
    char link[64];
    if (trace < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return below(path);
}

static int located(int folder, const char *name, char *path) {
    if (trace < 0)
        return 0;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        char base[PATH_MAX];
        if (folder == AT_FDCWD || !named(folder, base))
            return 0;
        if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX)
            return 0;
    }
    return below(path);
}

static uint64_t inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static int opened(int (*real)(int, const char *, int, ...), int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !located(folder, name, path))
        return real(folder, name, flags, mode);
    pthread_mutex_lock(&lock);
    int there = faccessat(AT_FDCWD, path, F_OK, 0) == 0;
    int fd = real(folder, name, flags, mode);
    if (fd >= 0 && !there)
        note('c', inode_of(fd), 0, path, "", "", 0);
    else if (fd >= 0 && (flags & O_TRUNC))
        note('t', inode_of(fd), 0, path, "", "", 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        va_list rest;                                                                 \
        va_start(rest, flags);                                                        \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                     \
        va_end(rest);                                                                 \
        return opened(REAL(openat), AT_FDCWD, path, flags, mode);                     \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                  \
    int name(int folder, const char *path, int flags, ...) {                          \
        va_list rest;                                                                 \
        va_start(rest, flags);                                                        \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                     \
        va_end(rest);                                                                 \
        return opened(REAL(openat), folder, path, flags, mode);                       \
    }
OPENAT(openat64)

#define WRITTEN(call, at)                                                             \
    char path[PATH_MAX];                                                              \
    if (!named(fd, path))                                                             \
        return call;                                                                  \
    pthread_mutex_lock(&lock);                                                        \
    uint64_t offset = (uint64_t)(at);                                                 \
    ssize_t count = call;                                                             \
    if (count > 0)                                                                    \
        note('w', inode_of(fd), offset, path, "", data, (size_t)count);               \
    pthread_mutex_unlock(&lock);                                                      \
    return count;

ssize_t write(int fd, const void *data, size_t length) {
    WRITTEN(syscall(SYS_write, fd, data, length), lseek(fd, 0, SEEK_CUR))
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t place) {
    WRITTEN(syscall(SYS_pwrite64, fd, data, length, place), place)
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t place) {
    WRITTEN(syscall(SYS_pwrite64, fd, data, length, place), place)
}

#define ON_FD(name, kind, parameters, call, where)                                    \
    int name parameters {                                                             \
        char path[PATH_MAX];                                                          \
        if (!named(fd, path))                                                         \
            return (int)call;                                                         \
        pthread_mutex_lock(&lock);                                                    \
        int failed = (int)call;                                                       \
        if (!failed)                                                                  \
            note(kind, inode_of(fd), (uint64_t)(where), path, "", "", 0);             \
        pthread_mutex_unlock(&lock);                                                  \
        return failed;                                                                \
    }
ON_FD(fsync, 's', (int fd), syscall(SYS_fsync, fd), 0)
ON_FD(fdatasync, 's', (int fd), syscall(SYS_fdatasync, fd), 0)
ON_FD(ftruncate, 't', (int fd, off_t size), syscall(SYS_ftruncate, fd, size), size)
ON_FD(ftruncate64, 't', (int fd, off64_t size), syscall(SYS_ftruncate, fd, size), size)

#define ON_PATH(name, kind, parameters, folder, call)                                 \
    int name parameters {                                                             \
        char path[PATH_MAX];                                                          \
        if (!located(folder, at, path))                                               \
            return (int)call;                                                         \
        pthread_mutex_lock(&lock);                                                    \
        int failed = (int)call;                                                       \
        if (!failed)                                                                  \
            note(kind, 0, 0, path, "", "", 0);                                        \
        pthread_mutex_unlock(&lock);                                                  \
        return failed;                                                                \
    }
ON_PATH(unlink, 'u', (const char *at), AT_FDCWD, syscall(SYS_unlinkat, AT_FDCWD, at, 0))
ON_PATH(rmdir, 'u', (const char *at), AT_FDCWD, syscall(SYS_unlinkat, AT_FDCWD, at, AT_REMOVEDIR))
ON_PATH(unlinkat, 'u', (int folder, const char *at, int flags), folder, syscall(SYS_unlinkat, folder, at, flags))
ON_PATH(mkdir, 'm', (const char *at, mode_t mode), AT_FDCWD, syscall(SYS_mkdirat, AT_FDCWD, at, mode))

static int both(char kind, int folder, const char *from, int into, const char *to, long (*call)(int, const char *, int, const char *)) {
    char path[PATH_MAX], other[PATH_MAX];
    if (!located(folder, from, path) || !located(into, to, other))
        return (int)call(folder, from, into, to);
    pthread_mutex_lock(&lock);
    int failed = (int)call(folder, from, into, to);
    if (!failed)
        note(kind, 0, 0, path, other, "", 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

static long renamed(int folder, const char *from, int into, const char *to) {
    return syscall(SYS_renameat2, folder, from, into, to, 0);
}
static long linked(int folder, const char *from, int into, const char *to) {
    return syscall(SYS_linkat, folder, from, into, to, 0);
}
int rename(const char *from, const char *to) {
    return both('r', AT_FDCWD, from, AT_FDCWD, to, renamed);
}
int link(const char *from, const char *to) {
    return both('l', AT_FDCWD, from, AT_FDCWD, to, linked);
}
int linkat(int folder, const char *from, int into, const char *to, int flags) {
    return flags ? (int)syscall(SYS_linkat, folder, from, into, to, flags) : both('l', folder, from, into, to, linked);
}
