/**
 * Past calls, as lines of JSON. Three forms are read, and may be mixed:
 *
 * - pairs, as many applications log them: `{"time": "2026-10-01T12:00:00Z", "url": "/v1/responses", "request": {…},
 *   "response": {…}}`. `time` is ISO 8601 or epoch seconds, and may be left out where the response has `created` or
 *   `created_at`; so may `url` where the response's `object` implies it. `project` and `tags` are for rules.
 * - lines of a batch's output file, as `output/` has them.
 * - buckets of OpenAI's usage API (`GET /v1/organization/usage/completions` and `/embeddings`, grouped at least by
 *   model; group by service_tier and batch as well, or all counts as standard), one a line, or pages of them under
 *   `data`.
 */

import type { PricedTier } from '../../contract/rates.ts';
import type { Calls, ReadCalls } from '../../core/audit/calls.ts';
import type { TokenUsage } from '../../core/model/usage.ts';
import { toolUseOf } from './tool-use.ts';
import { usageOf } from './usage.ts';
import { classify } from './verdict.ts';

type Fields = Record<string, unknown>;

/** @param line without its line feed. */
export function readCalls(line: string): ReadCalls {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return { problem: 'is not JSON' };
  }
  const fields = fieldsOf(json);
  if (fields === undefined) return { problem: 'is not a JSON object' };
  if (Array.isArray(fields.data) && fields.response === undefined) return readBuckets(fields.data);
  if (fields.object === 'bucket' || Array.isArray(fields.results)) return readBuckets([fields]);
  return readPair(fields);
}

function readPair(line: Fields): ReadCalls {
  const response = fieldsOf(line.response);
  // A line of a batch's output file wraps the body.
  const isBatchLine = fieldsOf(response?.body) !== undefined && response?.status_code !== undefined;
  const body = isBatchLine ? fieldsOf(response.body)! : (response ?? {});
  const usage = usageOf(body);
  const isCounted = usage.inputTokens + usage.outputTokens > 0;
  const endpoint = pathOf(textOf(line.url)) ?? endpointOf(body);
  if (!isCounted && isFailed(isBatchLine || response === undefined ? line : asLine(line, body), endpoint))
    return { failed: 1 };
  if (response === undefined)
    return { problem: 'has no "response" object; a line is {"time", "url", "request", "response"}' };
  const request = fieldsOf(line.request) ?? fieldsOf(line.body) ?? {};
  const model = textOf(body.model) ?? textOf(request.model);
  if (model === undefined) return { problem: 'names no model in "response" or "request"' };
  const at = timeOf(line.time ?? line.timestamp ?? body.created_at ?? body.created);
  if (at === undefined) return { problem: 'has no "time"; ISO 8601 or epoch seconds are expected' };
  if (endpoint === undefined) return { problem: 'has no "url" such as "/v1/responses"' };
  if (!isCounted) {
    return {
      problem:
        'has no "usage" with tokens in its response; streamed calls have it with stream_options.include_usage',
    };
  }
  const project = textOf(line.project);
  const tags = Array.isArray(line.tags) ? line.tags.filter((tag) => typeof tag === 'string') : [];
  const calls: Calls = {
    count: 1,
    at,
    model,
    endpoint,
    tier: isBatchLine ? 'batch' : tierOf(body.service_tier),
    usage,
    tools: toolUseOf(body),
    project,
    tags,
  };
  return { calls: [calls] };
}

/** An answer of a call, as the line of a batch's output file that would say the same. */
function asLine({ error }: Fields, body: Fields): Fields {
  return { response: { status_code: 200, body }, error };
}

/** Whether a line says that its request failed; that there is no answer to be seen in it does not. */
function isFailed(line: Fields, endpoint: string | undefined): boolean {
  const verdict = classify(line, { endpoint });
  return verdict.kind !== 'succeeded' && !(verdict.kind === 'retry' && UNSAID.has(verdict.code));
}

const UNSAID: ReadonlySet<string> = new Set(['no_answer', 'no_body', 'no_response']);

/** Source: API reference, "Usage": objects `bucket` and `organization.usage.completions.result`. */
function readBuckets(buckets: readonly unknown[]): ReadCalls {
  const calls: Calls[] = [];
  for (const value of buckets) {
    const bucket = fieldsOf(value);
    const at = timeOf(bucket?.start_time);
    if (bucket === undefined || at === undefined || !Array.isArray(bucket.results)) {
      return { problem: 'holds a bucket without "start_time" or "results"' };
    }
    for (const each of bucket.results) {
      const result = fieldsOf(each) ?? {};
      const model = textOf(result.model);
      if (model === undefined) return { problem: 'holds usage without a model: export it grouped by model' };
      const project = textOf(result.project_id);
      const isEmbedding = typeof result.object === 'string' && result.object.includes('embeddings');
      calls.push({
        count: countOf(result.num_model_requests),
        at,
        model,
        endpoint: isEmbedding ? '/v1/embeddings' : '/v1/responses',
        tier: result.batch === true ? 'batch' : tierOf(result.service_tier),
        usage: bucketUsageOf(result),
        project,
        tags: [],
      });
    }
  }
  return { calls };
}

/** Buckets do not say for how long the cache was written: it counts as the dearer. */
function bucketUsageOf(result: Fields): TokenUsage {
  const cacheWriteTokens = countOf(result.input_cache_write_tokens);
  return {
    inputTokens: countOf(result.input_tokens),
    cachedTokens: countOf(result.input_cached_tokens),
    cacheWriteTokens,
    cacheWrite12hTokens: cacheWriteTokens,
    imageInputTokens: countOf(result.input_image_tokens),
    outputTokens: countOf(result.output_tokens),
    imageOutputTokens: countOf(result.output_image_tokens),
    reasoningTokens: 0,
  };
}

const TIER_NAMES: ReadonlyMap<unknown, PricedTier> = new Map<unknown, PricedTier>([
  [undefined, 'standard'],
  [null, 'standard'],
  ['default', 'standard'],
  ['standard', 'standard'],
  ['auto', 'standard'],
  ['flex', 'flex'],
  ['batch', 'batch'],
  ['priority', 'priority'],
  ['fast', 'priority'],
]);

function tierOf(serviceTier: unknown): PricedTier | undefined {
  return TIER_NAMES.get(serviceTier);
}

/** Numbers beyond this are epoch milliseconds, not seconds: as seconds they would be in the year 5138. */
const MAX_SECONDS = 1e11;
const MAX_MS = 8.64e15;

function timeOf(value: unknown): number | undefined {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) {
    const ms = value < MAX_SECONDS ? value * 1_000 : value;
    return ms < MAX_MS ? ms : undefined;
  }
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}/.test(value)) return undefined;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : ms;
}

function pathOf(url: string | undefined): string | undefined {
  return url === undefined ? undefined : /^(?:https?:\/\/[^/]+)?(\/[^?#]*)/.exec(url)?.[1];
}

function endpointOf({ object, data }: Fields): string | undefined {
  if (object === 'response') return '/v1/responses';
  if (object === 'chat.completion') return '/v1/chat/completions';
  if (object === 'text_completion') return '/v1/completions';
  return Array.isArray(data) && fieldsOf(data[0])?.object === 'embedding' ? '/v1/embeddings' : undefined;
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}
