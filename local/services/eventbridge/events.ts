/**
 * EventBridge on this machine: rules with patterns and schedules, targets that are queues or functions, `PutEvents`.
 *
 * Delivery to a queue is on disk when {@link EventBus.publish} returns: S3's server journals an event with the write
 * that made it and sends it again at the next start unless `publish` had returned. Delivery to a function is kept in
 * memory and is lost with the process; the one function target of the stack is the poll schedule, whose next tick
 * makes up for it.
 */
import { randomUUID } from 'node:crypto';
import type { Pause } from '../../../src/core/ports/ambient.ts';
import { pause as realPause } from '../../../src/runtime/ambient.ts';
import { AwsError, startAwsJsonServer } from '../aws-json-server.ts';
import type { Authorize } from '../iam.ts';
import type { Intercept } from '../interception.ts';
import type { Invocation } from '../lambda/sandbox.ts';
import { type EventPattern, matchesPattern, requireKnownOperators } from './event-pattern.ts';

/** An event as targets get it. */
export interface BusEvent {
  version: '0';
  id: string;
  'detail-type': string;
  source: string;
  account: string;
  /** ISO 8601, whole seconds. */
  time: string;
  region: string;
  resources: readonly string[];
  detail: unknown;
}

/** Where a rule sends what it matches. */
export type EventTarget =
  | { kind: 'queue'; queueName: string; input?: string | undefined }
  | {
      kind: 'function';
      functionName: string;
      input?: string | undefined;
      /** How often an invocation that failed is run again. */
      maxRetries: number;
      /** How long Lambda tries to run an event that is throttled, in ms. @default six hours, as in AWS */
      maxAgeMs?: number | undefined;
    };

export interface EventRule {
  name: string;
  arn: string;
  busName: string;
  /** A rule has a pattern, a schedule or both. */
  pattern?: EventPattern | undefined;
  /** Such as `rate(5 minutes)`. */
  schedule?: string | undefined;
  targets: EventTarget[];
}

export interface EventBus {
  /** `http://127.0.0.1:PORT` */
  endpoint: string;
  port: number;
  /** Function deliveries that have not ended. */
  readonly active: number;
  /** Sends an event to the targets of each rule of the default bus that matches. */
  publish(event: BusEvent): void;
  /**
   * Runs the schedules now, as their tick would, and waits for the functions.
   *
   * @param ruleName all schedules without it
   * @throws when there is no such schedule
   */
  runSchedule(ruleName?: string): Promise<Invocation[]>;
  close(): Promise<void>;
}

/** AWS: Lambda runs an asynchronous invocation that failed twice more. */
export const DEFAULT_MAX_RETRIES = 2;
/** AWS: Lambda keeps an asynchronous event for six hours. */
const DEFAULT_MAX_AGE_MS = 6 * 3_600_000;

/**
 * AWS: an asynchronous invocation that is throttled is tried again after a second, then after twice as long each time, up to
 * five minutes. Source: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".
 */
const FIRST_THROTTLED_WAIT_MS = 1_000;
const MAX_THROTTLED_WAIT_MS = 5 * 60_000;

const REGION = 'us-east-1';
const ACCOUNT = '000000000000';
const DEFAULT_BUS = 'default';
const UNIT_MS: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/**
 * Starts EventBridge.
 *
 * @param options.scheduleEveryMs interval of every schedule; `manual`: only {@link EventBus.runSchedule} runs them;
 *   default: what each schedule says. A tick is left out while the run before it is still going.
 * @param options.deliverTwice each event goes to each target twice
 * @param options.onEvent sees every event that comes in
 * @param options.intercept sees the calls of functions
 * @param options.pause waits before a throttled invocation is tried again; default: real time passes
 * @throws when a rule is not understood
 */
