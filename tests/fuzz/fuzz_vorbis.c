/* Ogg Vorbis: samples and comments. */
#include "media/metadata_ogg.h"
#include "media/vorbis.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct metadata m = {0};
	struct sound sound = {0};
	int status = vorbis_decode(data, size, "x.vorbis", &sound, &err);
	fuzz_outcome(status, &err);
	if (!status)
		sound_free(&sound);
	fuzz_outcome(ogg_read_metadata(data, size, "x.vorbis", &m, &err), &err);
	metadata_free(&m);
	return 0;
}
