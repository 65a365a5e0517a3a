/* A handler of SIGBUS over a fixed table, since it may run at any instruction of any thread. */
#include "weights/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPPINGS = 256 };

static struct mapping {
	_Atomic uintptr_t begin; /* 0: free */
	_Atomic size_t size;
	_Atomic bool damaged;
	const char *path;
} mappings[MAPPINGS];

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static uintptr_t page;

static struct mapping *mapping_at(uintptr_t address)
{
	for (int i = 0; i < MAPPINGS; i++) {
		uintptr_t begin = atomic_load(&mappings[i].begin);
		if (begin && address >= begin && address - begin < atomic_load(&mappings[i].size))
			return &mappings[i];
	}
	return NULL;
}

/* From the faulting page to the end: a file that was cut has lost all of that. */
static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	int saved = errno;
	uintptr_t at = (uintptr_t)info->si_addr / page * page;
	struct mapping *m = mapping_at((uintptr_t)info->si_addr);
	size_t size = m ? atomic_load(&m->begin) + atomic_load(&m->size) - at : 0;
	if (m && mmap((void *)at, size, PROT_READ | PROT_WRITE,
		      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
		atomic_store(&m->damaged, true);
	else
		sigaction(SIGBUS, &before, NULL); /* the instruction is tried again, and fails */
	errno = saved;
}

/* LLVM, under most OpenCL drivers, puts handlers of its own in front when it first compiles. They pass a fault on, but
 * only one: they are gone with the first (SA_RESETHAND), and a second thread that faults before ours is back ends the
 * process. So ours is put in front again and again. */
static void take_signal(void)
{
	struct sigaction now, action = {.sa_sigaction = on_bus_error,
					.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	sigemptyset(&action.sa_mask);
	page = (uintptr_t)sysconf(_SC_PAGESIZE);
	if (!sigaction(SIGBUS, NULL, &now) && now.sa_sigaction != on_bus_error) {
		before = now;
		sigaction(SIGBUS, &action, NULL);
	}
}

void guard_install(void)
{
	pthread_mutex_lock(&changing);
	take_signal();
	pthread_mutex_unlock(&changing);
}

void guard_add(void *map, size_t size, const char *path)
{
	pthread_mutex_lock(&changing);
	for (int i = 0; i < MAPPINGS; i++) {
		struct mapping *m = &mappings[i];
		if (atomic_load(&m->begin))
			continue;
		m->path = path;
		atomic_store(&m->damaged, false);
		atomic_store(&m->size, size);
		atomic_store(&m->begin, (uintptr_t)map);
		break;
	}
	pthread_mutex_unlock(&changing);
}

void guard_remove(const void *map)
{
	pthread_mutex_lock(&changing);
	for (int i = 0; map && i < MAPPINGS; i++)
		if (atomic_load(&mappings[i].begin) == (uintptr_t)map)
			atomic_store(&mappings[i].begin, 0);
	pthread_mutex_unlock(&changing);
}

int guard_check(struct error *err)
{
	int status = SUMI_OK;
	pthread_mutex_lock(&changing);
	take_signal();
	for (int i = 0; i < MAPPINGS && !status; i++)
		if (atomic_load(&mappings[i].begin) && atomic_load(&mappings[i].damaged))
			status =
			    error_set(err, SUMI_IO, "weights file %s was changed while it was read",
				      mappings[i].path);
	pthread_mutex_unlock(&changing);
	return status;
}
