/* Lines of the history, entered into an empty database. */
#include "storage/internal.h"
#include "tests/fuzz/fuzz.h"

static struct store *store;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct store_options options = {
	    .dir = fuzz_folder(), .mode = STORE_WRITE, .reserve = -1, .ballast = -1};
	(void)argc, (void)argv;
	/* Nobody else is here, and nothing has to last. */
	return store_open(&options, &store, NULL) ||
	       db_exec(store, "PRAGMA locking_mode = EXCLUSIVE", NULL) ||
	       db_exec(store, "PRAGMA synchronous = OFF", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	int before = sqlite3_total_changes(store->db);
	fuzz_file("history/2026-01.jsonl", data, size);
	fuzz_outcome(store_history_replay(store, NULL, &err), &err);
	if (sqlite3_total_changes(store->db) != before)
		fuzz_outcome(db_exec(store, "DELETE FROM jobs", &err), &err);
	return 0;
}
