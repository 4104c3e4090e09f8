/* Records what a process does to a folder, so that a test can tell what a power cut leaves of it.
 *
 * Loaded with LD_PRELOAD. Every call that changes a file or a name below POSTERN_SHIM_FOLDER is done and then
 * written to the journal POSTERN_SHIM_JOURNAL, in the order in which the calls took effect, with the octets
 * written. fsync and its kin are written down and not passed on: what is durable is the reader's business
 * (tests/crash/journal.rs), and the test is quicker without a disk. The journal begins with the folder as it was.
 * What the process writes to its standard output is in the journal too: what its caller was told, and when.
 *
 * Faults on demand:
 *   POSTERN_SHIM_ENOSPC_AFTER=n    after n octets written a write fails with ENOSPC, until the file that
 *                                  POSTERN_SHIM_FREED names exists
 *   POSTERN_SHIM_FSYNC_FAILS=n     the n-th fsync of a file fails with EIO; the octets that it was to make
 *                                  durable never are, as on Linux
 *
 * What the shim cannot follow (a shared writable mapping, a name that leaves the folder) is a FOREIGN entry,
 * which the reader takes for a fault of the test. A call that goes around libc is found because the journal
 * then does not give the folder that is really there. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Kinds of entries; tests/crash/journal.rs has the same list. */
enum kind {
    BASE_FOLDER = 1, /* id, in parent, name */
    BASE_FILE,       /* id, in parent, name, octets */
    CREATE,          /* id, in parent, name */
    MAKE_FOLDER,     /* id, in parent, name */
    WRITE,           /* id, offset, octets */
    RESIZE,          /* id, length in offset */
    GROW,            /* id, length at least, in offset */
    ZERO,            /* id, offset, length in other */
    RENAME,          /* parent, name, to parent in other, name behind a NUL */
    LINK,            /* id, in parent, name */
    UNLINK,          /* in parent, name */
    SYNC,            /* id */
    SYNC_FAILED,     /* id */
    SYNC_ALL,
    TOLD,    /* octets */
    BEGUN,
    FOREIGN, /* name says what */
};

struct entry {
    uint32_t kind;
    uint32_t id;
    uint32_t parent;
    uint32_t name_octets;
    uint64_t offset;
    uint64_t other;
    uint64_t octets;
};

/* One entry per inode that the folder has ever had; the number of an inode that is gone may come again. */
struct inode {
    ino_t number;
    uint32_t id;
};

#define INODES (1 << 17)
static struct inode inodes[INODES];
static uint32_t next_id = 1;
static dev_t device;
static int journal = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static long long space = -1;
static long long syncs_until_failure = -1;
static const char *freed;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static struct inode *place_of(ino_t number) {
    size_t at = (number * 0x9e3779b97f4a7c15ull) >> 47;
    while (inodes[at].id && inodes[at].number != number) at = (at + 1) % INODES;
    return &inodes[at];
}

static uint32_t id_of(const struct stat *status) {
    return status->st_dev == device ? place_of(status->st_ino)->id : 0;
}

static uint32_t new_id(ino_t number) {
    struct inode *place = place_of(number);
    place->number = number;
    return place->id = next_id++;
}

static ssize_t real_writev(int fd, const struct iovec *vector, int count) {
    REAL(writev);
    return real(fd, vector, count);
}

/* Under `turn`. An entry that is cut short by the end of the process never happened. */
static void record(struct entry entry, const char *name, const void *octets) {
    entry.name_octets = name ? strlen(name) : 0;
    struct iovec vector[3] = {
        {&entry, sizeof entry}, {(void *)name, entry.name_octets}, {(void *)octets, octets ? entry.octets : 0}};
    size_t left = vector[0].iov_len + vector[1].iov_len + vector[2].iov_len;
    int first = 0;
    while (left > 0) {
        ssize_t written = real_writev(journal, vector + first, 3 - first);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) abort();
        left -= written;
        while (first < 3 && (size_t)written >= vector[first].iov_len) written -= vector[first++].iov_len;
        if (first < 3) {
            vector[first].iov_base = (char *)vector[first].iov_base + written;
            vector[first].iov_len -= written;
        }
    }
}

