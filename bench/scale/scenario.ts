/**
 * Plays one scenario to its end: the core and the adapters of the table as they are deployed, with one virtual clock,
 * on a table and a bucket in memory that count what they are asked, and a modelled OpenAI.
 *
 * A batch of 50,000 requests is a batch of a few lines here, each of which stands for thousands: what the pipeline does
 * for a batch does not depend on how many lines it has (tested), and what it does for bytes is multiplied. Handlers run
 * one after the other and take no virtual time. Files that are too large for one invocation go on in further ones when
 * they are real; here they do not.
 */

import { DynamoDBDropTurns } from '../../src/adapters/dynamodb/drop-turns.ts';
import { DynamoDBIgnoredDrops } from '../../src/adapters/dynamodb/ignored-drops.ts';
import { DynamoDBJobIndex } from '../../src/adapters/dynamodb/job-index.ts';
import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { DynamoDBListing } from '../../src/adapters/dynamodb/listing.ts';
import { DynamoDBPauses } from '../../src/adapters/dynamodb/pauses.ts';
import { DynamoDBQuota } from '../../src/adapters/dynamodb/quota.ts';
import { DynamoDBShutdowns } from '../../src/adapters/dynamodb/shutdowns.ts';
import { DynamoDBSuspensions } from '../../src/adapters/dynamodb/suspensions.ts';
import { DynamoDBWebhooks } from '../../src/adapters/dynamodb/webhooks.ts';
import { EVENTS } from '../../src/contract/events.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import { DAY_MS, MINUTE_MS } from '../../src/contract/time.ts';
import type { Telemetry } from '../../src/core/ports/telemetry.ts';
import { Prices } from '../../src/core/pricing/prices.ts';
import { collect } from '../../src/core/steps/collect/collect.ts';
import { finalize } from '../../src/core/steps/finalize/finalize.ts';
import { ingest } from '../../src/core/steps/ingest/ingest.ts';
import { poll } from '../../src/core/steps/poll/poll.ts';
import { Sampler } from '../../src/core/steps/poll/sample.ts';
import { submit } from '../../src/core/steps/submit/submit.ts';
import { OPENAI_PRICES } from '../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';
import { noHeartbeat } from '../../test/support/memory/heartbeat.ts';
import { MemoryEvents, MemoryOutbox, type QueuedMessage } from '../../test/support/memory/outbox.ts';
import { MemoryOwners } from '../../test/support/memory/owners.ts';
import { MemoryScratch } from '../../test/support/memory/scratch.ts';
import type { FunctionName } from './aws-prices.ts';
import { MeteredObjects, type ScaleOf } from './metered-objects.ts';
import { MeteredTable } from './metered-table.ts';
import { ModelledOpenAI } from './modelled-openai.ts';
import { type PollUse, type Use, UseOfFunctions } from './use.ts';

const BUCKET = 'bucket';
const MODEL = 'gpt-6-luna';

/** What is played. */
export interface Scenario {
  name: string;
  about: string;
  /** Files that are dropped, all at once. */
  jobs: number;
  batchesPerJob: number;
  /** Requests of a full batch; OpenAI takes 50,000. */
  requestsPerBatch: number;
  /** Lines of the model that stand for them. */
  linesPerBatch: number;
  /** Average size of a request's and an answer's line. */
  requestBytes: number;
  answerBytes: number;
  /** The enqueued-token limit, as a number of full batches. Default: no limit. */
  batchesAtATime?: number;
  /** Batches that may be created in an hour. Default: as many as OpenAI takes. */
  createsPerHour?: number;
  /** How long OpenAI takes for a batch. */
  hours: readonly [least: number, most: number];
  /** Share of the batches that leave some requests for a second round. */
  retriedShare: number;
  /** Batches that the OpenAI project had before. Default: 0. */
  batchesBefore?: number;
  pollMinutes: number;
}

/** What came of it, counted. */
export interface Played {
  scenario: Scenario;
  requests: number;
  /** Batches made, later rounds included. */
  batches: number;
  /** From the drop to the last receipt. */
  virtualHours: number;
  maxAtOpenAI: number;
  maxWaiting: number;
  /** By function; `ingest` includes what EventBridge and SQS do before it. */
  use: Record<FunctionName, Use>;
  polls: PollUse[];
  /** Items that are left in the table. */
  items: number;
}

