/**
 * SQS on this machine: fauxqs on 127.0.0.1, its queues and messages kept in one SQLite file.
 *
 * fauxqs's own `startFauxqs` persists but listens on every interface; its `buildApp` listens where the caller says
 * but takes the persistent store only from modules that the package does not export. They are imported by file, from
 * the exact version in package.json; `test/parts/local/services/sqs/sqs.test.ts` covers what is relied on.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders } from 'node:http';
import { buildApp } from 'fauxqs';
import { accessKeyIdOf } from '../aws-json-server.ts';
import { keyRefusalOf } from '../iam/keys.ts';
import { contextOf } from '../iam/request-context.ts';
import { SESSION_TOKEN_HEADER, type ServiceCall } from '../interception.ts';
import type { LocalService, ServiceOptions } from '../service.ts';
import { MessageMoves, rightsToMove } from './message-moves.ts';

/** What is used of fauxqs's queue. */
interface FauxqsQueue {
  name: string;
  url: string;
  attributes: Record<string, string>;
  messages: FauxqsMessage[];
  delayedMessages: FauxqsMessage[];
  inflightMessages: Map<string, { message: FauxqsMessage }>;
  persistence?: unknown;
  setAttributes(attributes: Record<string, string>): void;
  enqueue(message: FauxqsMessage): void;
  changeVisibility(receiptHandle: string, timeoutSeconds: number): void;
  processTimers(): void;
}

interface FauxqsMessage {
  messageId: string;
  body: string;
  /** Epoch ms by the clock of this machine. */
  sentTimestamp: number;
  /** Of a delayed message: epoch ms by the clock of this machine. */
  delayUntil?: number;
  /** Ours: what SQS gives as the system attribute `AWSTraceHeader`. */
  traceHeader?: string | undefined;
}

interface FauxqsStore {
  host: string;
  region: string;
  queues: Map<string, FauxqsQueue>;
  persistence?: unknown;
  allQueues(): IterableIterator<FauxqsQueue>;
  getQueueByName(name: string): FauxqsQueue | undefined;
  createQueue(name: string, url: string, arn: string, attributes: Record<string, string>): FauxqsQueue;
}

interface FauxqsPersistence {
  db: {
    exec(sql: string): void;
    prepare(sql: string): { run(...values: string[]): unknown; all(): unknown[] };
  };
  insertMessage(queueName: string, message: FauxqsMessage): void;
  deleteMessage(messageId: string): void;
  updateMessageReady(messageId: string): void;
  loadSqsAndSns(sqs: FauxqsStore, sns: object): void;
  close(): void;
}

/** How many messages a queue holds, by state. */
export interface QueueDepth {
  ready: number;
  delayed: number;
  inFlight: number;
}

/** A running SQS. */
export interface Sqs extends LocalService {
  /** How many of the delayed messages are due within `ms`. */
  dueWithin(name: string, ms: number): number;
  /** Makes the queue, or gives an existing one the attributes; its messages are kept. Gives its URL. */
  ensureQueue(name: string, attributes: Record<string, string>): string;
  /** `http://127.0.0.1:PORT/000000000000/NAME`: changes with the port, so it is never stored. */
  queueUrl(name: string): string;
  /** Puts a message into a queue; it is on disk when this returns. */
  send(name: string, body: string): void;
  depth(name: string): QueueDepth;
  /** The message that was sent first, and its age by the clock of this machine. */
  oldest(name: string): { messageId: string; ageMs: number } | undefined;
}

const ACCOUNT = '000000000000';
const REGION = 'us-east-1';

/** A batch call needs the right of the single call. */
const ACTIONS: Record<string, string> = {
  SendMessageBatch: 'SendMessage',
  DeleteMessageBatch: 'DeleteMessage',
  ChangeMessageVisibilityBatch: 'ChangeMessageVisibility',
};

/**
 * Starts SQS over the queues in folder `dir`.
 *
 * Messages survive a restart. What was in flight is visible again at once: its consumer died with the stack, so
 * it cannot be deleted any more, and waiting for the visibility timeout (minutes to hours) would help no one.
 *
 * @param options.dir folder of its own, made if missing
 */
