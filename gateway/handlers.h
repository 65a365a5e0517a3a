/* The handlers that routes.c names. */
#ifndef SUMI_GATEWAY_HANDLERS_H
#define SUMI_GATEWAY_HANDLERS_H

#include "gateway/call.h"

call_handler jobs_send, jobs_show, jobs_cancel, jobs_retry;
call_handler jobs_change, jobs_delete;
call_handler jobs_list, jobs_search;
call_handler files_send, files_send_thumb;
call_handler events_open;
call_handler queue_show, queue_stop, queue_go_on;
call_handler models_list;
call_handler mood_play;
call_handler openai_edit, openai_vary;
call_handler openai_generate, openai_models, openai_model;
call_handler a1111_text, a1111_image, a1111_options, a1111_set_options, a1111_models, a1111_samplers,
    a1111_schedulers, a1111_progress, a1111_interrupt, a1111_skip, a1111_read, a1111_memory, a1111_flags,
    a1111_upscalers, a1111_vaes, a1111_scripts, a1111_embeddings, a1111_nothing, a1111_done, a1111_loras, a1111_styles,
    a1111_latent_upscalers, a1111_script_info;
call_handler controlnet_models, controlnet_module_list, controlnet_types, controlnet_version, controlnet_settings,
    controlnet_detect;
call_handler music_compose, music_sound, music_speech;
call_handler ollama_generate, ollama_version, ollama_tags;
call_handler mcp_serve;
call_handler videos_create, videos_show, videos_content, videos_delete;
call_handler metrics_show, openapi_show;
call_handler page_show, page_file, page_login, page_logout;
call_handler health_live, health_ready;

#endif
