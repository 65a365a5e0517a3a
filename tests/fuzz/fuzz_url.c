/* The address of a Redis server. */
#include <stdlib.h>

#include "queue/queue.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text((struct fuzz_part){data, size});
	struct error err = {0};
	fuzz_outcome(queue_url_check(text, &err), &err);
	free(text);
	return 0;
}
