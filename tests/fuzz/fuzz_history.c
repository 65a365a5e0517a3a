/* Lines of the history, entered into an empty database. */
#include "storage/internal.h"
#include "tests/fuzz/fuzz.h"

static struct store *store;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct store_options options = {
	    .dir = fuzz_folder(), .mode = STORE_WRITE, .reserve = -1, .ballast = -1};
	(void)argc, (void)argv;
	return store_open(&options, &store, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	fuzz_file("history/2026-01.jsonl", data, size);
	fuzz_outcome(store_history_replay(store, NULL, &err), &err);
	fuzz_outcome(db_exec(store, "DELETE FROM jobs", &err), &err);
	return 0;
}
