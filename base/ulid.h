/* ULIDs: 26 Crockford base-32 characters, 48 bits of milliseconds and 80 random
 * bits (github.com/ulid/spec). Ids made later sort later, also within one
 * millisecond of one process. */
#ifndef SUMI_BASE_ULID_H
#define SUMI_BASE_ULID_H

#define ULID_SIZE 27

void ulid_new(char out[ULID_SIZE]);

#endif
