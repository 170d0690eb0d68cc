/**
 * SQS on this machine: fauxqs on 127.0.0.1, its queues and messages kept in one SQLite file.
 *
 * fauxqs's own `startFauxqs` persists but listens on every interface; its `buildApp` listens where it is told but takes
 * the persistent store only from modules that the package does not export. They are imported by file, from the exact
 * version in package.json; `test/local/sqs.test.ts` covers what is relied on.
 */
import { buildApp } from 'fauxqs';
import { accessKeyIdOf } from './aws-json-server.ts';
import type { Authorize } from './iam.ts';

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
  db: { exec(sql: string): void; prepare(sql: string): { run(...values: string[]): unknown } };
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

export interface Sqs {
  /** `http://127.0.0.1:PORT` */
  endpoint: string;
  port: number;
  /** Makes the queue, or gives an existing one the attributes; its messages are kept. Gives its URL. */
  ensureQueue(name: string, attributes: Record<string, string>): string;
  /** `http://127.0.0.1:PORT/000000000000/NAME`: changes with the port, so it is never stored. */
  queueUrl(name: string): string;
  /** Puts a message into a queue; it is on disk when this returns. */
  send(name: string, body: string): void;
  depth(name: string): QueueDepth;
  close(): Promise<void>;
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
 * nobody can delete it any more, and waiting for the visibility timeout (minutes to hours) would help nobody.
 *
 * @param options.dir folder of its own, made if missing
 * @param options.port default 0: the system chooses
 * @param options.authorize refuses calls; default: every call is allowed
 * @param options.onSent gets the `X-Amzn-Trace-Id` header that a message was sent with, which fauxqs does not keep
 */
export async function startSqs(options: {
  dir: string;
  port?: number | undefined;
  authorize?: Authorize | undefined;
  onSent?: ((messageId: string, traceId: string) => void) | undefined;
}): Promise<Sqs> {
  const { SqsStore, SnsStore, PersistenceManager } = await importFauxqsInternals();
  const persistence: FauxqsPersistence = new PersistenceManager(options.dir);
  // WAL without a sync on each commit: safe against a killed process, which is what a laptop meets.
  persistence.db.exec('PRAGMA synchronous = NORMAL');
  // fauxqs 2.4.1 clears the receive count here, which its own schema forbids (NOT NULL): the call would fail.
  const makeReady = persistence.db.prepare(
    'UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?',
  );
  persistence.updateMessageReady = (messageId) => {
    makeReady.run(messageId);
  };

  const store: FauxqsStore = new SqsStore();
  const sns = new SnsStore();
  persistence.loadSqsAndSns(store, sns);
  store.persistence = persistence;
  // Queue URLs are then made from the host that the client called.
  store.host = '';
  store.region = REGION;
  for (const queue of store.allQueues()) {
    queue.persistence = persistence;
    for (const receiptHandle of [...queue.inflightMessages.keys()]) queue.changeVisibility(receiptHandle, 0);
  }

  const app = buildApp({
    logger: false,
    defaultRegion: REGION,
    // fauxqs makes the stores that are not given.
    stores: { sqsStore: store } as unknown as NonNullable<
      NonNullable<Parameters<typeof buildApp>[0]>['stores']
    >,
  });
  app.addHook('preHandler', async (request, reply) => {
    const operation = String(request.headers['x-amz-target'] ?? '').split('.')[1];
    if (operation === undefined) return;
    const { QueueUrl, QueueName } = (request.body ?? {}) as { QueueUrl?: string; QueueName?: string };
    const name = QueueUrl?.split('/').at(-1) ?? QueueName;
    const reason = options.authorize?.(accessKeyIdOf(request.headers), {
      action: `sqs:${ACTIONS[operation] ?? operation}`,
      resource: name === undefined ? '*' : queueArn(name),
    });
    if (reason === undefined) return;
    reply.status(403).header('content-type', 'application/x-amz-json-1.0');
    return reply.send({ __type: 'com.amazonaws.sqs#AccessDeniedException', message: reason });
  });
  app.addHook('onSend', async (request, _reply, payload) => {
    const traceId = request.headers['x-amzn-trace-id'];
    if (options.onSent === undefined || typeof traceId !== 'string' || typeof payload !== 'string')
      return payload;
    if (!String(request.headers['x-amz-target']).startsWith('AmazonSQS.SendMessage')) return payload;
    const { MessageId, Successful = [] } = JSON.parse(payload);
    for (const id of [MessageId, ...Successful.map((entry: { MessageId: string }) => entry.MessageId)]) {
      if (id !== undefined) options.onSent(id, traceId);
    }
    return payload;
  });
  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  const { port } = app.server.address() as { port: number };
  const endpoint = `http://127.0.0.1:${port}`;
  const queueUrl = (name: string) => `${endpoint}/${ACCOUNT}/${name}`;
  // The port may have changed since the queues were stored.
  for (const queue of [...store.allQueues()]) {
    store.queues.delete(queue.url);
    queue.url = queueUrl(queue.name);
    store.queues.set(queue.url, queue);
  }
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
    depth(name) {
      const queue = queueNamed(name);
      queue.processTimers();
      return {
        ready: queue.messages.length,
        delayed: queue.delayedMessages.length,
        inFlight: queue.inflightMessages.size,
      };
    },
    async close() {
      await app.close();
      persistence.close();
    },
  };
}

/** ARN of a local queue. */
export function queueArn(name: string): string {
  return `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`;
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