export async function startSqs(options: ServiceOptions & { dir: string }): Promise<Sqs> {
  const { SqsStore, SnsStore, PersistenceManager } = await importFauxqsInternals();
  const persistence: FauxqsPersistence = new PersistenceManager(options.dir);
  fitPersistence(persistence);
  const traceHeaders = keepTraceHeaders(persistence);
  const store: FauxqsStore = new SqsStore();
  persistence.loadSqsAndSns(store, new SnsStore());
  store.persistence = persistence;
  // Queue URLs are then made from the host that the client called.
  store.host = '';
  store.region = REGION;
  for (const queue of store.allQueues()) releaseInFlight(queue, persistence, traceHeaders);

  const app = createApp(store);
  addHooks(app, options, traceHeaders, new MessageMoves(store));
  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  const { port } = app.server.address() as { port: number };
  const endpoint = `http://127.0.0.1:${port}`;
  const queueUrl = (name: string) => `${endpoint}/${ACCOUNT}/${name}`;
  moveQueues(store, queueUrl);
  const queueNamed = (name: string): FauxqsQueue => {
    const queue = store.getQueueByName(name);
    if (queue === undefined) throw new Error(`There is no queue "${name}" in the local SQS.`);
    return queue;
  };
  return {
    endpoint,
    port,
    queueUrl,
    ensureQueue(name, attributes) {
      const existing = store.getQueueByName(name);
      if (existing === undefined) store.createQueue(name, queueUrl(name), queueArn(name), attributes);
      else existing.setAttributes(attributes);
      return queueUrl(name);
    },
    send(name, body) {
      queueNamed(name).enqueue(SqsStore.createMessage(body));
    },
    dueWithin(name, ms) {
      const until = Date.now() + ms;
      return queueNamed(name).delayedMessages.filter(({ delayUntil = 0 }) => delayUntil <= until).length;
    },
    depth: (name) => depthOf(queueNamed(name)),
    oldest: (name) => oldestOf(queueNamed(name)),
    async close() {
      await app.close();
      persistence.close();
    },
  };
}

function fitPersistence(persistence: FauxqsPersistence): void {
  // WAL without a sync on each commit: safe against a killed process, which is what a laptop meets.
  persistence.db.exec('PRAGMA synchronous = NORMAL');
  // fauxqs 2.4.1 clears the receive count here, which its own schema forbids (NOT NULL): the call would fail.
  const makeReady = persistence.db.prepare(
    'UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?',
  );
  persistence.updateMessageReady = (messageId) => {
    makeReady.run(messageId);
  };
}

/** Gives a queue that was read from disk what fauxqs does not keep, and makes its messages visible. */
function releaseInFlight(
  queue: FauxqsQueue,
  persistence: FauxqsPersistence,
  traceHeaders: TraceHeaders,
): void {
  queue.persistence = persistence;
  const inFlight = [...queue.inflightMessages.values()].map(({ message }) => message);
  for (const message of [...queue.messages, ...queue.delayedMessages, ...inFlight]) {
    message.traceHeader = traceHeaders.of(message.messageId);
  }
  for (const receiptHandle of [...queue.inflightMessages.keys()]) queue.changeVisibility(receiptHandle, 0);
}

/** fauxqs's server over the store. */
function createApp(store: FauxqsStore) {
  return buildApp({
    logger: false,
    defaultRegion: REGION,
    // fauxqs makes the stores that are not given.
    stores: { sqsStore: store } as unknown as NonNullable<
      NonNullable<Parameters<typeof buildApp>[0]>['stores']
    >,
  });
}

/** Adds what fauxqs lacks: rights, interception, and the trace headers of messages. */
function addHooks(
  app: ReturnType<typeof createApp>,
  { authorize, intercept }: ServiceOptions,
  traceHeaders: TraceHeaders,
  moves: MessageMoves<FauxqsMessage>,
): void {
  app.addHook('preHandler', async (request, reply) => {
    const call = readCall(request);
    if (call === undefined) return;
    const rights = [
      {
        action: `sqs:${ACTIONS[call.operation] ?? call.operation}`,
        resource: call.resource === '' ? '*' : queueArn(call.resource),
      },
      ...(call.operation === 'StartMessageMoveTask' ? rightsToMove(call.input as object) : []),
    ].map((right) => ({ ...right, context: contextOf(request.headers) }));
    const caller = accessKeyIdOf(request.headers);
    const reason = rights.map((right) => authorize?.(caller, right)).find((refused) => refused !== undefined);
    if (reason === undefined) {
      if (intercept?.({ ...call, moment: 'before' }) === 'cut') {
        request.raw.socket.destroy();
        return reply.hijack();
      }
      const answer = moves.answer(call.operation, call.input as object);
      if (answer === undefined) return;
      reply.status(answer.status).header('content-type', 'application/x-amz-json-1.0');
      return reply.send(answer.body);
    }
    const denied = { code: 'AccessDeniedException', message: reason, status: 403 };
    const { code, message, status } = keyRefusalOf('sqs', reason) ?? denied;
    reply.status(status).header('content-type', 'application/x-amz-json-1.0');
    return reply.send({ __type: `com.amazonaws.sqs#${code}`, message });
  });
  // The last before fauxqs's own handler, which runs inside it.
  app.addHook('preHandler', (request, _reply, next) =>
    traceHeaders.whileSending(traceHeaderOf(request.headers), next),
  );
  app.addHook('onSend', async (request, reply, payload) => {
    const call = readCall(request);
    if (call === undefined) return payload;
    if (intercept?.({ ...call, moment: 'after' }) === 'cut') {
      request.raw.socket.destroy();
      return payload;
    }
    if (call.operation !== 'ReceiveMessage' || typeof payload !== 'string' || reply.statusCode !== 200) {
      return payload;
    }
    const { Messages, ...rest } = JSON.parse(payload) as { Messages?: ReceivedMessage[] };
    return Messages === undefined
      ? payload
      : JSON.stringify({ ...rest, Messages: Messages.map(traceHeaders.addTo) });
  });
}

