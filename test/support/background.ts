/** Jobs of `/v1/responses` in background windows, and what was paid for them, as the emulator's ledger has it. */
import { settingsSchema } from '../../src/contract/settings.ts';
import { writeArrival } from '../../src/core/files/arrivals.ts';
import { markOf } from '../../src/core/lifecycle/response-marks.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import { chatLine, type Pipeline, type PipelineOptions } from './pipeline.ts';
import { startTestPipeline } from './test-pipeline.ts';

export const KEY = 'input/a.jsonl';
/** A model that OpenAI offers the windows for. */
const MODEL = 'gpt-6.2-sol';

/** Starts a pipeline with one route. */
export function startRoute(route: Record<string, unknown>, options: PipelineOptions = {}): Promise<Pipeline> {
  const routes = [{ name: 'r', prefix: 'input/', budget: 'unlimited', ...route }];
  return startTestPipeline({ settings: settingsSchema.parse({ routes }), ...options });
}

export const idsOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `id-${index}`);

/** A line. @param members of its body, besides. */
export function responseLine(id: string, members: object = {}, model = MODEL): string {
  const line = JSON.parse(chatLine(id, { model, url: '/v1/responses' }));
  return JSON.stringify({ ...line, body: { ...line.body, ...members } });
}

export const fileOf = (ids: readonly string[], members: object = {}): string =>
  ids.map((id) => responseLine(id, members)).join('\n');

export const customIds = (lines: readonly { custom_id?: unknown }[]): unknown[] =>
  lines.map(({ custom_id }) => custom_id);

/** Matches the response of one request of a slice, by our mark. */
export const requestAt = (index: number) => ({ metadata: { batchdrop_request: `/${index}/` } });

/** What was paid for: how often each request was, and how many times in each tier. */
export async function paidFor(p: Pipeline): Promise<{ times: number[]; tiers: Record<string, number> }> {
  const all = await p.emulator.ledger.all();
  const paid = all.filter(({ status, billed_tokens }) => status === 200 || billed_tokens > 0);
  const tiers: Record<string, number> = {};
  for (const { tier } of paid) tiers[tier] = (tiers[tier] ?? 0) + 1;
  const byRequest = Map.groupBy(paid, ({ request_hash }) => request_hash);
  return { times: [...byRequest.values()].map(({ length }) => length), tiers };
}

/** Ids of all responses that ran. */
export async function responseIds(p: Pipeline): Promise<string[]> {
  return (await p.emulator.ledger.all()).flatMap(({ response_id }) => response_id ?? []);
}

/** What the worker of a webhook does with a response that has ended: see response-marks.ts. */
export async function arrive(p: Pipeline, id: string): Promise<void> {
  const response = (await p.deps.background.get(id))!;
  const { request, ...batch } = markOf(p.deps.stackId, response.metadata)!;
  await writeArrival(p.deps, batch, request, response);
}

/** The only slice that has not ended. */
export async function sliceIn(p: Pipeline): Promise<BatchRecord> {
  const items = await Array.fromAsync(p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY));
  return items.flatMap((item) => (item.kind === 'batch' ? [item.batch] : []))[0]!;
}