/** @throws if a step fails, or if the jobs do not all end with every request answered. */
export async function play(scenario: Scenario): Promise<Played> {
  let now = Date.UTC(2026, 9, 1);
  let nonces = 0;
  const startedAt = now;
  const ambient = { now: () => now, nonce: () => (nonces++).toString(16).padStart(32, '0') };
  const { requestsPerBatch, linesPerBatch, batchesPerJob } = scenario;
  const requestsPerLine = requestsPerBatch / linesPerBatch;
  const uses = new UseOfFunctions();
  const table = new MeteredTable((use) => uses.add({ table: use }));
  const objects = new MeteredObjects(BUCKET, ambient, scaleOf(scenario), (use) => uses.add({ bucket: use }));
  const openai = new ModelledOpenAI(
    {
      hours: scenario.hours,
      retriedShare: scenario.retriedShare,
      batchesBefore: scenario.batchesBefore ?? 0,
      requestsPerLine,
    },
    ambient,
    (call, bytes) => {
      const scale = call === 'upload' ? inputScale(scenario) : resultScale(scenario);
      uses.addCall(call, bytes * scale);
    },
  );
  const settings = defaultSettings();
  if (scenario.batchesAtATime !== undefined) {
    const batchTokens = Math.ceil(linesPerBatch * TOKENS_OF_A_LINE);
    settings.quota.enqueuedTokens = { [MODEL]: scenario.batchesAtATime * batchTokens };
  }
  if (scenario.createsPerHour !== undefined) settings.quota.createsPerHour = scenario.createsPerHour;
  const outbox = new MemoryOutbox();
  const telemetry: Telemetry = {
    record: (event, fields) =>
      uses.addLogLine(JSON.stringify({ event, message: EVENTS[event].message, ...fields }).length),
  };
  const owners = new MemoryOwners();
  const deps = {
    stackId: 'scale',
    stackName: 'scale',
    owners: {
      readOwners: () => {
        uses.add({ bucket: { reads: 1 } });
        return owners.readOwners();
      },
      writeOwners: (...what: Parameters<MemoryOwners['writeOwners']>) => {
        uses.add({ bucket: { writes: 1 } });
        return owners.writeOwners(...what);
      },
    },
    settings,
    rules: OPENAI_RULES,
    limits: { ...OPENAI_RULES.limits, requests: linesPerBatch },
    tokenizerOf: async () => (text: string) => text.length / CHARS_PER_TOKEN,
    sampler: new Sampler(),
    workKeptMs: 30 * DAY_MS,
    objects,
    inputs: objects,
    ...storesOn(table),
    prices: new Prices(OPENAI_PRICES),
    batches: openai,
    outbox,
    events: new MemoryEvents(),
    scratch: new MemoryScratch(),
    ambient,
    deadline: { remainingMs: () => 15 * MINUTE_MS },
    heartbeat: noHeartbeat,
    telemetry,
  };

  /** Each invocation starts with nothing that another one has seen of the table. */
  const freshDeps = (): typeof deps => ({ ...deps, ...storesOn(table) });
  // Batch is the only tier here, so nothing is called one by one; there are no webhooks.
  const steps = { ingest, submit, collect, finalize } as Record<
    Exclude<QueuedMessage['queue'], 'call' | 'observe'>,
    (ports: typeof deps, message: never) => Promise<void>
  >;
  const drain = async (): Promise<void> => {
    for (let from = 0; from < outbox.messages.length; from++) {
      const { queue, message } = outbox.messages[from]!;
      if (queue === 'call' || queue === 'observe') throw new Error(`a message to ${queue} is not expected`);
      await uses.invoke(queue, () => steps[queue](freshDeps(), message as never));
    }
    outbox.messages.length = 0;
  };

  for (let job = 0; job < scenario.jobs; job++) {
    const key = `input/${job}.jsonl`;
    await objects.put(key, Buffer.from(inputOf(scenario, job)));
    await uses.invoke('ingest', () => ingest(freshDeps(), { bucket: BUCKET, key }));
  }
  await drain();

  const polls: PollUse[] = [];
  let maxAtOpenAI = 0;
  let maxWaiting = 0;
  const isBusy = (): boolean => ['waiting', 'openai', 'moving'].some((live) => table.countLive(live) > 0);
  while (isBusy()) {
    if (now - startedAt > 60 * DAY_MS) throw new Error(`${scenario.name} does not come to an end`);
    now += scenario.pollMinutes * MINUTE_MS;
    maxAtOpenAI = Math.max(maxAtOpenAI, table.countLive('openai'));
    maxWaiting = Math.max(maxWaiting, table.countLive('waiting'));
    const atOpenAI = table.countLive('openai');
    const waiting = table.countLive('waiting');
    const use = await uses.invoke('poll', () => poll(freshDeps()));
    polls.push({ atOpenAI, waiting, use });
    await drain();
  }
  const lines = scenario.jobs * batchesPerJob * linesPerBatch;
  const succeeded = deps.events.sent.reduce((sum, { counts }) => sum + counts.succeeded, 0);
  if (deps.events.sent.length !== scenario.jobs || succeeded !== lines) {
    throw new Error(
      `${scenario.name}: ${deps.events.sent.length} of ${scenario.jobs} jobs ended, ${succeeded} of ${lines} lines succeeded`,
    );
  }
  return {
    scenario,
    requests: lines * requestsPerLine,
    batches: table.countItems('JOB#') - scenario.jobs,
    virtualHours: (now - startedAt) / (60 * MINUTE_MS),
    maxAtOpenAI,
    maxWaiting,
    use: uses.byFunction(),
    polls,
    items: table.countItems(),
  };
}

