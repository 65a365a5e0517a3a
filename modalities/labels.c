#include "modalities/labels.h"

#include <stddef.h>
#include <string.h>

struct label {
	const char *name, *label;
};

static const struct label samplers[] = {
    {"euler_a", "Euler a"},   {"euler", "Euler"},
    {"lms", "LMS"},           {"heun", "Heun"},
    {"dpm2", "DPM2"},         {"dpm2_a", "DPM2 a"},
    {"dpmpp_2m", "DPM++ 2M"}, {"dpmpp_2m_sde", "DPM++ 2M SDE"},
    {"dpmpp_2s", "DPM++ 2S"}, {"dpmpp_2s_sde", "DPM++ 2S SDE"},
    {"ddim", "DDIM"},         {"pndm", "PLMS"},
    {"unipc", "UniPC"},       {"lcm", "LCM"},
    {"tcd", "TCD"},           {"deis", "DEIS"},
    {"ddpm", "DDPM"},         {NULL, NULL}};
enum { SAMPLERS = sizeof samplers / sizeof samplers[0] };

static const struct label schedules[] = {
    {"normal", "Normal"}, {"karras", "Karras"},           {"exponential", "Exponential"},
    {"beta", "Beta"},     {"sgm_uniform", "SGM Uniform"}, {"simple", "Simple"},
    {"ays_a1111", "Align Your Steps"}, {NULL, NULL}};

static const char *label(const struct label *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table->label;
	return name;
}

const char *label_of_sampler(const char *name)
{
	return label(samplers, name);
}

const char *label_of_schedule(const char *name)
{
	return label(schedules, name);
}

const char *label_sampler_at(int index)
{
	return index >= 0 && index < SAMPLERS ? samplers[index].label : NULL;
}
