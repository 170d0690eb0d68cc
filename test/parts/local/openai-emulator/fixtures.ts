/**
 * What the real service was seen to send: objects and messages as captured, word for word. Ids and
 * timestamps are those of the capture; tests compare with `normalised`.
 */

/** LL#37527: the File object of an accepted upload. */
export const FILE_OBJECT = {
  id: 'file-52voFe6FU6MWyAwa1Uj39R',
  bytes: 170,
  created_at: 1787176071,
  filename: 'bad_lines.jsonl',
  object: 'file',
  purpose: 'batch',
  status: 'processed',
  expires_at: 1789768071,
  status_details: null,
};

/** LL#37527: uploading notes.txt with purpose batch, status 400. */
export const NOT_JSONL_BODY = {
  error: {
    message: 'Invalid file format for Batch API. Must be .jsonl',
    type: 'invalid_request_error',
    param: null,
    code: null,
  },
  detail: { message: 'Invalid file format for Batch API. Must be .jsonl', code: null },
};

/** CUR#111: status 400. */
export const TOO_LARGE_ERROR = {
  message: 'File is too large.',
  type: 'invalid_request_error',
  param: null,
  code: null,
};

/** LLS: status 400. */
export const INVALID_ENDPOINT_ERROR = {
  message:
    "Invalid value: '/v1/invalid/endpoint'. Supported values are: '/v1/chat/completions', '/v1/completions', '/v1/embeddings', and '/v1/responses'.",
  type: 'invalid_request_error',
  param: 'endpoint',
  code: 'invalid_value',
};

/** LL#37146: status 400. */
export const MISSING_INPUT_FILE_ERROR = {
  message: "Missing required parameter: 'input_file_id'.",
  type: 'invalid_request_error',
  param: 'input_file_id',
  code: 'missing_required_parameter',
};

/** LLS: status 400. */
export const METADATA_TYPE_ERROR = {
  message: "Invalid type for 'metadata.tags': expected a string, but got an array instead.",
  type: 'invalid_request_error',
  param: 'metadata.tags',
  code: 'invalid_type',
};

/** ORC: status 404. */
export const NO_BATCH_ERROR = {
  message: "No batch found with id 'batch-nonexistent-xyz'",
  type: 'invalid_request_error',
  param: null,
  code: null,
};

/** id 24134645792: status 404. */
export const NO_FILE_ERROR = {
  message: 'No such File object: file-nonexistent',
  type: 'invalid_request_error',
  param: 'id',
  code: null,
};

/** LL#36034, LLS: status 409. */
export const CANNOT_CANCEL_ERROR = {
  message: "Cannot cancel a batch with status 'completed'.",
  type: 'invalid_request_error',
  param: null,
  code: null,
};

/** FLYTE: a batch that failed validation (`model` and `usage` are younger than the capture). */
export const FAILED_BATCH = {
  id: 'batch_JneJt99rNcZZncptC5Ec58hw',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  errors: {
    data: [
      {
        code: 'invalid_json_line',
        line: 1,
        message: 'This line is not parseable as valid JSON.',
        param: null,
      },
      {
        code: 'invalid_json_line',
        line: 10,
        message: 'This line is not parseable as valid JSON.',
        param: null,
      },
    ],
    object: 'list',
  },
  input_file_id: 'file-3QV5EKbuUJjpACw0xPaVH6cV',
  completion_window: '24h',
  status: 'failed',
  output_file_id: null,
  error_file_id: null,
  created_at: 1713779467,
  in_progress_at: null,
  expires_at: 1713865867,
  finalizing_at: null,
  completed_at: null,
  failed_at: 1713779467,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: { completed: 0, failed: 0, total: 0 },
  metadata: null,
};

/** KAAPI #723: a completed batch in which all nine requests failed. */
export const ALL_FAILED_BATCH = {
  id: 'batch_69c3c347282c81908ede48ecc95bf201',
  completion_window: '24h',
  created_at: 1774437191,
  endpoint: '/v1/responses',
  input_file_id: 'file-2qvouj6sKUCGTbu3odouhk',
  object: 'batch',
  status: 'completed',
  cancelled_at: null,
  cancelling_at: null,
  completed_at: 1774437324,
  error_file_id: 'file-QzTKe9srv1bbmpX5MwCTZx',
  errors: null,
  expired_at: null,
  expires_at: 1774523591,
  failed_at: null,
  finalizing_at: 1774437322,
  in_progress_at: 1774437194,
  metadata: { description: 'Evaluation: test_run_new_1' },
  model: 'gpt-5.4-pro-2026-03-05',
  output_file_id: null,
  request_counts: { completed: 0, failed: 9, total: 9 },
  usage: {
    input_tokens: 0,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 0,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 0,
  },
};

