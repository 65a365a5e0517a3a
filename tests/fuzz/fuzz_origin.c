/* What another program wrote into a file: the first byte says where it stands, what follows is the text;
 * a second text, an infotext, may stand behind FUZZ_CUT. */
#include <stdlib.h>
#include <string.h>

#include "media/origin.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		enum text_place place;
		const char *key;
	} places[] = {{TEXT_PNG, "prompt"},	 {TEXT_PNG, "parameters"},  {TEXT_EXIF, "UserComment"},
		      {TEXT_HIDDEN, ""},	 {TEXT_PNG, "Dream"},	    {TEXT_PNG, "sd-metadata"},
		      {TEXT_EXIF, "Make"},	 {TEXT_PNG, "Comment"},	    {TEXT_PLAIN, ""},
		      {TEXT_XMP, "exif:UserComment"}, {TEXT_PNG, "invokeai_metadata"}};
	struct error err = {0};
	struct file_texts texts = {0};
	struct origin origin;
	if (size == 0)
		return 0;
	struct fuzz_part rest = {data + 1, size - 1}, text = fuzz_next(&rest);
	size_t at = data[0] % (sizeof places / sizeof places[0]);
	fuzz_outcome(texts_add_any(&texts, places[at].place, places[at].key,
				   (const char *)text.data, text.size, &err),
		     &err);
	fuzz_outcome(texts_add_any(&texts, TEXT_COMMENT, "", (const char *)rest.data, rest.size, &err),
		     &err);
	int status = origin_read(&texts, &origin, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		fuzz_require(origin.program || !origin.graph, "a graph has a program");
		origin_clear(&origin);
	}
	texts_free(&texts);
	return 0;
}