static void record_foreign(const char *what) { record((struct entry){.kind = FOREIGN}, what, NULL); }

/* A path as the folder that it is in and the last name in that. */
struct path {
    uint32_t parent;
    char name[NAME_MAX + 1];
};

static struct path split(int folder, const char *path) {
    struct path split = {0};
    char above[PATH_MAX];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (length == 0 || length >= sizeof above) return split;
    memcpy(above, path, length);
    above[length] = 0;
    char *slash = strrchr(above, '/');
    const char *name = slash ? slash + 1 : above;
    if (strlen(name) > NAME_MAX) return split;
    strcpy(split.name, name);
    if (slash) slash[slash == above] = 0;
    struct stat status;
    if (fstatat(folder, slash ? above : ".", &status, 0) == 0) split.parent = id_of(&status);
    return split;
}

/* The watched file behind a descriptor, 0 where it is none. */
static uint32_t file_of(int fd) {
    struct stat status;
    int error = errno;
    uint32_t id = journal >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? id_of(&status) : 0;
    errno = error;
    return id;
}

static uint32_t in_parent(const struct path *path) { return path->parent; }

static char *octets_of(const char *path, size_t length) {
    REAL(open);
    char *octets = malloc(length + 1);
    int fd = real(path, O_RDONLY | O_CLOEXEC);
    size_t have = 0;
    ssize_t got;
    while (octets && fd >= 0 && have < length && (got = read(fd, octets + have, length - have)) > 0) have += got;
    if (!octets || have < length) abort();
    close(fd);
    return octets;
}

static int record_base(const char *path, const struct stat *status, int flag, struct FTW *place) {
    struct path split_path = place->level ? split(AT_FDCWD, path) : (struct path){0};
    uint32_t id = new_id(status->st_ino);
    struct entry entry = {.kind = BASE_FOLDER, .id = id, .parent = split_path.parent};
    if (flag == FTW_D) {
        record(entry, split_path.name, NULL);
    } else if (flag == FTW_F) {
        char *octets = octets_of(path, status->st_size);
        entry.kind = BASE_FILE;
        entry.octets = status->st_size;
        record(entry, split_path.name, octets);
        free(octets);
    }
    return 0;
}

