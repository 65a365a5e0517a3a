/* A1111's text: what is read, written and read again has the same fields. */
#include <stdlib.h>
#include <string.h>

#include "media/infotext.h"
#include "modalities/control_units.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct infotext first = {0}, second = {0};
	char *text = NULL;
	int status = infotext_parse((const char *)data, size, &first, &err);
	fuzz_outcome(status, &err);
	if (status)
		return 0;
	for (size_t i = 0; i < first.count; i++) {
		char value[512];
		json_t *control = control_unit_read(first.fields[i].value);
		if (control)
			control_unit_write(control, "", 64, 64, value, sizeof value);
		json_decref(control);
	}
	status = infotext_write(&first, &text, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		status = infotext_parse(text, strlen(text), &second, &err);
		fuzz_outcome(status, &err);
		if (!status)
			infotext_free(&second);
	}
	free(text);
	infotext_free(&first);
	return 0;
}
