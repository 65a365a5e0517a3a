/* Samplers: the table. */
#include "diffusion/sampler_internal.h"

#include <string.h>

static const struct sampler_ops *const table[] = {
    &sampler_euler_a,      &sampler_euler, &sampler_heun, &sampler_dpmpp_2m,
    &sampler_dpmpp_2m_sde, &sampler_unipc, &sampler_ddim, &sampler_pndm,
    &sampler_ddpm,         &sampler_lcm,   &sampler_tcd,  &sampler_dpm2,
    &sampler_dpm2_a,       &sampler_lms,   &sampler_deis, &sampler_dpmpp_2s,
    &sampler_dpmpp_2s_sde,
};
#define TABLE_SIZE ((int)(sizeof table / sizeof *table))

const char *sampler_name_at(int index)
{
	return index >= 0 && index < TABLE_SIZE ? table[index]->name : NULL;
}

const struct sampler_ops *sampler_find(const char *name)
{
	for (int i = 0; i < TABLE_SIZE; i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}