static long long number_in(const char *variable) {
    const char *value = getenv(variable);
    return value ? atoll(value) : -1;
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("POSTERN_SHIM_FOLDER"), *path = getenv("POSTERN_SHIM_JOURNAL");
    struct stat status;
    if (!folder || !path || stat(folder, &status) != 0) return;
    REAL(open);
    int fd = real(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return; /* A child of the process that is watched. */
    journal = fcntl(fd, F_DUPFD_CLOEXEC, 700);
    close(fd);
    device = status.st_dev;
    space = number_in("POSTERN_SHIM_ENOSPC_AFTER");
    syncs_until_failure = number_in("POSTERN_SHIM_FSYNC_FAILS");
    freed = getenv("POSTERN_SHIM_FREED");
    pthread_mutex_lock(&turn);
    nftw(folder, record_base, 16, FTW_PHYS);
    record((struct entry){.kind = BEGUN}, NULL, NULL);
    pthread_mutex_unlock(&turn);
}

/* Writes */

/* How much of a write there is room for; -1 where there is none. */
static ssize_t room_for(size_t length) {
    if (space < 0 || length == 0) return length;
    if (space == 0 && freed && access(freed, F_OK) == 0) return length;
    if (space == 0) {
        errno = ENOSPC;
        return -1;
    }
    size_t room = length < (unsigned long long)space ? length : (size_t)space;
    space -= room;
    return room;
}

static void record_write(uint32_t id, off_t offset, const void *octets, size_t length) {
    record((struct entry){.kind = WRITE, .id = id, .offset = offset, .octets = length}, NULL, octets);
}

static ssize_t write_at_end_of(int fd, uint32_t id, const void *octets, ssize_t written) {
    /* The position is behind what was written, with O_APPEND too. */
    if (written > 0) record_write(id, lseek(fd, 0, SEEK_CUR) - written, octets, written);
    return written;
}

static int is_told(int fd) { return fd == STDOUT_FILENO && journal >= 0; }

ssize_t write(int fd, const void *octets, size_t length) {
    REAL(write);
    if (is_told(fd)) {
        pthread_mutex_lock(&turn);
        record((struct entry){.kind = TOLD, .octets = length}, NULL, octets);
        ssize_t written = real(fd, octets, length);
        pthread_mutex_unlock(&turn);
        return written;
    }
    uint32_t id = file_of(fd);
    if (!id) return real(fd, octets, length);
    pthread_mutex_lock(&turn);
    ssize_t room = room_for(length);
    ssize_t written = room < 0 ? -1 : write_at_end_of(fd, id, octets, real(fd, octets, room));
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t pwrite(int fd, const void *octets, size_t length, off_t offset) {
    REAL(pwrite);
    uint32_t id = file_of(fd);
    if (!id) return real(fd, octets, length, offset);
    pthread_mutex_lock(&turn);
    ssize_t room = room_for(length);
    ssize_t written = room < 0 ? -1 : real(fd, octets, room, offset);
    if (written > 0) record_write(id, offset, octets, written);
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t pwrite64(int fd, const void *octets, size_t length, off64_t offset) { return pwrite(fd, octets, length, offset); }

/* A vector is written piece by piece, up to the first that is not written whole. */
ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset) {
    REAL(pwritev);
    if (!file_of(fd)) return real(fd, vector, count, offset);
    ssize_t sum = 0;
    for (int at = 0; at < count; at++) {
        ssize_t written = pwrite(fd, vector[at].iov_base, vector[at].iov_len, offset + sum);
        if (written < 0) return sum > 0 ? sum : -1;
        sum += written;
        if ((size_t)written < vector[at].iov_len) break;
    }
    return sum;
}

ssize_t pwritev64(int fd, const struct iovec *vector, int count, off64_t offset) { return pwritev(fd, vector, count, offset); }

ssize_t writev(int fd, const struct iovec *vector, int count) {
    if (!is_told(fd) && !file_of(fd)) return real_writev(fd, vector, count);
    ssize_t sum = 0;
    for (int at = 0; at < count; at++) {
        ssize_t written = write(fd, vector[at].iov_base, vector[at].iov_len);
        if (written < 0) return sum > 0 ? sum : -1;
        sum += written;
        if ((size_t)written < vector[at].iov_len) break;
    }
    return sum;
}

ssize_t pwritev2(int fd, const struct iovec *vector, int count, off_t offset, int flags) {
    REAL(pwritev2);
    if (!file_of(fd)) return real(fd, vector, count, offset, flags);
    return offset == -1 ? writev(fd, vector, count) : pwritev(fd, vector, count, offset);
}

ssize_t pwritev64v2(int fd, const struct iovec *vector, int count, off64_t offset, int flags) {
    return pwritev2(fd, vector, count, offset, flags);
}

/* Copies between descriptors go through the writes above. */
static ssize_t copy(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length) {
    char octets[64 * 1024];
    size_t wanted = length < sizeof octets ? length : sizeof octets;
    ssize_t got = in_offset ? pread(in, octets, wanted, *in_offset) : read(in, octets, wanted);
    if (got <= 0) return got;
    ssize_t written = out_offset ? pwrite(out, octets, got, *out_offset) : write(out, octets, got);
    if (written <= 0) return written;
    if (in_offset) *in_offset += written;
    if (!in_offset && written < got) lseek(in, written - got, SEEK_CUR);
    if (out_offset) *out_offset += written;
    return written;
}

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags) {
    REAL(copy_file_range);
    if (!file_of(out)) return real(in, in_offset, out, out_offset, length, flags);
    return copy(in, in_offset, out, out_offset, length);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t length);
ssize_t sendfile(int out, int in, off_t *offset, size_t length) {
    REAL(sendfile);
    if (!file_of(out)) return real(out, in, offset, length);
    return copy(in, offset, out, NULL, length);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t length);
ssize_t sendfile64(int out, int in, off64_t *offset, size_t length) { return sendfile(out, in, offset, length); }

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    REAL(mmap);
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && file_of(fd)) {
        pthread_mutex_lock(&turn);
        record_foreign("a shared writable mapping");
        pthread_mutex_unlock(&turn);
    }
    return real(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(address, length, protection, flags, fd, offset);
}

