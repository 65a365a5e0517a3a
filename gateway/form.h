/* A request that is a form with files. */
#ifndef SUMI_GATEWAY_FORM_H
#define SUMI_GATEWAY_FORM_H

#include "gateway/call.h"
#include "gateway/multipart.h"

/* The form that the request's body is, and what it says beside its files as a JSON object: numbers, true and false as such,
 * the rest as texts. False: it has been refused. The caller frees *form and releases *body. */
bool form_read(struct call *call, struct multipart **form, json_t **body);

#endif
