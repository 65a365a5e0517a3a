/* What a check, a rebuild or a backup tells while it goes on. */
#include "base/formatted.h"
#include "storage/internal.h"

void store_say(struct store_report *report, bool problem, const char *format, ...)
{
	FORMATTED(text, FILES_PATH_MAX + 512, format);
	if (!report)
		return;
	report->problems += problem;
	if (report->line)
		report->line(report->context, text);
}
