/* A disk that fails on cue: preloaded, it makes system calls on some files fail. The file that FAILING_DISK names has
   lines of CALL ERRNO PART-OF-PATH [FROM]; CALL is open, read, write or sync, FROM the byte from which it fails. It is
   read again with each call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(const char *call, const char *path, long at)
{
    static const char *place;
    char text[4096], *line, *rest = text;
    /* A copy: who gives the process another title, as Granian does, writes over its environment. */
    if (place == NULL && ((place = getenv("FAILING_DISK")) == NULL || (place = strdup(place)) == NULL))
        return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, place, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    long size = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    text[size > 0 ? size : 0] = 0;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char name[16], part[512];
        int number;
        long from = 0;
        if (sscanf(line, "%15s %d %511s %ld", name, &number, part, &from) >= 3 && !strcmp(name, call)
            && strstr(path, part) && at >= from) {
            errno = number;
            return 1;
        }
    }
    return 0;
}

static int fails_at(const char *call, int fd, long at)
{
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlink, link, path, sizeof path - 1);
    errno = before;
    if (size < 0)
        return 0;
    path[size] = 0;
    return fails(call, path, at);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)

#define OPENING(name)                                                       \
    int name(const char *path, int flags, ...)                              \
    {                                                                       \
        REAL(name);                                                         \
        va_list rest;                                                       \
        va_start(rest, flags);                                              \
        mode_t mode = va_arg(rest, mode_t);                                 \
        va_end(rest);                                                       \
        return fails("open", path, 0) ? -1 : real(path, flags, mode);          \
    }
OPENING(open)
OPENING(open64)

ssize_t read(int fd, void *data, size_t size)
{ REAL(read); return fails_at("read", fd, lseek(fd, 0, SEEK_CUR) + size) ? -1 : real(fd, data, size); }
ssize_t pread(int fd, void *data, size_t size, off_t at)
{ REAL(pread); return fails_at("read", fd, at + size) ? -1 : real(fd, data, size, at); }
ssize_t pread64(int fd, void *data, size_t size, off64_t at)
{ REAL(pread64); return fails_at("read", fd, at + size) ? -1 : real(fd, data, size, at); }
ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t at, int flags)
{
    REAL(preadv2);
    long end = at;
    for (int n = 0; n < count; n++)
        end += parts[n].iov_len;
    return fails_at("read", fd, end) ? -1 : real(fd, parts, count, at, flags);
}
ssize_t preadv64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags)
{ return preadv2(fd, parts, count, at, flags); }
ssize_t write(int fd, const void *data, size_t size)
{ REAL(write); return fails_at("write", fd, 0) ? -1 : real(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{ REAL(pwrite); return fails_at("write", fd, 0) ? -1 : real(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{ REAL(pwrite64); return fails_at("write", fd, 0) ? -1 : real(fd, data, size, at); }
int fsync(int fd)
{ REAL(fsync); return fails_at("sync", fd, 0) ? -1 : real(fd); }
int fdatasync(int fd)
{ REAL(fdatasync); return fails_at("sync", fd, 0) ? -1 : real(fd); }