export async function startEvents(options: {
  port?: number | undefined;
  rules: readonly EventRule[];
  sendToQueue: (queueName: string, body: string) => void;
  invokeFunction: (functionName: string, event: unknown) => Promise<Invocation>;
  scheduleEveryMs?: number | 'manual' | undefined;
  deliverTwice?: boolean | undefined;
  authorize?: Authorize | undefined;
  onEvent?: ((event: BusEvent) => void) | undefined;
  intercept?: Intercept | undefined;
  pause?: Pause | undefined;
}): Promise<EventBus> {
  for (const { name, pattern } of options.rules) {
    if (pattern !== undefined) requireKnownOperators(pattern, name);
  }
  const times = options.deliverTwice === true ? 2 : 1;
  let active = 0;
  const closing = new AbortController();
  const { pause = realPause } = options;

  async function invokeWithRetries(target: EventTarget & { kind: 'function' }, event: unknown) {
    active += 1;
    try {
      let invocation = await invokeWithRoom(target, event);
      for (let retry = 0; !invocation.ok && retry < target.maxRetries; retry += 1) {
        if (invocation.isThrottled) break;
        invocation = await invokeWithRoom(target, event);
      }
      return invocation;
    } finally {
      active -= 1;
    }
  }

  /** Being throttled uses up no retry, only the event's age. */
  async function invokeWithRoom(target: EventTarget & { kind: 'function' }, event: unknown) {
    const { scheduleEveryMs } = options;
    // A schedule that runs faster than the template says is not to rest for longer than its interval, as in AWS.
    const maxWaitMs = Math.min(
      MAX_THROTTLED_WAIT_MS,
      typeof scheduleEveryMs === 'number' ? scheduleEveryMs : MAX_THROTTLED_WAIT_MS,
    );
    let waitMs = Math.min(FIRST_THROTTLED_WAIT_MS, maxWaitMs);
    const { maxAgeMs = DEFAULT_MAX_AGE_MS } = target;
    let ageMs = 0;
    for (;;) {
      const invocation = await options.invokeFunction(target.functionName, event);
      const isThrottled = !invocation.ok && invocation.isThrottled === true;
      if (!isThrottled || ageMs + waitMs > maxAgeMs || closing.signal.aborted) return invocation;
      await pause(waitMs, closing.signal);
      ageMs += waitMs;
      waitMs = Math.min(maxWaitMs, waitMs * 2);
    }
  }

  /** The queues have the event when this returns. */
  function sendToQueues(targets: readonly EventTarget[], event: BusEvent): void {
    for (const target of targets) {
      if (target.kind !== 'queue') continue;
      for (let time = 0; time < times; time += 1) {
        options.sendToQueue(target.queueName, target.input ?? JSON.stringify(event));
      }
    }
  }

  async function runFunctions(targets: readonly EventTarget[], event: BusEvent): Promise<Invocation[]> {
    const invocations: Invocation[] = [];
    for (const target of targets) {
      if (target.kind !== 'function') continue;
      const input = target.input === undefined ? event : JSON.parse(target.input);
      for (let time = 0; time < times; time += 1) invocations.push(await invokeWithRetries(target, input));
    }
    return invocations;
  }

  function publishOn(busName: string, event: BusEvent): void {
    options.onEvent?.(event);
    for (const rule of options.rules) {
      if (rule.busName !== busName || rule.pattern === undefined) continue;
      if (!matchesPattern(rule.pattern, event)) continue;
      sendToQueues(rule.targets, event);
      void runFunctions(rule.targets, event);
    }
  }

  function runRule(rule: EventRule): Promise<Invocation[]> {
    const event = makeEvent('aws.events', 'Scheduled Event', {}, [rule.arn]);
    sendToQueues(rule.targets, event);
    return runFunctions(rule.targets, event);
  }

  const schedules = options.rules.filter(({ schedule }) => schedule !== undefined);
  const timers = schedules.flatMap((rule) => {
    const everyMs = options.scheduleEveryMs ?? parseRateMs(rule);
    if (everyMs === 'manual') return [];
    let isRunning = false;
    const tick = async () => {
      if (isRunning) return;
      isRunning = true;
      await runRule(rule);
      isRunning = false;
    };
    return [setInterval(tick, everyMs)];
  });

  function putEvents(input: { Entries?: PutEventsEntry[] }, accessKeyId: string): object {
    const entries = input.Entries ?? [];
    if (entries.length < 1 || entries.length > 10) {
      throw new AwsError('ValidationException', `1 to 10 entries are allowed, not ${entries.length}`);
    }
    const results = entries.map((entry) => {
      const busName = (entry.EventBusName ?? DEFAULT_BUS).split('/').at(-1)!;
      const reason = options.authorize?.(accessKeyId, {
        action: 'events:PutEvents',
        resource: `arn:aws:events:${REGION}:${ACCOUNT}:event-bus/${busName}`,
      });
      if (reason !== undefined) throw new AwsError('AccessDeniedException', reason);
      if (!entry.Source) return refuseEntry('InvalidArgument', 'Parameter Source is not valid.');
      if (!entry.DetailType) return refuseEntry('InvalidArgument', 'Parameter DetailType is not valid.');
      const detail = parseDetail(entry.Detail);
      if (detail === undefined) return refuseEntry('MalformedDetail', 'Detail is malformed.');
      const event = makeEvent(entry.Source, entry.DetailType, detail, entry.Resources ?? []);
      publishOn(busName, event);
      return { EventId: event.id };
    });
    return { FailedEntryCount: results.filter((result) => 'ErrorCode' in result).length, Entries: results };
  }

  const server = await startAwsJsonServer({
    port: options.port,
    contentType: 'application/x-amz-json-1.1',
    interception: options.intercept && {
      service: 'eventbridge',
      resourceOf: () => '',
      intercept: options.intercept,
    },
    async handle({ operation, body, accessKeyId }) {
      if (operation !== 'PutEvents') {
        throw new AwsError('UnknownOperationException', `The local EventBridge has no ${operation}`);
      }
      return { status: 200, body: putEvents(JSON.parse(body.toString()), accessKeyId) };
    },
  });

  return {
    endpoint: server.endpoint,
    port: server.port,
    get active() {
      return active;
    },
    publish: (event) => publishOn(DEFAULT_BUS, event),
    async runSchedule(ruleName) {
      const chosen = schedules.filter(({ name }) => ruleName === undefined || name === ruleName);
      if (chosen.length === 0) {
        const names = schedules.map(({ name }) => name).join(', ') || 'none';
        throw new Error(
          `There is no schedule${ruleName ? ` "${ruleName}"` : ''} in the stack (all: ${names}).`,
        );
      }
      return (await Promise.all(chosen.map(runRule))).flat();
    },
    async close() {
      closing.abort();
      for (const timer of timers) clearInterval(timer);
      await server.close();
    },
  };
}

interface PutEventsEntry {
  Source?: string;
  DetailType?: string;
  Detail?: string;
  Resources?: string[];
  EventBusName?: string;
}

function makeEvent(
  source: string,
  detailType: string,
  detail: unknown,
  resources: readonly string[],
): BusEvent {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': detailType,
    source,
    account: ACCOUNT,
    time: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    region: REGION,
    resources,
    detail,
  };
}

function refuseEntry(ErrorCode: string, ErrorMessage: string) {
  return { ErrorCode, ErrorMessage };
}

function parseDetail(text: string | undefined): object | undefined {
  try {
    const detail: unknown = JSON.parse(text ?? '');
    return typeof detail === 'object' && detail !== null ? detail : undefined;
  } catch {
    return undefined;
  }
}

function parseRateMs({ name, schedule }: EventRule): number {
  const [, count, unit] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(schedule ?? '') ?? [];
  if (count === undefined || unit === undefined) {
    throw new Error(
      `Rule "${name}": the local stack runs "rate(…)" schedules, not "${schedule}". Give scheduleEveryMs instead.`,
    );
  }
  return Number(count) * UNIT_MS[unit]!;
}
