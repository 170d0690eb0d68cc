/** What a run of the simulation has tried, and what it must have tried to prove anything. */
import type { EventName } from '../../../src/contract/events.ts';
import { BATCH_TRANSITIONS } from '../../../src/core/lifecycle/batch-rules.ts';
import { JOB_TRANSITIONS } from '../../../src/core/lifecycle/job-transitions.ts';
import { edgesOf } from '../../../src/core/lifecycle/transition.ts';
import { CALL_NAMES, OPERATOR_CALLS, PORT_CALLS, type PortName, UNCALLED } from './port-calls.ts';
import { TROUBLES } from './scenario.ts';
import { KIND_NAMES, type Kind, OFF } from './weather.ts';

/** How often each thing must have happened, over a whole run of so many seeds. */
const REQUIRED_TIMES = 20;
const REQUIRED_SEEDS = 900;
/** Calls that few seeds make, and that are hit where they are made once: a short run may be without them. */
const SELDOM =
  /renew(Batch|Job|Lease|Publication)|addDuplicate|fileSize|writer\.suspend|removeBelow|suspensions\.lift|table restored|duplicate -> ingesting|^hang |in one second|taken over|gave way|^cancelled:(duplicate|while finalized)|after weeks|lost batch held|dead letter|background\.|webhooks\.|drops\.|:earlierDrops$|index\.|graves\.|erasure\.|holdPublication|pauses\.|^operator:.*(again|before)|outbox\.observe|^response:(cancel|404|a copy|operator|create|never|in_progress -> cancelled)/;
const SELDOM_SEEDS = 20_000;
/**
 * Runs of fewer seeds are not asked for what is seldom: they would be expected to have it once, and have it by chance.
 */
const SELDOM_FROM_SEEDS = 5_000;

/** How often each thing happened, over one seed or many. */
export class Coverage {
  readonly counts = new Map<string, number>();

