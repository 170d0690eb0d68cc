/** Runs the probes at OpenAI. What they make is ended and deleted at once, and expires within the hour if that fails. */
import OpenAI, { APIError, toFile } from 'openai';
import { isTerminal } from '../../src/core/model/batch.ts';
import { PROBE_CAPS, type Probe, type ProbeAsk, type ProbeSeen } from '../../src/providers/openai/probes.ts';
import type { Probed } from '../view/probe-report.ts';

/** How a run is done. */
export interface ProbeRun {
  baseUrl: string;
  apiKey: string;
  /** Waits between two looks at a batch. */
  wait: () => Promise<unknown>;
}

/** Looks at a batch that is being validated: at most so many. */
const LOOKS = 40;
/** The shortest life that OpenAI gives to a file, seconds. Source: openai 7.59.0, `expires_after`. */
const EXPIRES = { anchor: 'created_at', seconds: 3_600 } as const;

/** Runs them one after the other; one that fails leaves the others. */
export async function runProbes(probes: readonly Probe[], run: ProbeRun): Promise<Probed[]> {
  let calls = 0;
  const client = new OpenAI({
    apiKey: run.apiKey,
    baseURL: run.baseUrl,
    logLevel: 'off',
    // A request that may be billed is sent once.
    maxRetries: 0,
    async fetch(input, init) {
      calls += 1;
      if (calls > PROBE_CAPS.calls) throw new Error(`more than ${PROBE_CAPS.calls} calls`);
      return fetch(input as Parameters<typeof fetch>[0], init as RequestInit);
    },
  });
  const probed: Probed[] = [];
  for (const { name, asks, ask, read } of probes) {
    try {
      const seen = await lookAt(client, name, ask, run.wait);
      probed.push({ name, asks, answer: read(seen), seen });
    } catch (error) {
      probed.push({ name, asks, failure: failureOf(error) });
    }
  }
  return probed;
}

async function lookAt(
  client: OpenAI,
  name: string,
  ask: ProbeAsk,
  wait: ProbeRun['wait'],
): Promise<ProbeSeen> {
  switch (ask.kind) {
    case 'list':
      return lookAtList(client);
    case 'batch':
      return lookAtBatch(client, name, ask.input, wait);
    case 'background':
      return lookAtBackground(client, ask.body);
  }
}

async function lookAtList(client: OpenAI): Promise<ProbeSeen> {
  const { data } = await client.batches.list({ limit: 100 });
  const isNewestFirst = data.every(
    ({ created_at }, index) => index === 0 || created_at <= data[index - 1]!.created_at,
  );
  return { kind: 'list', batches: data.length, isNewestFirst };
}

async function lookAtBatch(
  client: OpenAI,
  name: string,
  input: string,
  wait: ProbeRun['wait'],
): Promise<ProbeSeen> {
  const file = await toFile(Buffer.from(input), `batchdrop-probe-${name}.jsonl`);
  const { id: input_file_id } = await client.files.create({ file, purpose: 'batch', expires_after: EXPIRES });
  let batch: OpenAI.Batch | undefined;
  try {
    batch = await client.batches.create({
      input_file_id,
      endpoint: '/v1/responses',
      completion_window: '24h',
      metadata: { batchdrop_probe: name },
      output_expires_after: EXPIRES,
    });
    const { id } = batch;
    const isListedAtOnce = (await client.batches.list({ limit: 100 })).data.some((each) => each.id === id);
    for (let looks = 0; batch.status === 'validating' && looks < LOOKS; looks += 1) {
      await wait();
      batch = await client.batches.retrieve(id);
    }
    const errors = batch.errors?.data ?? [];
    return {
      kind: 'batch',
      status: batch.status,
      codes: [...new Set(errors.map(({ code }) => wordOf(code) ?? 'none'))],
      errors: errors.length,
      total: batch.request_counts?.total ?? 0,
      isListedAtOnce,
    };
  } finally {
    // What goes wrong here ends with the window and the hour: the answer stands.
    if (batch !== undefined && !isTerminal(batch.status))
      await client.batches.cancel(batch.id).catch(() => {});
    await client.files.delete(input_file_id).catch(() => {});
  }
}

async function lookAtBackground(client: OpenAI, body: Record<string, unknown>): Promise<ProbeSeen> {
  try {
    const { data, response } = await client.post<{ id?: string }>('/responses', { body }).withResponse();
    const rateLimits = [...response.headers.keys()].filter((name) => name.startsWith('x-ratelimit-limit'));
    if (data.id !== undefined) {
      await client.responses.cancel(data.id).catch(() => {});
      await client.responses.delete(data.id).catch(() => {});
    }
    return { kind: 'background', httpStatus: response.status, code: undefined, rateLimits };
  } catch (error) {
    if (!(error instanceof APIError) || error.status !== 400) throw error;
    return { kind: 'background', httpStatus: 400, code: wordOf(error.code), rateLimits: [] };
  }
}

/** A code as it is; anything that could be a text is left out. */
function wordOf(code: string | null | undefined): string | undefined {
  return code && /^[\w.-]{1,60}$/.test(code) ? code : undefined;
}

/** Without OpenAI's message, which can quote what was sent, and a part of the key. */
function failureOf(error: unknown): string {
  if (!(error instanceof APIError)) return error instanceof Error ? error.name : 'unknown error';
  if (error.status === undefined) return 'no answer';
  const code = wordOf(error.code);
  return `HTTP ${error.status}${code === undefined ? '' : ` ${code}`}`;
}
