/* The handlers that routes.c names. */
#ifndef SUMI_GATEWAY_HANDLERS_H
#define SUMI_GATEWAY_HANDLERS_H

#include "gateway/call.h"

call_handler jobs_send, jobs_show, jobs_cancel, jobs_retry;
call_handler jobs_list, jobs_search;
call_handler files_send;
call_handler events_open;
call_handler queue_show, queue_stop, queue_go_on;
call_handler models_list;
call_handler openai_generate, openai_models, openai_model;
call_handler health_live, health_ready;

#endif
