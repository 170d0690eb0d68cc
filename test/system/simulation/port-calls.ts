import type { Deadline, Sleep } from '../../../src/core/ports/ambient.ts';
import type { DropTurnStore } from '../../../src/core/ports/drops.ts';
import type { JobIndex } from '../../../src/core/ports/job-index.ts';
import type {
  Erasure,
  Inputs,
  ObjectStore,
  ObjectWriter,
  OwnersStore,
  WorkFiles,
} from '../../../src/core/ports/objects.ts';
import type { DropEvents, JobEvents, ObserveOutbox, Outbox } from '../../../src/core/ports/outbox.ts';
import type { PauseStore } from '../../../src/core/ports/pauses.ts';
import type { BackgroundApi, BatchApi, CallApi } from '../../../src/core/ports/provider.ts';
import type { QuotaStore, SuspensionStore } from '../../../src/core/ports/quota.ts';
import type { JobGraves, JobStore, ListingStore, ShutdownStore } from '../../../src/core/ports/records.ts';
import type { WebhookStore } from '../../../src/core/ports/webhooks.ts';

/**
 * - `call`: one request, which may fail before or after its effect, or be sent twice by a client that saw no answer.
 * - `read`: the same without an effect.
 * - `single`: a call that the client never repeats.
 * - `answer`: the same, and what fails in it is drawn by the service, which keeps the account of what it executed.
 * - `stream`: a read whose bytes may break off.
 * - `list`: items that come one by one, from an index that may lag.
 * - `writer`: opens at once; what it gives is a port of its own.
 */
export type CallKind = 'call' | 'read' | 'single' | 'answer' | 'stream' | 'list' | 'writer';

const OBJECTS = {
  head: 'read',
  read: 'stream',
  get: 'read',
  put: 'call',
  openWrite: 'writer',
  pin: 'call',
  remove: 'call',
  removeBelow: 'call',
  listBelow: 'read',
} as const satisfies Record<keyof ObjectStore | keyof WorkFiles, CallKind>;

const INPUTS = { listVersions: 'read', listKey: 'read' } as const satisfies Record<keyof Inputs, CallKind>;

const OWNERS = { readOwners: 'read', writeOwners: 'call' } as const satisfies Record<
  keyof OwnersStore,
  CallKind
>;

const LISTING = {
  getListing: 'read',
  putListing: 'call',
} as const satisfies Record<keyof ListingStore, CallKind>;

const WRITER = {
  write: 'single',
  copy: 'single',
  suspend: 'single',
  close: 'single',
  abort: 'single',
} as const satisfies Record<keyof ObjectWriter, CallKind>;

const JOBS = {
  createJob: 'call',
  getJob: 'read',
  leaseJob: 'call',
  moveJob: 'call',
  recordLatest: 'call',
  addDuplicate: 'call',
  listDuplicates: 'read',
  createBatch: 'call',
  getBatch: 'read',
  listBatches: 'read',
  moveBatch: 'call',
  leaseBatch: 'call',
  listWaiting: 'list',
  listAtOpenAI: 'list',
  listOverdue: 'list',
  listEnded: 'list',
  listForgetting: 'list',
  postpone: 'call',
  renewBatch: 'call',
  renewJob: 'call',
  acquireLease: 'call',
  renewLease: 'call',
  releaseLease: 'call',
  leaseTakenAt: 'read',
  acquirePublication: 'call',
  holdPublication: 'call',
  renewPublication: 'call',
  abandonPublication: 'call',
  releasePublication: 'call',
} as const satisfies Record<keyof JobStore, CallKind>;

const GRAVES = {
  getTombstone: 'read',
  bury: 'call',
  forgetPublication: 'call',
  forgetLatest: 'call',
} as const satisfies Record<keyof JobGraves, CallKind>;

const ERASURE = {
  eraseVersions: 'call',
  eraseBelow: 'call',
} as const satisfies Record<keyof Erasure, CallKind>;

const INDEX = { recordEnd: 'call', forget: 'call', listEndedOf: 'read' } as const satisfies Record<
  keyof Pick<JobIndex, 'recordEnd' | 'forget' | 'listEndedOf'>,
  CallKind
>;

const QUOTA = {
  getLedger: 'read',
  admit: 'call',
  giveBackTokens: 'call',
  settle: 'call',
  changeLedger: 'call',
  listReservations: 'list',
  takeTurn: 'call',
  turnsLeft: 'read',
  getBacklog: 'read',
  changeBacklog: 'call',
} as const satisfies Record<keyof QuotaStore, CallKind>;

