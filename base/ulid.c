/* ULID generation. */
#include "base/ulid.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t last_ms;
static unsigned char last_random[10];
static pid_t last_pid;

static void increment(unsigned char *bytes, int n)
{
	while (n-- > 0 && ++bytes[n] == 0)
		;
}

void ulid_new(char out[ULID_SIZE])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	unsigned char raw[16];
	pthread_mutex_lock(&lock);
	int64_t now = clock_wall_ms();
	if (now <= last_ms && last_pid == getpid()) {
		now = last_ms;
		increment(last_random, sizeof last_random);
	} else if (getentropy(last_random, sizeof last_random) != 0) {
		/* Without the kernel's entropy a time-based value still keeps ids of one host
		 * apart. */
		uint64_t fallback = (uint64_t)clock_mono_us() * 2654435761u ^ (uint64_t)getpid()
										  << 40;
		memcpy(last_random, &fallback, sizeof fallback);
	}
	last_ms = now;
	last_pid = getpid();
	for (int i = 0; i < 6; i++)
		raw[i] = (unsigned char)(now >> (40 - 8 * i));
	memcpy(raw + 6, last_random, sizeof last_random);
	pthread_mutex_unlock(&lock);
	/* 128 bits in 26 digits of 5: the first digit carries 3. */
	for (int i = 0; i < 26; i++) {
		int bit = i * 5 - 2, value = 0;
		for (int k = 0; k < 5; k++) {
			int b = bit + k;
			value = value << 1 | (b < 0 ? 0 : raw[b >> 3] >> (7 - (b & 7)) & 1);
		}
		out[i] = digits[value];
	}
	out[26] = '\0';
}