  add(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  addAll(counts: Iterable<readonly [string, number]>): void {
    for (const [what, times] of counts) this.add(what, times);
  }

  count(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  /**
   * What was seen less often than is required of a run, each with its count.
   * @param seeds how many the run has: {@link REQUIRED_TIMES} are asked of as many as it takes, less of fewer.
   */
  missing(seeds: number): string[] {
    return REQUIRED.flatMap((what) => {
      const isSeldom = SELDOM.test(what);
      if (isSeldom && seeds < SELDOM_FROM_SEEDS) return [];
      const seedsNeeded = isSeldom ? SELDOM_SEEDS : REQUIRED_SEEDS;
      const times = Math.min(REQUIRED_TIMES, Math.floor((REQUIRED_TIMES * seeds) / seedsNeeded));
      const count = this.count(what);
      return count < times ? [`${what}: ${count} of ${times}`] : [];
    });
  }
}

const EDGES = [
  ...edgesOf(JOB_TRANSITIONS).map((edge) => ({ ...edge, of: 'job' })),
  ...edgesOf(BATCH_TRANSITIONS).map((edge) => ({ ...edge, of: 'batch' })),
];
const nameOf = ({ of, from, to }: (typeof EDGES)[number]): string => `${of}:${from} -> ${to}`;

/** Every arrow of the journals: what `from -> to` a record may go. */
export const STATE_EDGES: readonly string[] = EDGES.filter(({ isAfterRestore }) => !isAfterRestore).map(
  nameOf,
);

/** What it may go beside that, where its table was restored to an earlier time. */
export const ADOPTION_EDGES: readonly string[] = EDGES.filter(({ isAfterRestore }) => isAfterRestore).map(
  nameOf,
);

/** What a run must have seen. */
const REQUIRED_EDGES = EDGES.filter(({ isAfterRestore, isSeldom }) => !isAfterRestore && !isSeldom).map(
  nameOf,
);

/** What budgets lead to. */
const MONEY = ['booked', 'cut', 'waits for a budget', 'refused'].map((what) => `money:${what}`);

/** The quirks of OpenAI's that clients have reported. */
const QUIRKS = Array.from({ length: 20 }, (_, index) => `Q${index + 1}`);

const FAULTS = [
  'fault:token_limit_exceeded',
  'fault:poison line',
  'fault:a batch missing from the list',
  'fault:foreign custom_id',
  'fault:short upload',
  'fault:message dropped',
  'fault:message twice',
  'fault:message delayed',
  'fault:message back after 16 minutes',
  'fault:job cancelled',
  'fault:cancelled while validating',
  'fault:cancelled while in_progress',
  'fault:table restored',
  'fault:key of another project',
  'fault:two API keys',
  'fault:one API key of two is out of order',
  'fault:dead letter',
  'fault:event twice',
  'fault:event lost',
  'fault:a batch lost for good',
  'fault:a lost batch held',
  'fault:a batch given up',
  'fault:a lost request run again',
  'fault:two live stacks in one project',
  'fault:the same content again',
  'fault:input file left behind',
  'fault:the poll is late',
  'fault:poll twice',
  'fault:slow call',
  'fault:little time',
  'fault:timeout of a function',
  'fault:index lags',
  'fault:stream broke off',
];

/** Errors that a line can state, and what our own code throws. */
const ERRORS = [
  ...[0, 400, 408, 409, 422, 429, 500, 502, 503, 504].map((status) => `error:line ${status}`),
  'error:line batch_expired',
  'error:line batch_cancelled',
  'error:line request_timeout',
  ...['insufficient_quota', 'billing_hard_limit_reached', 'invalid_api_key', 'model_not_found'].map(
    (code) => `error:line ${code}`,
  ),
  ...[
    'server_error',
    'billing_hard_limit_reached',
    'model_not_found',
    'input_modified',
    'never_heard_of',
  ].map((code) => `error:batch ${code}`),
  'error:line missing',
  'error:line no_response',
  ...[400, 403, 429].map((status) => `error:create ${status}`),
  ...TROUBLES.map((code) => `error:create ${code}`),
  'error:upload api_key_missing',
  'error:upload invalid_api_key',
  'thrown:LeaseLostError',
  'error:download broke off',
  'thrown:OpenAIRequestError',
  'thrown:InjectedError',
  'thrown:CreateRefusedError',
  'thrown:UploadRefusedError',
  'thrown:ApiKeyMissingError',
];

/** What the endpoints that answer at once were asked, and how they failed. */
const CALLS = [
  'call:flex',
  'call:default',
  'call:resource_unavailable',
  'call:rate_limit_exceeded',
  'call:never connected',
  'call:no answer',
  'call:transient',
  'call:operator',
  'ladder:batch -> flex',
  'ladder:batch -> standard',
  'ladder:flex -> standard',
];

/**
 * Events that seeds record often: each 60 times or more in seeds 1 to 400, as measured. Plain tests make steps record
 * the others, see test/support/recorded-by.ts.
 */
export const SIMULATED_EVENTS: readonly EventName[] = [
  'batch.collected',
  'batch.delayed',
  'batch.ended',
  'batch.lost',
  'batch.recut',
  'batch.resent',
  'batch.submitted',
  'batch.vanished',
  'batch.withdrawn',
  'batches.queried',
  'budget.exhausted',
  'creation.retried',
  'deletion.failed',
  'dispatch.completed',
  'dispatch.deferred',
  'duplicate.deferred',
  'file.deleted',
  'finalize.postponed',
  'finalize.skipped',
  'ingest.repeated',
  'ingest.skipped',
  'input.withheld',
  'inspection.failed',
  'job.cancelled',
  'job.completed',
  'job.delayed',
  'job.planned',
  'job.recorded',
  'job.rejected',
  'key.refused',
  'listing.started',
  'message.resent',
  'object.missed',
  'poll.shortened',
  'prefix.claimed',
  'renewal.failed',
  'reservation.released',
  'save.failed',
  'slice.completed',
  'step.postponed',
  'suspension.continued',
  'suspension.started',
  'sweep.failed',
  'tier.changed',
  'work.removed',
];

/** What each kind of weather does: see weather.ts. */
const WEATHER: Readonly<Record<Kind, readonly string[]>> = {
  'failed-after-execution': ['files', 'counts', 'silent'].map((how) => `failed after execution:${how}`),
  counts: ['absent', 'zero', 'low', 'files late'].map((what) => `counts:${what}`),
  'line-boundary': ['download:ended after a line'],
  'young-files': ['error:create young file'],
  'list-pages': ['repeats', 'skips', 'empty', 'stays', 'cut', 'cycles'].map((how) => `list:${how}`),
  'hanging-calls': [
    'fault:a hanging call given up',
    ...['listBatches', 'readFile', 'createBatch', 'uploadFile'].map((call) => `hang batches.${call}`),
  ],
  'background-windows': [
    ...['queued -> in_progress', 'queued -> cancelled', 'in_progress -> cancelled'],
    ...['in_progress -> completed', 'in_progress -> failed', 'in_progress -> incomplete'],
    ...['late', 'stuck queued', 'stuck in progress', 'cancelled from outside', 'window missed'],
    ...['create failed', 'create without an answer', 'create hangs', 'never connected', 'operator'],
    ...['rate_limit_exceeded', 'window refused', 'without marks', '404', 'retention over'],
    ...['cancelled while queued', 'cancelled while in_progress', 'cancel race', 'deleted'],
  ].map((what) => `response:${what}`),
  webhooks: [
    ...['lost', 'late', 'twice', 'batch.completed', 'response.completed'].map((what) => `webhook:${what}`),
    ...['response:a copy of another stack', 'response:a copy with the same marks'],
  ],
  'missing-usage': ['answer without usage'],
  'long-calls': ['long call:that fits a worker', 'long call:longer than a worker lives'],
  'denied-inputs': [
    'denied:AccessDenied',
    'denied:InvalidObjectState',
    'denied:before the first listing',
    'denied:gave way to a re-drop',
  ],
  'flooded-routes': ['drop.deferred', 'drops.started']
    .map((name) => `event:${name}`)
    .concat(['perHour', 'perDay', 'earlierDrops'].map((what) => `drop waits for:${what}`)),
  'late-denials': ['denied later:AccessDenied', 'denied later:InvalidObjectState', 'denied later:given up'],
  'shared-bucket': ['shared bucket:refused', 'shared bucket:taken over'],
  'cancel-and-run': [
    'cancelled:while finalized',
    'cancelled:duplicate run',
    'cancelled:duplicate answered all the same',
  ],
  'throttled-deliveries': ['fault:throttled delivery'],
  'late-polls': ['fault:the poll does not run', 'fault:the poll is late'],
  'work-expiry': ['removed below work/', 'fault:a person comes after weeks'],
  operators: [
    ...['pause paused', 'unpause unpaused', 'cancel cancelling', 'resume done'],
    ...['retry dropped', 'retry repeated', 'retry refused, job_is_live', 'retry refused, nothing_to_retry'],
    ...['forget forgotten', 'forget repeated', 'forget refused, job_is_live'],
  ].map((what) => `operator:${what}`),
  'late-sidecars': ['sidecar:before', 'sidecar:after'],
  'same-content': ['same content:after another', 'same content:in one second'],
};

const kindOf = (name: string): string => {
  const [port, call] = name.split('.') as [PortName, string];
  return (PORT_CALLS[port] as Record<string, string>)[call]!;
};

const isOperated = !OFF.includes('operators');
const CALLED = CALL_NAMES.filter(
  (name) => !UNCALLED.includes(name) && (isOperated || !OPERATOR_CALLS.includes(name)),
);

const REQUIRED: readonly string[] = [
  ...CALLED.flatMap((name) => [`kill before ${name}`, `kill after ${name}`]),
  ...CALLED.filter((name) => kindOf(name) !== 'answer').map((name) => `error before ${name}`),
  ...CALLED.filter((name) => kindOf(name) === 'call').flatMap((name) => [
    `error after ${name}`,
    `retried ${name}`,
  ]),
  ...REQUIRED_EDGES,
  ...MONEY,
  ...QUIRKS,
  ...FAULTS,
  ...ERRORS,
  ...CALLS,
  ...SIMULATED_EVENTS.map((name) => `event:${name}`),
  ...KIND_NAMES.filter((kind) => !OFF.includes(kind)).flatMap((kind) => WEATHER[kind]),
];
