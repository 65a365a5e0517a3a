/* Deep-feature reuse (DeepCache, arXiv:2312.00858): the lower part of a UNet changes little from
 * one step to the next, so that only every few evaluations run all of it; those between run its
 * uppermost layers with what the last whole one computed below. Which evaluations are whole
 * depends on nothing but their number. */
#ifndef SUMI_DIFFUSION_DEEP_CACHE_H
#define SUMI_DIFFUSION_DEEP_CACHE_H

#include "diffusion/session.h"

/* *session, a plain one whose plan has a level, becomes one where only every so many evaluations
 * (2 or more) are whole. After a failure it is as it was. */
int deep_cache_wrap(struct session **session, int every, struct error *err);

#endif