const DROPS = {
  takeDropTurn: 'call',
  listDropRoutes: 'read',
  listWaitingDrops: 'list',
  noteNoneWaits: 'call',
} as const satisfies Record<keyof DropTurnStore, CallKind>;

const SUSPENSIONS = {
  getSuspension: 'read',
  getSuspensions: 'read',
  suspend: 'call',
  takeProbe: 'call',
  lift: 'call',
} as const satisfies Record<keyof SuspensionStore, CallKind>;

const PAUSES = {
  getPauses: 'read',
  pause: 'call',
  unpause: 'call',
} as const satisfies Record<keyof PauseStore, CallKind>;

const SHUTDOWNS = {
  getShutdowns: 'read',
  putShutdowns: 'call',
} as const satisfies Record<keyof ShutdownStore, CallKind>;

const BATCHES = {
  uploadFile: 'single',
  createBatch: 'single',
  cancelBatch: 'call',
  getBatch: 'read',
  listBatches: 'read',
  readFile: 'read',
  listFiles: 'read',
  fileSize: 'read',
  deleteFile: 'call',
  listModels: 'read',
} as const satisfies Record<keyof BatchApi, CallKind>;

const OUTBOX = {
  ingest: 'call',
  submit: 'call',
  call: 'call',
  collect: 'call',
  finalize: 'call',
  observe: 'call',
} as const satisfies Record<keyof (Outbox & ObserveOutbox), CallKind>;

const WEBHOOKS = {
  wasObserved: 'read',
  putObserved: 'call',
  getHealth: 'read',
  changeHealth: 'call',
} as const satisfies Record<keyof WebhookStore, CallKind>;

const CALLS = { call: 'answer' } as const satisfies Record<keyof CallApi, CallKind>;

const BACKGROUND = {
  create: 'answer',
  get: 'read',
  cancel: 'call',
  remove: 'call',
} as const satisfies Record<keyof BackgroundApi, CallKind>;

const EVENTS = { completed: 'call', ignored: 'call' } as const satisfies Record<
  keyof (JobEvents & DropEvents),
  CallKind
>;

/**
 * By port. `scratch` is left out: it is local to a process and dies with it, so a kill at one of its calls is a kill at
 * the call before.
 */
export const PORT_CALLS = {
  objects: OBJECTS,
  inputs: INPUTS,
  listing: LISTING,
  owners: OWNERS,
  writer: WRITER,
  jobs: JOBS,
  graves: GRAVES,
  erasure: ERASURE,
  index: INDEX,
  quota: QUOTA,
  drops: DROPS,
  suspensions: SUSPENSIONS,
  pauses: PAUSES,
  shutdowns: SHUTDOWNS,
  batches: BATCHES,
  calls: CALLS,
  background: BACKGROUND,
  webhooks: WEBHOOKS,
  outbox: OUTBOX,
  events: EVENTS,
} as const satisfies Record<string, Record<string, CallKind>>;

export type PortName = keyof typeof PORT_CALLS;

/** `objects.put`, and so on: everything that can be killed and failed. */
export const CALL_NAMES: readonly string[] = Object.entries(PORT_CALLS).flatMap(([port, calls]) =>
  Object.entries(calls)
    .filter(([, kind]) => kind !== 'writer')
    .map(([call]) => `${port}.${call}`),
);

/** Of these, what no handler calls yet; the simulation fails when one does, so that the list stays true. */
export const UNCALLED: readonly string[] = [
  'suspensions.getSuspension',
  'events.ignored',
  'jobs.listForgetting',
];

/** What only operators call. */
export const OPERATOR_CALLS: readonly string[] = [
  'jobs.holdPublication',
  'index.forget',
  'index.listEndedOf',
  'pauses.pause',
  'pauses.unpause',
  ...Object.keys(GRAVES).map((call) => `graves.${call}`),
  ...Object.keys(ERASURE).map((call) => `erasure.${call}`),
];

