/* Samplers: the names that people and other programs use for them. */
#include "diffusion/sampler_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FOLDED_SIZE 64

/* Folded (lower case, letters and digits only, '+' as 'p', no leading "k") → canonical. The
 * canonical names themselves fold to an entry as well. */
static const struct {
	const char *folded, *name;
} aliases[] = {
    {"eulera", "euler_a"},
    {"eulerancestral", "euler_a"},
    {"euler", "euler"},
    {"heun", "heun"},
    {"dpmpp2m", "dpmpp_2m"},
    {"dpmpp", "dpmpp_2m"},
    {"dpmsolverpp", "dpmpp_2m"},
    {"dpmsolvermultistep", "dpmpp_2m"},
    {"dpmpp2msde", "dpmpp_2m_sde"},
    {"dpmpp2msdegpu", "dpmpp_2m_sde"},
    {"dpm2", "dpm2"},
    {"dpmsolver2", "dpm2"},
    {"dpm2discrete", "dpm2"},
    {"dpm2a", "dpm2_a"},
    {"dpm2ancestraldiscrete", "dpm2_a"},
    {"dpm2ancestral", "dpm2_a"},
    {"lms", "lms"},
    {"lmsdiscrete", "lms"},
    {"deis", "deis"},
    {"deismultistep", "deis"},
    {"dpmpp2s", "dpmpp_2s"},
    {"dpmsolversinglestep", "dpmpp_2s"},
    {"dpmpp2ssde", "dpmpp_2s_sde"},
    {"unipc", "unipc"},
    {"unipcbh2", "unipc"},
    {"ddim", "ddim"},
    {"pndm", "pndm"},
    {"plms", "pndm"},
    {"ddpm", "ddpm"},
    {"lcm", "lcm"},
    {"tcd", "tcd"},
};

static const struct {
	const char *name, *folded;
	enum schedule_sigmas sigmas;
} schedules[] = {
    {"default", "default", SIGMAS_DEFAULT},
    {"normal", "normal", SIGMAS_NORMAL},
    {"karras", "karras", SIGMAS_KARRAS},
    {"exponential", "exponential", SIGMAS_EXPONENTIAL},
    {"sgm_uniform", "sgmuniform", SIGMAS_SGM_UNIFORM},
    {"simple", "simple", SIGMAS_SIMPLE},
    {"beta", "beta", SIGMAS_BETA},
    {"lu", "lu", SIGMAS_LU},
    {"ays", "ays", SIGMAS_AYS},
    {"ays_a1111", "aysa1111", SIGMAS_AYS_A1111},
};
#define SCHEDULE_COUNT ((int)(sizeof schedules / sizeof *schedules))

/* What other programs call some of them, folded. */
static const struct {
	const char *folded;
	enum schedule_sigmas sigmas;
} others[] = {
    {"automatic", SIGMAS_DEFAULT}, /* A1111 */
    {"uniform", SIGMAS_NORMAL},	   /* A1111 */
    {"discrete", SIGMAS_NORMAL},   /* stable-diffusion.cpp */
    {"alignyoursteps", SIGMAS_AYS_A1111}, /* A1111 */
    {"native", SIGMAS_NORMAL},	   /* NovelAI */
};
#define OTHER_COUNT ((int)(sizeof others / sizeof *others))

/* false when text does not fit, so that it cannot be a name. */
static bool fold(const char *text, char out[FOLDED_SIZE])
{
	size_t n = 0;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '+')
			c = 'p';
		if (!isalnum(c))
			continue;
		if (n + 1 >= FOLDED_SIZE)
			return false;
		out[n++] = (char)tolower(c);
	}
	out[n] = '\0';
	return true;
}

static const char *find_alias(const char *folded)
{
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
			if (strcmp(aliases[i].folded, folded) == 0)
				return aliases[i].name;
		if (*folded++ != 'k')
			return NULL;
	}
	return NULL;
}

static int refuse(const char *what, const char *text, const char *(*name_at)(int),
		  struct error *err)
{
	char list[256] = "";
	for (int i = 0; name_at(i); i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", name_at(i));
	}
	return error_set(err, SUMI_INVALID, "unknown %s '%.60s': use one of %s", what, text, list);
}

int sampler_parse_name(const char *text, const char **name, enum schedule_sigmas *sigmas,
		       struct error *err)
{
	char folded[FOLDED_SIZE];
	if (!fold(text, folded))
		return refuse("sampler", text, sampler_name_at, err);
	const char *found = find_alias(folded);
	if (found) {
		*name = found;
		return SUMI_OK;
	}
	size_t size = strlen(folded);
	for (int i = 0; i < SCHEDULE_COUNT + OTHER_COUNT; i++) {
		bool own = i < SCHEDULE_COUNT;
		const char *word = own ? schedules[i].folded : others[i - SCHEDULE_COUNT].folded;
		size_t tail = strlen(word);
		if (size <= tail || strcmp(folded + size - tail, word) != 0)
			continue;
		folded[size - tail] = '\0';
		found = find_alias(folded);
		if (!found)
			break;
		*name = found;
		*sigmas = own ? schedules[i].sigmas : others[i - SCHEDULE_COUNT].sigmas;
		return SUMI_OK;
	}
	return refuse("sampler", text, sampler_name_at, err);
}

const char *sampler_sigmas_name_at(int index)
{
	return index >= 0 && index < SCHEDULE_COUNT ? schedules[index].name : NULL;
}

const char *sampler_sigmas_name(enum schedule_sigmas sigmas)
{
	for (int i = 0; i < SCHEDULE_COUNT; i++)
		if (schedules[i].sigmas == sigmas)
			return schedules[i].name;
	return "default";
}

int sampler_parse_sigmas(const char *text, enum schedule_sigmas *sigmas, struct error *err)
{
	char folded[FOLDED_SIZE];
	bool fits = fold(text, folded);
	for (int i = 0; fits && i < OTHER_COUNT; i++)
		if (strcmp(folded, others[i].folded) == 0) {
			*sigmas = others[i].sigmas;
			return SUMI_OK;
		}
	for (int i = 0; fits && i < SCHEDULE_COUNT; i++) {
		if (strcmp(schedules[i].folded, folded) == 0) {
			*sigmas = schedules[i].sigmas;
			return SUMI_OK;
		}
	}
	return refuse("schedule", text, sampler_sigmas_name_at, err);
}
