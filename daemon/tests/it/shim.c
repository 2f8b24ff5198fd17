/*
 * Preloaded into the victim of the power-loss suite: notes every change below SHIM_PREFIX in
 * SHIM_LOG, so that the suite can work out what a disk holds that keeps only what was synced.
 *
 * One entry: kind, length of path, length of second path, offset, length of data; then the path,
 * the second path and the data. Numbers in the machine's byte order. Kinds: C created, T truncated
 * (offset is the length), W written, S synced, M renamed, U removed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 4096
#define PATH 512

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char paths[FILES][PATH];
static int64_t positions[FILES];
static const char *prefix;
static int log_fd = -1;

static void begin(void) {
    if (log_fd >= 0) return;
    const char *log_path = getenv("SHIM_LOG");
    prefix = getenv("SHIM_PREFIX");
    if (prefix && log_path)
        log_fd = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static int inside(const char *path) {
    begin();
    return log_fd >= 0 && !strncmp(path, prefix, strlen(prefix));
}

static int tracked(int fd) { return fd >= 0 && fd < FILES && paths[fd][0]; }

/* One write per entry, so that a kill leaves at most the last one incomplete. */
static void note(char kind, const char *path, const char *second, int64_t offset, const void *data, uint64_t length) {
    uint32_t path_length = strlen(path), second_length = strlen(second);
    size_t total = 1 + 4 + 4 + 8 + 8 + path_length + second_length + length, at = 0;
    char *entry = malloc(total);
    if (!entry) abort();
#define ADD(from, size) memcpy(entry + at, from, size), at += (size)
    ADD(&kind, 1);
    ADD(&path_length, 4);
    ADD(&second_length, 4);
    ADD(&offset, 8);
    ADD(&length, 8);
    ADD(path, path_length);
    ADD(second, second_length);
    if (length) ADD(data, length);
    for (size_t done = 0; done < total;) {
        long wrote = syscall(SYS_write, log_fd, entry + done, total - done);
        if (wrote <= 0) abort();
        done += wrote;
    }
    free(entry);
}

static int open_noted(const char *path, int flags, mode_t mode) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd < 0 || fd >= FILES) return fd;
    paths[fd][0] = 0;
    if (inside(path)) {
        pthread_mutex_lock(&lock);
        strncpy(paths[fd], path, PATH - 1);
        positions[fd] = 0;
        if (flags & O_CREAT) note('C', path, "", 0, 0, 0);
        if (flags & O_TRUNC) note('T', path, "", 0, 0, 0);
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, int);
    va_end(rest);
    return open_noted(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, int);
    va_end(rest);
    return open_noted(path, flags, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FILES) paths[fd][0] = 0;
    return syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    if (!tracked(fd)) return syscall(SYS_pwrite64, fd, data, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t wrote = syscall(SYS_pwrite64, fd, data, length, offset);
    if (wrote > 0) note('W', paths[fd], "", offset, data, wrote);
    pthread_mutex_unlock(&lock);
    return wrote;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
    if (!tracked(fd)) return syscall(SYS_write, fd, data, length);
    pthread_mutex_lock(&lock);
    ssize_t wrote = syscall(SYS_write, fd, data, length);
    if (wrote > 0) {
        note('W', paths[fd], "", positions[fd], data, wrote);
        positions[fd] += wrote;
    }
    pthread_mutex_unlock(&lock);
    return wrote;
}

int ftruncate64(int fd, off64_t length) {
    if (!tracked(fd)) return syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_ftruncate, fd, length);
    if (result == 0) note('T', paths[fd], "", length, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* The lock is held meanwhile: nothing written during a sync may count as synced. */
static int synced(int fd, long call) {
    if (!tracked(fd)) return syscall(call, fd);
    pthread_mutex_lock(&lock);
    int result = syscall(call, fd);
    if (result == 0) note('S', paths[fd], "", 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_rename, from, to);
    if (result == 0 && inside(from)) note('M', from, to, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_unlink, path);
    if (result == 0 && inside(path)) note('U', path, "", 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