/* Lengths */

static int resized(uint32_t id, enum kind kind, off_t length, int result) {
    if (result == 0) record((struct entry){.kind = kind, .id = id, .offset = length}, NULL, NULL);
    return result;
}

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    uint32_t id = file_of(fd);
    if (!id) return real(fd, length);
    pthread_mutex_lock(&turn);
    int result = resized(id, RESIZE, length, real(fd, length));
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int truncate(const char *path, off_t length) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int result = ftruncate(fd, length);
    close(fd);
    return result;
}

int truncate64(const char *path, off64_t length) { return truncate(path, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    REAL(fallocate);
    uint32_t id = file_of(fd);
    if (!id) return real(fd, mode, offset, length);
    pthread_mutex_lock(&turn);
    int result = real(fd, mode, offset, length);
    if (result == 0 && mode == 0) {
        record((struct entry){.kind = GROW, .id = id, .offset = offset + length}, NULL, NULL);
    } else if (result == 0 && mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
        record((struct entry){.kind = ZERO, .id = id, .offset = offset, .other = length}, NULL, NULL);
    } else if (result == 0 && mode != FALLOC_FL_KEEP_SIZE) {
        record_foreign("fallocate with a mode that is not followed");
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }

int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }

int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

/* Names */

static int open_watched(const struct path *split_path, int folder, const char *path, int flags, mode_t mode) {
    REAL(openat);
    struct stat status;
    int was_there = fstatat(folder, path, &status, 0) == 0;
    int fd = real(folder, path, flags, mode);
    if (fd < 0) return fd;
    if ((flags & O_TMPFILE) == O_TMPFILE) record_foreign("a file without a name");
    if (!was_there && fstat(fd, &status) == 0) {
        struct entry entry = {.kind = CREATE, .id = new_id(status.st_ino), .parent = in_parent(split_path)};
        record(entry, split_path->name, NULL);
    } else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY) {
        uint32_t id = file_of(fd);
        if (id) resized(id, RESIZE, 0, 0);
    }
    return fd;
}

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (journal < 0 || !(flags & (O_CREAT | O_TRUNC | __O_TMPFILE))) return real(folder, path, flags, mode);
    pthread_mutex_lock(&turn);
    struct path split_path = split(folder, path);
    int fd = split_path.parent ? open_watched(&split_path, folder, path, flags, mode) : real(folder, path, flags, mode);
    pthread_mutex_unlock(&turn);
    return fd;
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
    }

