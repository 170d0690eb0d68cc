/**
 * EventBridge on this machine: rules with patterns and schedules, targets that are queues or functions, `PutEvents`.
 *
 * Delivery to a queue is on disk when {@link EventBus.publish} returns: S3's server journals an event with the write
 * that made it and sends it again at the next start unless `publish` had returned. Delivery to a function is kept in
 * memory and is lost with the process; the one function target of the stack is the poll schedule, whose next tick
 * makes up for it.
 */
import { randomUUID } from 'node:crypto';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { AwsError, type AwsJsonRequest, startAwsJsonServer } from '../aws-json-server.ts';
import type { Invocation } from '../lambda/sandbox.ts';
import type { LocalService, ServiceOptions } from '../service.ts';
import { AsyncInvocations, type AsyncInvocationsOptions, type FunctionTarget } from './async-invocations.ts';
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
export type EventTarget = { kind: 'queue'; queueName: string; input?: string | undefined } | FunctionTarget;

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

/** A running EventBridge. */
export interface EventBus extends LocalService {
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
}

/** AWS: Lambda runs an asynchronous invocation that failed twice more. */
export const DEFAULT_MAX_RETRIES = 2;
const REGION = 'us-east-1';
const ACCOUNT = '000000000000';
const DEFAULT_BUS = 'default';
const UNIT_MS: Record<string, number> = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS };

/** What EventBridge is started with. */
export interface EventsOptions extends ServiceOptions, AsyncInvocationsOptions {
  rules: readonly EventRule[];
  sendToQueue: (queueName: string, body: string) => void;
  /** Whether the target's own policy lets the rule reach it. @default every rule reaches its targets */
  mayDeliver?: ((rule: EventRule, target: EventTarget) => boolean) | undefined;
  /**
   * Interval of every schedule; `manual`: only {@link EventBus.runSchedule} runs them. A tick is left out while the
   * run before it is still going. @default what each schedule says
   */
  scheduleEveryMs?: number | 'manual' | undefined;
  /** Each event goes to each target twice. */
  deliverTwice?: boolean | undefined;
  /** Sees every event that comes in. */
  onEvent?: ((event: BusEvent) => void) | undefined;
}

/**
 * Starts EventBridge.
 *
 * @throws when a rule is not understood
 */
export async function startEvents(options: EventsOptions): Promise<EventBus> {
  const bus = new Bus(options);
  const server = await startAwsJsonServer({
    port: options.port,
    contentType: 'application/x-amz-json-1.1',
    interception: options.intercept && {
      service: 'eventbridge',
      resourceOf: () => '',
      intercept: options.intercept,
    },
    async handle({ operation, body, ...caller }) {
      if (operation !== 'PutEvents') {
        throw new AwsError('UnknownOperationException', `The local EventBridge has no ${operation}`);
      }
      return { status: 200, body: bus.putEvents(JSON.parse(body.toString()), caller) };
    },
  });
  return {
    endpoint: server.endpoint,
    port: server.port,
    get active() {
      return bus.active;
    },
    publish: (event) => bus.publishOn(DEFAULT_BUS, event),
    runSchedule: (ruleName) => bus.runSchedule(ruleName),
    async close() {
      bus.stop();
      await server.close();
    },
  };
}

/** The rules, with what they deliver. */
class Bus {
  readonly #options: EventsOptions;
  readonly #functions: AsyncInvocations;
  readonly #schedules: readonly EventRule[];
  readonly #timers: readonly NodeJS.Timeout[];
  /** How often each event goes to each target. */
  readonly #times: number;