/** The port may have changed since the queues were stored. */
function moveQueues(store: FauxqsStore, queueUrl: (name: string) => string): void {
  for (const queue of [...store.allQueues()]) {
    store.queues.delete(queue.url);
    queue.url = queueUrl(queue.name);
    store.queues.set(queue.url, queue);
  }
}

function depthOf(queue: FauxqsQueue): QueueDepth {
  queue.processTimers();
  return {
    ready: queue.messages.length,
    delayed: queue.delayedMessages.length,
    inFlight: queue.inflightMessages.size,
  };
}

function oldestOf(queue: FauxqsQueue): { messageId: string; ageMs: number } | undefined {
  const inFlight = [...queue.inflightMessages.values()].map(({ message }) => message);
  const [first] = [...queue.messages, ...queue.delayedMessages, ...inFlight].sort(
    (one, other) => one.sentTimestamp - other.sentTimestamp,
  );
  return first && { messageId: first.messageId, ageMs: Date.now() - first.sentTimestamp };
}

/** ARN of a local queue. */
export function queueArn(name: string): string {
  return `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`;
}

interface ReceivedMessage {
  MessageId: string;
  Attributes?: Record<string, string>;
}

/** A request as a call, or nothing for what is none. */
function readCall(request: {
  headers: IncomingHttpHeaders;
  body: unknown;
}): Omit<ServiceCall, 'moment'> | undefined {
  const operation = String(request.headers['x-amz-target'] ?? '').split('.')[1];
  if (operation === undefined) return undefined;
  const input = (request.body ?? {}) as { QueueUrl?: string; QueueName?: string; SourceArn?: string };
  return {
    service: 'sqs',
    operation,
    resource:
      input.QueueUrl?.split('/').at(-1) ?? input.QueueName ?? input.SourceArn?.split(':').at(-1) ?? '',
    input,
    sessionToken: String(request.headers[SESSION_TOKEN_HEADER] ?? ''),
  };
}

function traceHeaderOf(headers: IncomingHttpHeaders): string | undefined {
  return headers['x-amzn-trace-id']?.toString();
}

type TraceHeaders = ReturnType<typeof keepTraceHeaders>;

/**
 * fauxqs does not keep the `X-Amzn-Trace-Id` header that a message was sent with, which SQS gives back as the system
 * attribute `AWSTraceHeader` and Lambda counts loops by. It is kept here, beside fauxqs's rows, from before the message
 * can be received until it is deleted.
 */
function keepTraceHeaders(persistence: FauxqsPersistence) {
  const { db } = persistence;
  db.exec('CREATE TABLE IF NOT EXISTS trace_headers (message_id TEXT PRIMARY KEY, header TEXT NOT NULL)');
  const put = db.prepare('INSERT OR REPLACE INTO trace_headers VALUES (?, ?)');
  const drop = db.prepare('DELETE FROM trace_headers WHERE message_id = ?');
  // What was purged.
  db.exec('DELETE FROM trace_headers WHERE message_id NOT IN (SELECT message_id FROM sqs_messages)');
  const kept = new Map(
    (db.prepare('SELECT message_id, header FROM trace_headers').all() as Record<string, string>[]).map(
      (row) => [row.message_id!, row.header!],
    ),
  );
  const sending = new AsyncLocalStorage<string | undefined>();

  const insertMessage = persistence.insertMessage.bind(persistence);
  persistence.insertMessage = (queueName, message) => {
    // A message that becomes a dead letter has one already.
    message.traceHeader ??= sending.getStore();
    insertMessage(queueName, message);
    if (message.traceHeader === undefined) return;
    put.run(message.messageId, message.traceHeader);
    kept.set(message.messageId, message.traceHeader);
  };
  const deleteMessage = persistence.deleteMessage.bind(persistence);
  persistence.deleteMessage = (messageId) => {
    deleteMessage(messageId);
    drop.run(messageId);
    kept.delete(messageId);
  };
  return {
    of: (messageId: string) => kept.get(messageId),
    /** Messages that `send` enqueues, at once or later, have been sent with the header. */
    whileSending: (header: string | undefined, send: () => void): void => sending.run(header, send),
    addTo(message: ReceivedMessage): ReceivedMessage {
      const header = kept.get(message.MessageId);
      return header === undefined
        ? message
        : { ...message, Attributes: { ...message.Attributes, AWSTraceHeader: header } };
    },
  };
}

async function importFauxqsInternals(): Promise<{
  SqsStore: { new (): FauxqsStore; createMessage(body: string): FauxqsMessage };
  SnsStore: new () => object;
  PersistenceManager: new (dir: string) => FauxqsPersistence;
}> {
  const main = import.meta.resolve('fauxqs');
  const [sqs, sns, persistence] = await Promise.all(
    ['./sqs/sqsStore.js', './sns/snsStore.js', './persistence.js'].map(
      (file) => import(new URL(file, main).href),
    ),
  );
  return {
    SqsStore: sqs.SqsStore,
    SnsStore: sns.SnsStore,
    PersistenceManager: persistence.PersistenceManager,
  };
}
