// Stands before the C library (LD_PRELOAD) and counts every call that changes something below one folder, whichever
// library of a process makes it. At the n-th of them something happens: see `disk.py`, whose names these are.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOTHING, FULL, ONCE, KILL, TORN, SIGNAL, COPY };

static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
static char under[PATH_MAX], copies[PATH_MAX], only[PATH_MAX], named[64];
static int how, notice = -1;
static long at, count, hits, delay;

static int below(const char *path) {
    size_t n = strlen(under);
    return n && !strncmp(path, under, n) && (path[n] == '/' || !path[n]);
}

static int of_handle(int handle, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = 0;
    return n > 0 && below(path);
}

static int of_name(int folder, const char *name, char *path) {
    if (name[0] == '/' || folder == AT_FDCWD) {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        of_handle(folder, path);
        size_t n = strlen(path);
        snprintf(path + n, PATH_MAX - n, "/%s", name);
    }
    return below(path);
}

static void *later(void *signal_number) {
    usleep(delay * 1000);
    kill(getpid(), (int)(long)signal_number);
    return NULL;
}

static void copy(const char *part) {
    char place[PATH_MAX + 32];
    snprintf(place, sizeof place, "%s/%ld%s", copies, count, part);
    char *argv[] = {"cp", "-a", under, place, NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
    pid_t child;
    if (!posix_spawnp(&child, "cp", NULL, NULL, argv, environment)) waitpid(child, NULL, 0);
}

// Counts a call and does what is to be done before it. Gives 1 if it shall fail, 2 if it shall be torn.
static int call(const char *name, const char *path, int needs_room, size_t size) {
    count++;
    if (notice >= 0) dprintf(notice, "%ld %s %zu %s\n", count, name, size, path + strlen(under));
    if (how == COPY) {
        copy("");
        return size > 1 ? 2 : 0;
    }
    int meant = strstr(path + strlen(under), only) && (!named[0] || !strcmp(name, named));
    hits += meant;
    if (how == FULL && hits >= at) return needs_room;
    if (!meant || hits != at) return 0;
    if (how == ONCE) return needs_room;
    if (how == KILL) kill(getpid(), SIGKILL), pause();
    if (how == TORN) {
        if (size > 1) return 2;
        kill(getpid(), SIGKILL), pause();
    }
    if (how >= SIGNAL * 100) {
        pthread_t thread;
        if (delay) pthread_create(&thread, NULL, later, (void *)(long)(how - SIGNAL * 100)), pthread_detach(thread);
        else kill(getpid(), how - SIGNAL * 100);
    }
    return 0;
}

// A call is counted and made while no other thread makes one.
#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define MAKE(name, found, path, room, ...)                                                                             \
    do {                                                                                                               \
        char path[PATH_MAX];                                                                                           \
        REAL(name);                                                                                                    \
        if (!under[0] || !(found)) return real(__VA_ARGS__);                                                           \
        pthread_mutex_lock(&alone);                                                                                    \
        int fails = call(#name, path, room, 0);                                                                        \
        __typeof__(real(__VA_ARGS__)) gave = -1;                                                                       \
        if (!fails) gave = real(__VA_ARGS__);                                                                          \
        int error = fails ? ENOSPC : errno;                                                                            \
        pthread_mutex_unlock(&alone);                                                                                  \
        errno = error;                                                                                                 \
        return gave;                                                                                                   \
    } while (0)
#define WRITE(name, half, rest, ...)                                                                                   \
    do {                                                                                                               \
        char path[PATH_MAX];                                                                                           \
        REAL(name);                                                                                                    \
        if (!under[0] || !of_handle(handle, path)) return real(__VA_ARGS__);                                           \
        pthread_mutex_lock(&alone);                                                                                    \
        int fails = call(#name, path, 1, size);                                                                        \
        ssize_t gave = -1;                                                                                             \
        if (fails == 2) {                                                                                              \
            ssize_t more;                                                                                              \
            gave = half;                                                                                               \
            if (how == TORN) kill(getpid(), SIGKILL), pause();                                                         \
            copy("-torn");                                                                                             \
            if (gave >= 0 && (more = rest) > 0) gave += more;                                                          \
        } else if (!fails) {                                                                                           \
            gave = real(__VA_ARGS__);                                                                                  \
        }                                                                                                              \
        int error = fails == 1 ? ENOSPC : errno;                                                                       \
        pthread_mutex_unlock(&alone);                                                                                  \
        errno = error;                                                                                                 \
        return gave;                                                                                                   \
    } while (0)

#define AFTER (const char *)bytes + gave, size - gave
ssize_t write(int handle, const void *bytes, size_t size) {
    WRITE(write, real(handle, bytes, size / 2), real(handle, AFTER), handle, bytes, size);
}
ssize_t pwrite(int handle, const void *bytes, size_t size, off_t place) {
    WRITE(pwrite, real(handle, bytes, size / 2, place), real(handle, AFTER, place + gave), handle, bytes, size, place);
}
ssize_t pwrite64(int handle, const void *bytes, size_t size, off64_t place) {
    WRITE(pwrite64, real(handle, bytes, size / 2, place), real(handle, AFTER, place + gave), handle, bytes, size, place);
}
ssize_t writev(int handle, const struct iovec *parts, int number) {
    size_t size = number > 1 ? 2 : 0; // torn between its parts
    WRITE(writev, real(handle, parts, number / 2), real(handle, parts + number / 2, number - number / 2), handle, parts,
          number);
}

int fsync(int handle) { MAKE(fsync, of_handle(handle, path), path, 1, handle); }
int fdatasync(int handle) { MAKE(fdatasync, of_handle(handle, path), path, 1, handle); }
int ftruncate(int handle, off_t size) { MAKE(ftruncate, of_handle(handle, path), path, size > 0, handle, size); }
int ftruncate64(int handle, off64_t size) { MAKE(ftruncate64, of_handle(handle, path), path, size > 0, handle, size); }
int truncate(const char *name, off_t size) { MAKE(truncate, of_name(AT_FDCWD, name, path), path, 0, name, size); }
int truncate64(const char *name, off64_t size) { MAKE(truncate64, of_name(AT_FDCWD, name, path), path, 0, name, size); }
int rename(const char *from, const char *to) { MAKE(rename, of_name(AT_FDCWD, to, path), path, 1, from, to); }
int renameat(int a, const char *from, int b, const char *to) {
    MAKE(renameat, of_name(b, to, path), path, 1, a, from, b, to);
}
int link(const char *from, const char *to) { MAKE(link, of_name(AT_FDCWD, to, path), path, 1, from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    MAKE(linkat, of_name(b, to, path), path, 1, a, from, b, to, flags);
}
int mkdir(const char *name, mode_t mode) { MAKE(mkdir, of_name(AT_FDCWD, name, path), path, 1, name, mode); }
int mkdirat(int folder, const char *name, mode_t mode) {
    MAKE(mkdirat, of_name(folder, name, path), path, 1, folder, name, mode);
}
int unlink(const char *name) { MAKE(unlink, of_name(AT_FDCWD, name, path), path, 0, name); }
int unlinkat(int folder, const char *name, int flags) {
    MAKE(unlinkat, of_name(folder, name, path), path, 0, folder, name, flags);
}
int rmdir(const char *name) { MAKE(rmdir, of_name(AT_FDCWD, name, path), path, 0, name); }

#define FALLOCATE(name, type)                                                                                          \
    int name(int handle, type place, type size) {                                                                      \
        char path[PATH_MAX];                                                                                           \
        REAL(name);                                                                                                    \
        if (!under[0] || !of_handle(handle, path)) return real(handle, place, size);                                   \
        pthread_mutex_lock(&alone);                                                                                    \
        int gave = call(#name, path, 1, 0) ? ENOSPC : real(handle, place, size); /* which sets no errno */             \
        pthread_mutex_unlock(&alone);                                                                                  \
        return gave;                                                                                                   \
    }
FALLOCATE(posix_fallocate, off_t)
FALLOCATE(posix_fallocate64, off64_t)

#define OPEN(name)                                                                                                     \
    int name(const char *file, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                      \
        va_end(rest);                                                                                                  \
        MAKE(name, flags & (O_CREAT | O_TRUNC) && of_name(AT_FDCWD, file, path), path, 1, file, flags, mode);          \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                                                                   \
    int name(int folder, const char *file, int flags, ...) {                                                           \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                      \
        va_end(rest);                                                                                                  \
        MAKE(name, flags & (O_CREAT | O_TRUNC) && of_name(folder, file, path), path, 1, folder, file, flags, mode);    \
    }
OPENAT(openat)
OPENAT(openat64)

// What `disk.py` calls: from now on, count from one again.
void disk_watch(const char *folder, int what, long number, long milliseconds, const char *place, const char *log,
                const char *part, const char *function) {
    pthread_mutex_lock(&alone);
    if (notice >= 0) close(notice);
    under[0] = 0;
    notice = log[0] ? open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    how = what, at = number, delay = milliseconds, count = hits = 0;
    snprintf(copies, sizeof copies, "%s", place);
    snprintf(only, sizeof only, "%s", part);
    snprintf(named, sizeof named, "%s", function);
    snprintf(under, sizeof under, "%s", folder);
    pthread_mutex_unlock(&alone);
}
