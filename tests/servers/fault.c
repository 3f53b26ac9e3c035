/* A disk that fails: preloaded into a process (LD_PRELOAD), it lets some of the calls fail that
 * write to files below FAULT_DIR, with an errno and without carrying them out.
 *
 * FAULT_CTL names a file of int64s, which the test maps too; tests/servers/disk.py has their
 * names. Whoever changes them sets FAILS last: while it is 0 nothing fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    FAILS, /* how many calls fail yet */
    AFTER, /* how many succeed before */
    ERRNO,
    KINDS, /* which calls: a sum of those below */
    FILES, /* in which files */
    FIRED, /* how many have failed */
    SEEN,  /* how many of these calls there were, failed or not */
    SIZE
};
enum { WRITE = 1, SYNC = 2, MSYNC = 4, ROOM = 8 };
enum { ANY_FILE, HISTORY, VECTORS };

static int64_t *control;
static const char *folder;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_msync)(void *, size_t, int);
static int (*real_statvfs)(const char *, struct statvfs *);

__attribute__((constructor)) static void start(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_msync = dlsym(RTLD_NEXT, "msync");
    real_statvfs = dlsym(RTLD_NEXT, "statvfs64");
    folder = getenv("FAULT_DIR");
    const char *path = getenv("FAULT_CTL");
    int fd = folder && path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(0, SIZE * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) control = mapped;
    close(fd);
}

static int meant_path(const char *path) {
    size_t prefix = strlen(folder);
    if (strncmp(path, folder, prefix) || path[prefix] != '/') return 0;
    switch (control[FILES]) {
        case HISTORY: return strstr(path + prefix, "/history.db") != 0;
        case VECTORS: return strstr(path + prefix, "/qdrant") != 0;
    }
    return 1;
}

static int meant(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return meant_path(path);
}

/* Whether this call shall fail; then errno is set. */
static int fails(int kind) {
    if (!(control[KINDS] & kind)) return 0;
    __sync_add_and_fetch(&control[SEEN], 1);
    if (control[FAILS] <= 0 || __sync_sub_and_fetch(&control[AFTER], 1) >= 0) return 0;
    if (__sync_sub_and_fetch(&control[FAILS], 1) < 0) return 0;
    __sync_add_and_fetch(&control[FIRED], 1);
    errno = (int)control[ERRNO];
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    return control && meant(fd) && fails(WRITE) ? -1 : real_write(fd, bytes, size);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) {
    return control && meant(fd) && fails(WRITE) ? -1 : real_pwrite(fd, bytes, size, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    return pwrite64(fd, bytes, size, at);
}
int fsync(int fd) { return control && meant(fd) && fails(SYNC) ? -1 : real_fsync(fd); }
int fdatasync(int fd) { return control && meant(fd) && fails(SYNC) ? -1 : real_fdatasync(fd); }
/* It names no file; of those that a service has, only the vectors' are brought to the disk so. */
int msync(void *start, size_t size, int flags) {
    if (control && control[FILES] != HISTORY && fails(MSYNC)) return -1;
    return real_msync(start, size, flags);
}
/* Of a full disk it is no failure: it says that there is no room. */
int statvfs64(const char *path, struct statvfs64 *found) {
    struct statvfs *result = (struct statvfs *)found; /* the same where both have 64 bits */
    int status = real_statvfs(path, result);
    if (!status && control && meant_path(path) && fails(ROOM)) result->f_bavail = 0;
    return status;
}
int statvfs(const char *path, struct statvfs *found) {
    return statvfs64(path, (struct statvfs64 *)found);
}