int openat64(int folder, const char *path, int flags, ...) {
    MODE_OF(flags)
    return openat(folder, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return openat(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return openat(AT_FDCWD, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* What _FORTIFY_SOURCE makes of open without a mode. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags) { return open(path, flags); }
int __openat_2(int folder, const char *path, int flags);
int __openat_2(int folder, const char *path, int flags) { return openat(folder, path, flags); }
int __openat64_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags) { return openat(folder, path, flags); }

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(mkdirat);
    if (journal < 0) return real(folder, path, mode);
    pthread_mutex_lock(&turn);
    struct path split_path = split(folder, path);
    int result = real(folder, path, mode);
    struct stat status;
    if (result == 0 && split_path.parent && fstatat(folder, path, &status, 0) == 0) {
        struct entry entry = {.kind = MAKE_FOLDER, .id = new_id(status.st_ino), .parent = split_path.parent};
        record(entry, split_path.name, NULL);
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    if (journal < 0) return real(folder, path, flags);
    pthread_mutex_lock(&turn);
    struct path split_path = split(folder, path);
    int result = real(folder, path, flags);
    if (result == 0 && split_path.parent) {
        record((struct entry){.kind = UNLINK, .parent = split_path.parent}, split_path.name, NULL);
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
    if (unlink(path) == 0) return 0;
    return errno == EISDIR ? rmdir(path) : -1;
}

static void record_rename(const struct path *from, const struct path *to) {
    if (!from->parent && !to->parent) return;
    if (!from->parent || !to->parent) {
        record_foreign("a name that comes into the folder, or leaves it");
        return;
    }
    struct entry entry = {.kind = RENAME, .parent = from->parent, .other = to->parent, .octets = strlen(to->name)};
    record(entry, from->name, to->name);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    REAL(renameat2);
    if (journal < 0) return real(from_folder, from, to_folder, to, flags);
    pthread_mutex_lock(&turn);
    struct path from_path = split(from_folder, from), to_path = split(to_folder, to);
    int result = real(from_folder, from, to_folder, to, flags);
    if (result == 0 && (flags & ~RENAME_NOREPLACE)) record_foreign("an exchange of names");
    if (result == 0) record_rename(&from_path, &to_path);
    pthread_mutex_unlock(&turn);
    return result;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(linkat);
    if (journal < 0) return real(from_folder, from, to_folder, to, flags);
    pthread_mutex_lock(&turn);
    struct path to_path = split(to_folder, to);
    int result = real(from_folder, from, to_folder, to, flags);
    struct stat status;
    if (result == 0 && to_path.parent && fstatat(to_folder, to, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        uint32_t id = id_of(&status);
        if (id) record((struct entry){.kind = LINK, .id = id, .parent = to_path.parent}, to_path.name, NULL);
        else record_foreign("a link to a file outside the folder");
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlinkat(const char *target, int folder, const char *path) {
    REAL(symlinkat);
    int result = real(target, folder, path);
    if (journal < 0 || result != 0) return result;
    pthread_mutex_lock(&turn);
    if (split(folder, path).parent) record_foreign("a symbolic link");
    pthread_mutex_unlock(&turn);
    return result;
}

int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

/* Durability */

/* Written down before the call returns, so what another thread does because of it comes later. */
static int sync_watched(uint32_t id, int is_file) {
    pthread_mutex_lock(&turn);
    int fails = is_file && syncs_until_failure > 0 && --syncs_until_failure == 0;
    record((struct entry){.kind = fails ? SYNC_FAILED : SYNC, .id = id}, NULL, NULL);
    pthread_mutex_unlock(&turn);
    if (!fails) return 0;
    errno = EIO;
    return -1;
}

int fsync(int fd) {
    REAL(fsync);
    struct stat status;
    uint32_t id = journal >= 0 && fstat(fd, &status) == 0 ? id_of(&status) : 0;
    return id ? sync_watched(id, S_ISREG(status.st_mode)) : real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    struct stat status;
    uint32_t id = journal >= 0 && fstat(fd, &status) == 0 ? id_of(&status) : 0;
    return id ? sync_watched(id, S_ISREG(status.st_mode)) : real(fd);
}

/* Promises nothing: it writes neither lengths nor the disk's cache. */
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
    REAL(sync_file_range);
    return file_of(fd) ? 0 : real(fd, offset, length, flags);
}

int syncfs(int fd) {
    REAL(syncfs);
    if (journal < 0) return real(fd);
    pthread_mutex_lock(&turn);
    record((struct entry){.kind = SYNC_ALL}, NULL, NULL);
    pthread_mutex_unlock(&turn);
    return 0;
}

void sync(void) { syncfs(-1); }