/** Where calls go: the scheduler decides when `effect` happens, whether it does, and what the caller is told. */
export interface Gate {
  call<Result>(
    name: string,
    kind: CallKind,
    subject: string,
    effect: () => Promise<Result>,
    box?: Deadline,
  ): Promise<Result>;
  /** How many bytes of a stream come before it breaks off; `undefined`: all. */
  breakAfter(name: string): number | undefined;
  /** What is told of an index that lags. */
  lag<Item>(name: string, items: Item[]): Item[];
  /** Lets virtual time pass. */
  sleep: Sleep;
  /** The same beside the work of a handler: see `heartbeat` in the core. */
  heartbeat: Sleep;
  /** What a call that broke off throws. */
  failure(name: string): Error;
}

/** No time box at all: see safeties.ts. */
export const UNBOXED: Deadline = { remainingMs: () => Number.POSITIVE_INFINITY };

/** The same gate; a call through it is given up when the deadline has come. */
export function boxed(gate: Gate, box: Deadline | undefined): Gate {
  if (box === undefined) return gate;
  return { ...gate, call: (name, kind, subject, effect) => gate.call(name, kind, subject, effect, box) };
}

/** The same port, with every call of it going through the gate. */
export function throughGate<Port extends object>(name: PortName, port: Port, gate: Gate): Port {
  return new (wrapperOf(name))(port, gate) as Port;
}

type Wrapper = new (port: object, gate: Gate) => object;
const wrappers = new Map<PortName, Wrapper>();

/** One class a port: a simulation wraps its ports anew for each invocation. */
function wrapperOf(name: PortName): Wrapper {
  const known = wrappers.get(name);
  if (known !== undefined) return known;
  class Gated {
    readonly port: object;
    readonly gate: Gate;
    constructor(port: object, gate: Gate) {
      this.port = port;
      this.gate = gate;
    }
  }
  for (const [method, kind] of Object.entries(PORT_CALLS[name])) {
    Object.defineProperty(Gated.prototype, method, { value: gatedMethod(`${name}.${method}`, method, kind) });
  }
  wrappers.set(name, Gated);
  return Gated;
}

type Method = (this: { port: object; gate: Gate }, ...parameters: unknown[]) => unknown;

function gatedMethod(name: string, method: string, kind: CallKind): Method {
  const invoke = (port: object, parameters: unknown[]): unknown =>
    (port as Record<string, (...parameters: unknown[]) => unknown>)[method]!(...parameters);
  switch (kind) {
    case 'writer':
      return function (...parameters) {
        return throughGate('writer', invoke(this.port, parameters) as object, this.gate);
      };
    case 'list':
      return function (...parameters) {
        return listed(this.gate, name, () => invoke(this.port, parameters) as AsyncIterable<unknown>);
      };
    case 'stream':
      return async function (...parameters) {
        const stream = await this.gate.call(name, kind, subjectOf(parameters), async () =>
          invoke(this.port, parameters),
        );
        const most = this.gate.breakAfter(name);
        return most === undefined
          ? stream
          : broken(stream as AsyncIterable<Uint8Array>, most, this.gate, name);
      };
    default:
      return function (...parameters) {
        return this.gate.call(name, kind, subjectOf(parameters), async () => invoke(this.port, parameters));
      };
  }
}

async function* listed(
  gate: Gate,
  name: string,
  list: () => AsyncIterable<unknown>,
): AsyncGenerator<unknown> {
  const items = await gate.call(name, 'list', '', () => Array.fromAsync(list()));
  yield* gate.lag(name, items);
}

async function* broken(
  stream: AsyncIterable<Uint8Array>,
  most: number,
  gate: Gate,
  name: string,
): AsyncGenerator<Uint8Array> {
  let left = most;
  for await (const chunk of stream) {
    if (chunk.length >= left) {
      if (left > 0) yield chunk.subarray(0, left);
      throw gate.failure(name);
    }
    left -= chunk.length;
    yield chunk;
  }
}

/** What a call is about, for the trace: keys, ids and states, no content. */
function subjectOf(parameters: readonly unknown[]): string {
  return parameters
    .map((parameter) => {
      if (typeof parameter === 'string') return parameter;
      if (typeof parameter !== 'object' || parameter === null || ArrayBuffer.isView(parameter)) return '';
      const { key, batchId, jobId, state, status, inputFileId, filename, claim } = parameter as Record<
        string,
        unknown
      >;
      return [key, batchId ?? jobId, state, status, inputFileId, filename, claim]
        .filter((part) => typeof part === 'string')
        .join(' ');
    })
    .filter((part) => part !== '')
    .join(', ');
}