function storesOn(table: MeteredTable) {
  const client = table.client();
  const names = { table: 'table' };
  return {
    listing: new DynamoDBListing(client, names),
    jobs: new DynamoDBJobs(client, names),
    quota: new DynamoDBQuota(client, names),
    suspensions: new DynamoDBSuspensions(client, names),
    index: new DynamoDBJobIndex(client, names),
    ignoredDrops: new DynamoDBIgnoredDrops(client, names),
    drops: new DynamoDBDropTurns(client, names),
    pauses: new DynamoDBPauses(client, names),
    shutdowns: new DynamoDBShutdowns(client, names),
    webhooks: new DynamoDBWebhooks(client, names),
  };
}

function inputOf({ batchesPerJob, linesPerBatch }: Scenario, job: number): string {
  const lines = Array.from({ length: batchesPerJob * linesPerBatch }, (_, index) => lineOf(job, index));
  return `${lines.join('\n')}\n`;
}

const CHARS_PER_TOKEN = 4;
const MESSAGE = { role: 'user', content: 'Yes or no?' };
/** Six stand around a message: see src/core/pricing/tokens/estimate.ts. */
const TOKENS_OF_A_LINE = (MESSAGE.role.length + MESSAGE.content.length) / CHARS_PER_TOKEN + 6;

function lineOf(job: number, index: number): string {
  const customId = `${String(job).padStart(5, '0')}-${String(index).padStart(8, '0')}`;
  const body = { model: MODEL, messages: [MESSAGE] };
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body });
}

/** What a byte of the model's requests stands for. */
function inputScale({ requestBytes, requestsPerBatch, linesPerBatch }: Scenario): number {
  return ((requestBytes / (lineOf(0, 0).length + 1)) * requestsPerBatch) / linesPerBatch;
}

/** The same for answers; see `modelled-openai.ts` for the line. */
function resultScale({ answerBytes, requestsPerBatch, linesPerBatch }: Scenario): number {
  return ((answerBytes / ModelledOpenAI.answerBytes) * requestsPerBatch) / linesPerBatch;
}

function scaleOf(scenario: Scenario): ScaleOf {
  const perLine = scenario.requestsPerBatch / scenario.linesPerBatch;
  const input = inputScale(scenario);
  const result = resultScale(scenario);
  return (key) => {
    if (/\.(manifest|index)$/.test(key)) return perLine;
    if (!key.endsWith('.jsonl')) return 1;
    return key.startsWith('input/') || key.startsWith('retry/') ? input : result;
  };
}
