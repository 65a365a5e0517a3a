/* How files of tensors are called. What they hold is told from their bytes, never from this. */
#ifndef SUMI_BASE_MODEL_FILE_H
#define SUMI_BASE_MODEL_FILE_H

/* The ending of such a file's name, within name and with its dot, in any letter case; NULL where it has
 * none of them. */
const char *model_file_ending(const char *name);

#endif
