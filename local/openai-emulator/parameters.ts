const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/).filter(Boolean));

/** Parameters of every endpoint that makes text from a prompt. */
const OF_CHAT = `messages model audio frequency_penalty function_call functions logit_bias logprobs
  max_completion_tokens max_tokens metadata modalities moderation n parallel_tool_calls prediction presence_penalty
  prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed
  service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
  web_search_options`;

const OF_RESPONSES = `access_programs background background_options context_management conversation image include input
  instructions max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt
  prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream
  stream_options temperature text tool_choice tools top_logprobs top_p truncation user`;

const OF_COMPLETIONS = `model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed
  stop stream stream_options suffix temperature top_p user`;

/** The parameters that each endpoint knows (openai 7.55.0 `resources`; `background_options` is of 7.58). */
export const PARAMETERS: Readonly<Record<string, ReadonlySet<string>>> = {
  '/v1/chat/completions': words(OF_CHAT),
  '/v1/responses': words(OF_RESPONSES),
  '/v1/completions': words(OF_COMPLETIONS),
  '/v1/embeddings': words('input model dimensions encoding_format user'),
  '/v1/moderations': words('input model'),
};
