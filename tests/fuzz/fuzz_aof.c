/* The append-only file of a Redis server that a power cut ended: manifest and last file. */
#include "queue/aof.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part rest = {data, size};
	struct fuzz_part manifest = fuzz_next(&rest);
	struct error err = {0};
	int64_t cut = 0, again = 0;
	fuzz_file("appendonlydir/appendonly.aof.manifest", manifest.data, manifest.size);
	fuzz_file("appendonlydir/appendonly.aof.1.incr.aof", rest.data, rest.size);
	int status = aof_mend(fuzz_folder(), &cut, &err);
	fuzz_outcome(status, &err);
	fuzz_require(cut >= 0 && (uint64_t)cut <= rest.size, "no more is cut than there is");
	if (!status) {
		fuzz_outcome(aof_mend(fuzz_folder(), &again, &err), &err);
		fuzz_require(again == 0, "what was mended needs no mending");
	}
	return 0;
}
