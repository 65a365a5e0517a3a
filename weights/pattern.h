/* The regular expressions by which PEFT's configs name modules, as Python reads them: characters and classes of them,
 * groups, alternatives, repetitions, anchors. */
#ifndef SUMI_WEIGHTS_PATTERN_H
#define SUMI_WEIGHTS_PATTERN_H

enum { PATTERN_NAME_MAX = 256 };

/* Whether a name, or what stands behind one of its dots, is what the pattern says from end to end: 1 or 0. -1: the
 * pattern is none that is read, or the name has PATTERN_NAME_MAX bytes or more. What it costs is taken from *work;
 * -1 where that is used up. */
int pattern_ends(const char *pattern, const char *name, long *work);

#endif