  constructor(options: EventsOptions) {
    for (const { name, pattern } of options.rules) {
      if (pattern !== undefined) requireKnownOperators(pattern, name);
    }
    this.#options = options;
    this.#times = options.deliverTwice === true ? 2 : 1;
    this.#functions = new AsyncInvocations(options);
    this.#schedules = options.rules.filter(({ schedule }) => schedule !== undefined);
    this.#timers = this.#schedules.flatMap((rule) => {
      const everyMs = options.scheduleEveryMs ?? parseRateMs(rule);
      return everyMs === 'manual' ? [] : [this.#runEvery(everyMs, rule)];
    });
  }

  get active(): number {
    return this.#functions.active;
  }

  stop(): void {
    this.#functions.stop();
    for (const timer of this.#timers) clearInterval(timer);
  }

  publishOn(busName: string, event: BusEvent): void {
    this.#options.onEvent?.(event);
    for (const rule of this.#options.rules) {
      if (rule.busName !== busName || rule.pattern === undefined) continue;
      if (!matchesPattern(rule.pattern, event)) continue;
      const targets = this.#reachable(rule);
      this.#sendToQueues(targets, event);
      void this.#runFunctions(targets, event);
    }
  }

  /** See {@link EventBus.runSchedule}. */
  async runSchedule(ruleName: string | undefined): Promise<Invocation[]> {
    const chosen = this.#schedules.filter(({ name }) => ruleName === undefined || name === ruleName);
    if (chosen.length === 0) {
      const names = this.#schedules.map(({ name }) => name).join(', ') || 'none';
      throw new Error(
        `There is no schedule${ruleName ? ` "${ruleName}"` : ''} in the stack (all: ${names}).`,
      );
    }
    return (await Promise.all(chosen.map((rule) => this.#runRule(rule)))).flat();
  }

  /** PutEvents of the API. @throws AwsError */
  putEvents(input: { Entries?: PutEventsEntry[] }, caller: Caller): object {
    const entries = input.Entries ?? [];
    if (entries.length < 1 || entries.length > 10) {
      throw new AwsError('ValidationException', `1 to 10 entries are allowed, not ${entries.length}`);
    }
    const results = entries.map((entry) => this.#putEvent(entry, caller));
    return { FailedEntryCount: results.filter((result) => 'ErrorCode' in result).length, Entries: results };
  }

  #putEvent(entry: PutEventsEntry, { accessKeyId, context }: Caller) {
    const busName = (entry.EventBusName ?? DEFAULT_BUS).split('/').at(-1)!;
    const reason = this.#options.authorize?.(accessKeyId, {
      action: 'events:PutEvents',
      resource: `arn:aws:events:${REGION}:${ACCOUNT}:event-bus/${busName}`,
      context: {
        ...context,
        ...(entry.Source === undefined ? {} : { 'events:source': entry.Source }),
        ...(entry.DetailType === undefined ? {} : { 'events:detail-type': entry.DetailType }),
      },
    });
    if (reason !== undefined) throw new AwsError('AccessDeniedException', reason);
    if (!entry.Source) return refuseEntry('InvalidArgument', 'Parameter Source is not valid.');
    if (!entry.DetailType) return refuseEntry('InvalidArgument', 'Parameter DetailType is not valid.');
    const detail = parseDetail(entry.Detail);
    if (detail === undefined) return refuseEntry('MalformedDetail', 'Detail is malformed.');
    const event = makeEvent(entry.Source, entry.DetailType, detail, entry.Resources ?? []);
    this.publishOn(busName, event);
    return { EventId: event.id };
  }

  #runEvery(everyMs: number, rule: EventRule): NodeJS.Timeout {
    let isRunning = false;
    return setInterval(async () => {
      if (isRunning) return;
      isRunning = true;
      await this.#runRule(rule);
      isRunning = false;
    }, everyMs);
  }

  #runRule(rule: EventRule): Promise<Invocation[]> {
    const event = makeEvent('aws.events', 'Scheduled Event', {}, [rule.arn]);
    const targets = this.#reachable(rule);
    this.#sendToQueues(targets, event);
    return this.#runFunctions(targets, event);
  }

  /** AWS tries the others for 24 hours, and then has a dead letter, or nothing. */
  #reachable(rule: EventRule): EventTarget[] {
    const { mayDeliver } = this.#options;
    return rule.targets.filter((target) => mayDeliver?.(rule, target) ?? true);
  }

  /** The queues have the event when this returns. */
  #sendToQueues(targets: readonly EventTarget[], event: BusEvent): void {
    for (const target of targets) {
      if (target.kind !== 'queue') continue;
      for (let time = 0; time < this.#times; time += 1) {
        this.#options.sendToQueue(target.queueName, target.input ?? JSON.stringify(event));
      }
    }
  }

  async #runFunctions(targets: readonly EventTarget[], event: BusEvent): Promise<Invocation[]> {
    const invocations: Invocation[] = [];
    for (const target of targets) {
      if (target.kind !== 'function') continue;
      const input = target.input === undefined ? event : JSON.parse(target.input);
      for (let time = 0; time < this.#times; time += 1)
        invocations.push(await this.#functions.invoke(target, input));
    }
    return invocations;
  }
}

/** Who puts events. */
type Caller = Pick<AwsJsonRequest, 'accessKeyId' | 'context'>;

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
