/* The first lines of functions that take a format as printf() does. */
#ifndef SUMI_BASE_FORMATTED_H
#define SUMI_BASE_FORMATTED_H

#include <stdarg.h>
#include <stdio.h>

/* A variable of that name and size in bytes, with what the function's last named parameter and the
 * arguments behind it say; cut where it is longer. */
#define FORMATTED(name, size, format)                                                              \
	char name[size];                                                                           \
	do {                                                                                       \
		va_list formatted_arguments;                                                       \
		va_start(formatted_arguments, format);                                             \
		vsnprintf(name, sizeof name, format, formatted_arguments);                         \
		va_end(formatted_arguments);                                                       \
	} while (0)

#endif
