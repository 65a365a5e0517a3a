/* Files and folders: whole-file reads with a bound, durable writes, the places
 * where sumi keeps things. */
#ifndef SUMI_BASE_FILES_H
#define SUMI_BASE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define FILES_PATH_MAX 4096

/* Reads a whole file of at most limit bytes into a new buffer with a NUL behind
 * it; the caller frees *data. size may be NULL. SUMI_TOOBIG past the limit. */
int files_read(const char *path, size_t limit, char **data, size_t *size, struct error *err);

/* Opens a file that somebody else put there, such as a pack's: SUMI_INVALID, at once, for a pipe,
 * a device, a socket or a folder. The caller closes *fd, which is -1 on failure. */
int files_open_regular(const char *path, int *fd, struct error *err);

/* files_read() of what files_open_regular() accepts. */
int files_read_regular(const char *path, size_t limit, char **data, size_t *size,
		       struct error *err);

/* The same for what is trusted without a further look, such as compiled programs: only a plain file
 * (no link to one) that belongs to this user or root and that nobody else may write; SUMI_PERM for
 * any other. */
int files_read_own(const char *path, size_t limit, char **data, size_t *size, struct error *err);

/* Writes path so that it is there whole or not at all, also after a power cut:
 * temp file beside it, fsync, rename, fsync of the folder. Into a device or a pipe it is
 * written as it is. */
int files_write_durable(const char *path, const void *data, size_t size, struct error *err);

/* The same for what files_read_own() shall read: nobody else may write it, and what stands there and
 * is no plain file is replaced. */
int files_write_own(const char *path, const void *data, size_t size, struct error *err);

/* Copies a regular file to a new one of the same mode, without syncing it; what is appended
 * meanwhile may be left out. SUMI_NOTFOUND where there is none. */
int files_copy(const char *from, const char *to, struct error *err);

/* The same with every file and folder in a folder, to a folder that is made. Sockets, pipes and links
 * are left out. */
int files_copy_tree(const char *from, const char *to, struct error *err);

/* Removes a folder with all that is in it, as far as that can be done. */
void files_remove_tree(const char *path);

/* All of it, however often the system stops in between. -1 with errno. */
int files_write_all(int fd, const void *data, size_t size);

/* fsyncs the folder that holds path. */
int files_sync_parent(const char *path, struct error *err);

/* mkdir -p with mode for the folders it makes. */
int files_make_dirs(const char *path, unsigned mode, struct error *err);

/* snprintf into a path buffer; SUMI_TOOBIG when it does not fit. */
int files_path(char out[FILES_PATH_MAX], struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts the working folder before a path that does not begin with /. */
int files_make_absolute(char path[FILES_PATH_MAX], struct error *err);

/* Free bytes for this user on the file system of path; -1 when unknown. */
int64_t files_free_space(const char *path);

/* Where things are. Order: the environment's own variable (SUMI_STATE_DIR,
 * SUMI_CACHE_DIR), systemd's (STATE_DIRECTORY, CACHE_DIRECTORY), the XDG folder
 * with /sumi, or $HOME/.local/state/sumi and $HOME/.cache/sumi. The folder is not made. */
int files_state_dir(char out[FILES_PATH_MAX], struct error *err);
int files_cache_dir(char out[FILES_PATH_MAX], struct error *err);

/* From now on files_cache_dir() says `to` in this process where it would say `from` ("": that there
 * is none). */
int files_cache_redirect(const char *from, const char *to, struct error *err);

#endif