/** LLS: four bad lines, four errors. */
export const MISSING_FIELDS_ERRORS = ['custom_id', 'method', 'url', 'body'].map((param, index) => ({
  code: 'missing_required_parameter',
  line: index + 1,
  message: `Missing required parameter: '${param}'.`,
  param,
}));

/** LLS, ORC, Azure: each with the line (from custom_id `x` and a good body) that provokes it. */
export const LINE_ERRORS = {
  streaming_unsupported: {
    code: 'streaming_unsupported',
    line: 2,
    message: 'Chat Completions: Streaming is not supported in the Batch API.',
    param: 'body.stream',
  },
  invalid_url: {
    code: 'invalid_url',
    line: 2,
    message: 'The URL provided for this request does not match the batch endpoint.',
    param: 'url',
  },
  model_not_found: {
    code: 'model_not_found',
    line: 2,
    message: "The provided model 'nonexistent-model-xyz' is not supported by the Batch API.",
    param: 'body.model',
  },
  model_required: {
    code: 'invalid_request',
    line: 2,
    message: 'Model parameter is required.',
    param: 'body.model',
  },
  messages_required: {
    code: 'invalid_request',
    line: 2,
    message: 'Messages parameter is required.',
    param: 'body.messages',
  },
  duplicate_custom_id: {
    code: 'duplicate_custom_id',
    line: 2,
    message: 'The custom ID for this request is a duplicate of the custom ID in another request.',
    param: 'custom_id',
  },
  invalid_json_line: {
    code: 'invalid_json_line',
    line: 2,
    message: 'This line is not parseable as valid JSON.',
    param: null,
  },
} as const;

/** LLS: `...` stands for the file and for the organization. */
export const CANNOT_FIND_FILE =
  /^Cannot find file file-nonexistent-xyz, or organization org-\w+ does not have access to it\.$/;

/** openai-python#2084, id 70871093888; the limit is of id 70871093888. */
export const TOKEN_LIMIT_MESSAGE =
  /^Enqueued token limit reached for gpt-6-luna in organization org-\w+\. Limit: 2,000,000 enqueued tokens\. Please try again once some in_progress batches have been completed\.$/;

/** GUIDE: a line that was not run before the window closed. */
export const EXPIRED_LINE_ERROR = {
  code: 'batch_expired',
  message: 'This request could not be executed before the completion window expired.',
};

/** ORC, id 56949752034: a line that was not run because of a cancel. */
export const CANCELLED_LINE_ERROR = {
  code: 'batch_cancelled',
  message: 'This request was not executed because the batch was cancelled.',
};

/** tidyverse/ellmer#830: a zombie line's response. */
export const ZOMBIE_RESPONSE = { status_code: 0, request_id: '', body: {} };

/** openai-openapi#302: the error of a line that was refused, top-level `error` null. */
export const LINE_ERROR_KEYS = ['message', 'type', 'param', 'code'];

/** GUIDE: the keys of an output line, and of its response. */
export const OUTPUT_LINE_KEYS = {
  line: ['id', 'custom_id', 'response', 'error'],
  response: ['status_code', 'request_id', 'body'],
};

/** Beginnings of messages in error lines: id 56949752034, kaapi#757 (twice), FORUM t/1385608. */
export const LINE_STATUS_MESSAGES: Readonly<Record<number, string>> = {
  429: 'You exceeded your current quota',
  500: 'An error occurred while processing your request',
  503: 'An error occurred while processing your request',
  504: 'Timed out generating response',
};

/** Section 7.1: flex without capacity, status 429. */
export const RESOURCE_UNAVAILABLE_ERROR = {
  message: 'Resource Unavailable',
  type: 'resource_unavailable',
  param: null,
  code: 'resource_unavailable',
};

/** Section 2.4: the keys of a page. */
export const PAGE_KEYS = ['object', 'data', 'first_id', 'last_id', 'has_more'];
