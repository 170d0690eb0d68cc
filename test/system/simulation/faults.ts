/** What goes wrong with calls of ports: here and there by chance, and at a few chosen places in every seed. */
import {
  CALL_NAMES,
  type CallKind,
  OPERATOR_CALLS,
  PORT_CALLS,
  type PortName,
  UNCALLED,
} from './port-calls.ts';
import type { Random } from './random.ts';
import type { Weather } from './scenario.ts';

/**
 * What becomes of a call. `kill`: the process dies, right before the call or right after its effect. `error`: the
 * caller gets an error, without or in spite of the effect. `retried`: the answer was lost and the client sent the call
 * again, so that the caller hears of the second one only.
 */
export type CallFate = 'kill before' | 'kill after' | 'error before' | 'error after' | 'retried' | 'none';

/** What a service other than OpenAI answers when it fails: S3, DynamoDB, SQS, EventBridge. */
export class InjectedError extends Error {
  constructor(call: string) {
    super(`${call}: 503 injected`);
    this.name = 'InjectedError';
  }
}

const FATES: Readonly<Record<CallKind, readonly CallFate[]>> = {
  call: ['kill before', 'kill after', 'error before', 'error after', 'retried'],
  read: ['kill before', 'kill after', 'error before'],
  single: ['kill before', 'kill after', 'error before'],
  answer: ['kill before', 'kill after'],
  stream: ['kill before', 'kill after', 'error before'],
  list: ['kill before', 'kill after', 'error before'],
  writer: [],
};

/** Chosen places: so that calls which are rare are not left to luck. */
const TARGETS = 185;
/** Calls that a seed makes once or twice, if at all, are chosen more often than others. */
const RARE: Readonly<Record<string, number>> = {
  'objects.head': 2,
  'objects.put': 2,
  'objects.pin': 22,
  'objects.remove': 2,
  'objects.removeBelow': 4,
  'writer.abort': 3,
  'writer.suspend': 44,
  'writer.copy': 5,
  'listing.getListing': 2,
  'listing.putListing': 5,
  'owners.writeOwners': 6,
  'jobs.createJob': 4,
  'jobs.leaseJob': 4,
  'jobs.moveJob': 4,
  'jobs.recordLatest': 6,
  'jobs.addDuplicate': 40,
  'jobs.listDuplicates': 2,
  'inputs.listKey': 2,
  'jobs.createBatch': 3,
  'jobs.renewBatch': 30,
  'jobs.renewJob': 20,
  'jobs.renewLease': 12,
  'jobs.acquirePublication': 2,
  'jobs.renewPublication': 110,
  'jobs.leaseTakenAt': 2,
  'jobs.abandonPublication': 12,
  'jobs.releasePublication': 2,
  'quota.admit': 2,
  'quota.takeTurn': 2,
  'quota.turnsLeft': 2,
  'quota.changeLedger': 3,
  'suspensions.suspend': 18,
  'suspensions.lift': 6,
  'suspensions.takeProbe': 42,
  'shutdowns.putShutdowns': 5,
  'batches.listModels': 4,
  'batches.uploadFile': 2,
  'batches.deleteFile': 2,
  'batches.fileSize': 8,
  'batches.cancelBatch': 90,
  'batches.getBatch': 3,
  'outbox.ingest': 5,
  'outbox.submit': 3,
  'outbox.call': 8,
  'calls.call': 5,
  'background.create': 5,
  'background.cancel': 24,
  'background.remove': 8,
  'webhooks.wasObserved': 3,
  'webhooks.putObserved': 4,
  'webhooks.changeHealth': 4,
  'outbox.observe': 12,
  'outbox.collect': 2,
  'outbox.finalize': 2,
  'events.completed': 3,
};
const TARGET_CALLS = CALL_NAMES.filter(
  (name) => !UNCALLED.includes(name) && !OPERATOR_CALLS.includes(name),
).flatMap((name) => Array<string>(RARE[name] ?? 1).fill(name));
/** Chosen places of what operators call, where there are any. */
const OPERATOR_TARGETS = 12;

/** Calls that most seeds make once at the most. */
const FIRST_ONLY: ReadonlySet<string> = new Set([
  'owners.writeOwners',
  'jobs.renewLease',
  'jobs.renewPublication',
  'jobs.addDuplicate',
  'jobs.renewBatch',
  'jobs.renewJob',
  'objects.removeBelow',
]);

/** Of these, calls that come only after a failure: they are failed first. */
const AFTER_FAILURE = 'writer.abort';

interface Target {
  name: string;
  fate: CallFate;
  /** At which call of that name. */
  occurrence: number;
}

export class Faults {
  readonly #random: Random;
  readonly #weather: Weather;
  readonly #targets: Target[];
  readonly #seen = new Map<string, number>();

  constructor(random: Random, weather: Weather, hasOperators = false) {
    this.#random = random;
    this.#weather = weather;
    this.#targets = Array.from({ length: TARGETS }, () => this.#drawTarget(TARGET_CALLS));
    if (hasOperators)
      for (let more = 0; more < OPERATOR_TARGETS; more++)
        this.#targets.push(this.#drawTarget(OPERATOR_CALLS));
    if (this.#targets.some(({ name }) => name === AFTER_FAILURE)) {
      const name = random.pick(['writer.write', 'writer.close', 'objects.read']);
      this.#targets.push({ name, fate: 'error before', occurrence: random.whole(1, 6) });
    }
  }

  /** Draws what becomes of a call. */
  of(name: string, kind: CallKind): CallFate {
    const occurrence = (this.#seen.get(name) ?? 0) + 1;
    this.#seen.set(name, occurrence);
    const target = this.#targets.find((one) => one.name === name && one.occurrence === occurrence);
    if (target !== undefined) return target.fate;
    const { kill, error, retried } = this.#weather;
    const drawn = this.#random.fraction();
    if (drawn < kill) return this.#random.chance(0.5) ? 'kill before' : 'kill after';
    if (drawn < kill + error && FATES[kind].includes('error before')) {
      return FATES[kind].includes('error after') && this.#random.chance(0.5) ? 'error after' : 'error before';
    }
    return drawn < kill + error + retried && FATES[kind].includes('retried') ? 'retried' : 'none';
  }

  #drawTarget(calls: readonly string[]): Target {
    const name = this.#random.pick(calls);
    const [port, call] = name.split('.') as [PortName, string];
    const kind = (PORT_CALLS[port] as Record<string, CallKind>)[call]!;
    return {
      name,
      fate: this.#random.pick(FATES[kind]),
      occurrence: FIRST_ONLY.has(name) ? 1 : this.#random.spread(1, name in RARE ? 3 : 8),
    };
  }
}
