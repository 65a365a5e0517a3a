/* Prompt-travel files of other programs, as stories. */
#ifndef SUMI_REQUEST_STORY_TRAVEL_H
#define SUMI_REQUEST_STORY_TRAVEL_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

/* story_read(), also of files that are
 *     AnimateDiff's configs          {"prompt": ["…", …], "seed": […], "n_prompt": […], …}
 *     animatediff-cli-prompt-travel's {"prompt_map": {"0": "…", "32": "…"}, "head_prompt": …, "seed": […], …}
 *     schedules of FizzNodes         "0": "…", "32": "…"      (with or without {})
 *     for the extension of A1111     a line for each, 0: …, with words for all before and behind
 * Of these there are "notes" beside what it gives: what of the file was left out. */
int story_read_any(const char *text, size_t size, const char *name, json_t **out, struct error *err);

#endif
