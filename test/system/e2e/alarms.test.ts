/**
 * Every alarm of the synthesized stack fires and clears on the local stack, in the stack's own time: by its real cause
 * where this machine can make it, by the log line of its event where it cannot (`CAUSES` says why). A queue that
 * subscribes to the topic of the template gets the messages.
 */

import { HeadObjectCommand } from '@aws-sdk/client-s3';
import {
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { ALARMS, type AlarmName, type AlarmRow } from '../../../src/contract/alarms.ts';
import { type EventMetric, writeMetrics } from '../../../src/contract/event-metrics.ts';
import { EVENTS, type EventRow } from '../../../src/contract/events.ts';
import type { OperateInput } from '../../../src/contract/operate.ts';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { SIGNING_SECRET } from '../../support/webhooks.ts';

/** Of the poll and of the alarms that follow it. */
const PERIOD = 5 * MINUTE_MS;

/** API keys by name; each has a trouble of its own, so that none hides another. `refused` is of no project. */
const KEYS = {
  default: 'sk-default',
  refused: 'sk-refused',
  quota: 'sk-quota',
  billing: 'sk-billing',
};
const PROJECTS = {
  'sk-default': 'a',
  'sk-quota': 'a',
  'sk-billing': 'a',
  'sk-unlisted': 'b',
  'sk-moved': 'c',
};

const routeOf = (name: keyof typeof KEYS) => ({
  ...BATCH_ONLY,
  name,
  prefix: name === 'default' ? 'input/' : `input/${name}/`,
  apiKey: name,
});
/** What gives a stack all alarms that there are. */
const SETTINGS = {
  routes: [
    { ...routeOf('default'), notify: 'arn:aws:sns:us-east-1:111122223333:team' },
    ...(['refused', 'quota', 'billing'] as const).map(routeOf),
    { ...routeOf('default'), name: 'late', prefix: 'input/late/', deadline: '1h' },
    {
      ...routeOf('default'),
      name: 'paid',
      prefix: 'input/paid/',
      budget: { perDayUsd: '0.05' },
    },
  ],
  prices: { rows: [{ model: 'gpt-5.4-mini', tier: 'batch' as const, input: 1, output: 100 }] },
  stuck: { validatingHours: 1 },
  webhooks: { apiKeys: ['default'], endpoint: 'function_url' as const },
};

/** What a cause may do. */
interface Scene {
  /** @returns the id of the job. */
  drop(key: string, ...lines: string[]): Promise<string>;
  /** As an operator does. */
  operate(request: OperateInput): Promise<void>;
  /** Rules of a name: they hold from now on, or no more. */
  faults(name: string, rules?: readonly FaultRule[]): void;
  emulator: Awaited<ReturnType<typeof startEmulatedStack>>['emulator'];
  send(queue: string, body: string): Promise<void>;
  /** Takes the only message of a queue. */
  take(queue: string): Promise<void>;
}

/** A cause that is made, and what ends it, unless it ends by itself. */
interface Made {
  cause: string;
  begin(scene: Scene): Promise<unknown>;
  /** @param begun what `begin` gave. */
  end?(scene: Scene, begun: unknown): Promise<void>;
}
/** The log line of the event is read in place of the cause. */
interface Lines {
  whyByLog: string;
}
/** Neither is made here. */
interface Untried {
  whyNot: string;
}

const refusal = (route: string, key: string, status: number, code: string): FaultRule => ({
  match: { route, key: `^${key}$` },
  effect: { kind: 'http.status', status, body: { error: { code, type: code, message: 'no', param: null } } },
});

/** A message that no function understands, and its deletion. */
const notUnderstood = (queue: string): Made => ({
  cause: 'a message that no function understands',
  begin: ({ send }) => send(queue, 'no message of ours'),
  end: ({ take }) => take(`${queue}-dead-letters`),
});

/** A job of one request with this model, or of a key. */
const dropOne = (name: string, model?: string) => (scene: Scene) =>
  scene.drop(`input/${name}.jsonl`, chatLine(name, model === undefined ? {} : { model }));

const CAUSES: Readonly<Record<AlarmName, Made | Lines | Untried>> = {
  'ingest-dead-letters': notUnderstood('ingest'),
  'submit-dead-letters': notUnderstood('submit'),
  'call-dead-letters': notUnderstood('call'),
  'collect-dead-letters': notUnderstood('collect'),
  'finalize-dead-letters': notUnderstood('finalize'),
  'observe-dead-letters': notUnderstood('observe'),
  'notifications-dead-letters': {
    cause: 'an event as EventBridge leaves it after 24 hours; the local one gives up on no target',
    begin: ({ send }) => send('notifications-dead-letters', '{}'),
    end: ({ take }) => take('notifications-dead-letters'),
  },
  'poll-silent': { cause: 'no poll runs: before the first one', begin: async () => {} },
  'poll-failing': {
    whyByLog:
      'it takes three failing polls within three periods, and the polls of this test are further apart',
  },
  'functions-failing': { whyNot: 'Lambda counts it, not a log line: `alarms-fire.test.ts` feeds its metric' },
  'functions-throttled': {
    whyNot: 'Lambda counts it, not a log line: `alarms-fire.test.ts` feeds its metric',
  },
  'sweep-behind': { cause: 'the clock leaps by three hours while batches are due', begin: async () => {} },
  'oldest-waiting': { cause: 'batches of the suspended scopes wait for 13 hours', begin: async () => {} },
  'batch-held': {
    cause: 'OpenAI fails a batch each time before it has run anything',
    async begin(scene) {
      scene.faults('failing', [
        {
          match: { model: '^gpt-5.6-luna$' },
          effect: { kind: 'batch.fail', errors: [{ code: 'unexpected_error', message: 'no' }] },
        } as FaultRule,
      ]);
      return dropOne('failing', 'gpt-5.6-luna')(scene);
    },
    async end({ faults, operate }, jobId) {
      faults('failing');
      await operate({ v: 1, action: 'resume', jobId: jobId as string });
    },
  },
  'creation-unconfirmed': {
    whyByLog: 'an API key has to be replaced between a create and its look-up; `look-up.test.ts` has that',
  },
  'batch-stuck': {
    cause: 'OpenAI keeps a batch in validating for longer than `stuck` allows',
    async begin(scene) {
      scene.faults('stuck', [
        { match: { model: '^gpt-5.6-terra$' }, effect: { kind: 'batch.stuck', state: 'validating' } },
      ]);
      await dropOne('stuck', 'gpt-5.6-terra')(scene);
    },
    end: async ({ faults }) => faults('stuck'),
  },
  'job-held': {
    whyByLog:
      'a step has to fail ten times over a day of the workers that retry it; `job-failure.test.ts` has it',
  },
  'key-suspended': {
    cause: 'OpenAI refuses the key',
    begin: dropOne('refused/a'),
    async end({ emulator, operate }) {
      emulator.setFaults({ apiKeys: { ...PROJECTS, 'sk-refused': 'a' } });
      await operate({ v: 1, action: 'lift', scope: 'refused' });
    },
  },
  'quota-suspended': {
    cause: 'OpenAI answers insufficient_quota',
    async begin(scene) {
      scene.faults('quota', [refusal('POST /v1/batches', 'sk-quota', 429, 'insufficient_quota')]);
      await dropOne('quota/a')(scene);
    },
    async end({ faults, operate }) {
      faults('quota');
      await operate({ v: 1, action: 'lift', scope: 'quota' });
    },
  },
  'billing-suspended': {
    cause: 'OpenAI answers billing_hard_limit_reached',
    async begin(scene) {
      scene.faults('billing', [refusal('POST /v1/batches', 'sk-billing', 400, 'billing_hard_limit_reached')]);
      await dropOne('billing/a')(scene);
    },
    async end({ faults, operate }) {
      faults('billing');
      await operate({ v: 1, action: 'lift', scope: 'billing' });
    },
  },
  'model-suspended': {
    whyByLog: 'the emulator lets no model be refused to a key alone; `key-suspended` fires by the same code',
  },
  'error-rate': {
    cause: 'OpenAI refuses five of twenty requests of a job',
    async begin(scene) {
      scene.faults('bad', [{ match: { custom_id: '^bad-' }, effect: { kind: 'line.status', status: 400 } }]);
      const ids = Array.from({ length: 20 }, (_, index) => `${index < 5 ? 'bad' : 'good'}-${index}`);
      await scene.drop('input/bad.jsonl', ...ids.map((id) => chatLine(id)));
    },
  },
  'budget-low': {
    cause: 'a job reserves more than 80 % of what its route may spend in a day',
    begin: (scene) =>
      scene.drop(
        'input/paid/a.jsonl',
        ...Array.from({ length: 60 }, (_, index) =>
          JSON.stringify({
            custom_id: `paid-${index}`,
            method: 'POST',
            url: '/v1/chat/completions',
            body: {
              model: 'gpt-5.4-mini',
              max_completion_tokens: 20,
              messages: [{ role: 'user', content: `Say ${index}` }],
            },
          }),
        ),
      ),
  },
  'budget-spent': {
    whyByLog:
      'a poll has to find what waits between two settlements; `budget.test.ts` has a job that stops at its budget',
  },
  'deadline-missed': {
    cause: 'a batch takes three hours, and its deadline was one',
    async begin(scene) {
      scene.faults('slow', [
        { match: { model: '^gpt-5.5$' }, effect: { kind: 'batch.duration', seconds: 3 * 3_600 } },
      ]);
      await dropOne('late/a', 'gpt-5.5')(scene);
    },
  },
  'webhooks-silent': {
    cause: 'batches end and no webhook arrives: none is registered',
    begin: dropOne('silent'),
  },
  'batches-lost': {
    cause: 'OpenAI answers 404 for a batch that runs',
    async begin(scene) {
      scene.faults('hidden', [
        { match: { model: '^gpt-5.6-sol$' }, effect: { kind: 'batch.unlisted', seconds: 7 * 86_400 } },
        {
          match: { route: 'GET /v1/batches/*', model: '^gpt-5.6-sol$' },
          effect: { kind: 'http.status', status: 404 },
        },
      ]);
      await dropOne('hidden', 'gpt-5.6-sol')(scene);
    },
    end: async ({ faults }) => faults('hidden'),
  },
  'ledger-drift': {
    whyByLog: 'five workers have to be killed at one call within an hour; the crash tests kill there',
  },
  'prices-old': { whyByLog: 'the table of this release is new, and only a newer release clears it' },
  'model-ending': {
    cause: 'a job asks for a model that has been shut down',
    begin: dropOne('ending', 'gpt-4-turbo'),
  },
};

/** The row of the table whose log line has the metric. */
function rowOf(name: string): { metrics: readonly EventMetric[]; metric: EventMetric } {
  for (const { metrics = [] } of Object.values(EVENTS) as EventRow[]) {
    const metric = metrics.find((one) => one.name === name);
    if (metric !== undefined) return { metrics, metric };
  }
  throw new Error(`no event has the metric ${name}`);
}

/** The lines that a function logs with an event whose number is `value`: none where the event only counts. */
function linesOf({ watches }: AlarmRow, value: number, stack: string, at: number): string[] {
  if (!('metric' in watches)) throw new Error('only metrics of events are in log lines');
  const { metrics, metric } = rowOf(watches.metric);
  if (metric.field === undefined)
    return Array.from({ length: value }, () => JSON.stringify(writeMetrics(metrics, {}, stack, at)));
  return [JSON.stringify(writeMetrics([metric], { [metric.field]: value }, stack, at))];
}

async function start() {
  const fired = new Set<AlarmName>();
  const parts = await startEmulatedStack({
    settings: SETTINGS,
    hasPager: true,
    keys: KEYS,
    apiKeys: PROJECTS,
    webhookSecrets: { default: SIGNING_SECRET },
    deliver: { retryAfterSeconds: 0 },
    onAlarm: ({ alarm, to }) => {
      if (to === 'ALARM') fired.add(alarm.name.slice('batchdrop-'.length) as AlarmName);
    },
  });
  const { clock, emulator } = parts;
  const stack = parts.stack();
  const { endpoints, credentials, region, resources } = stack;
  const sqs = new SQSClient({ endpoint: endpoints.sqs, credentials, region });
  onTestFinished(() => sqs.destroy());
  const urlOf = (queue: string) => resources.queues[queue]!.url;
  const rules = new Map<string, readonly FaultRule[]>();
  const scene: Scene = {
    emulator,
    async drop(Key, ...lines) {
      await parts.drop(Key, lines.join('\n'));
      const head = await parts.s3.send(new HeadObjectCommand({ Bucket: parts.bucket, Key }));
      return jobIdOf({
        bucket: parts.bucket,
        key: Key,
        versionId: head.VersionId!,
        etag: head.ETag!,
        lastModified: head.LastModified!.getTime(),
        size: head.ContentLength!,
      });
    },
    async operate(request) {
      const iam = { userArn: 'arn:aws:iam::000000000000:user/on-call' };
      const body = JSON.stringify(request);
      const event = { requestContext: { authorizer: { iam } }, body };
      expect(await stack.invoke('operate', event)).toMatchObject({ ok: true, payload: { statusCode: 200 } });
    },
    faults(name, added = []) {
      rules.set(name, added);
      emulator.setFaults({ rules: [...rules.values()].flat() });
    },
    async send(queue, MessageBody) {
      await sqs.send(new SendMessageCommand({ QueueUrl: urlOf(queue), MessageBody }));
    },
    async take(queue) {
      const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: urlOf(queue) }));
      await sqs.send(
        new DeleteMessageCommand({ QueueUrl: urlOf(queue), ReceiptHandle: Messages![0]!.ReceiptHandle! }),
      );
    },
  };
  const named = () =>
    stack.alarms().map(({ alarm, state }) => [alarm.name.slice('batchdrop-'.length), state] as const);
  return {
    ...parts,
    scene,
    sqs,
    clock,
    fired,
    stack,
    names: () => named().map(([name]) => name as AlarmName),
    firing: () => named().flatMap(([name, state]) => (state === 'ALARM' ? [name as AlarmName] : [])),
    urlOf,
  };
}

test('each alarm fires on its cause and clears once that is gone, and the subscriber of the topic gets both messages', {
  timeout: 600_000,
}, async () => {
  const { scene, stack, sqs, clock, poll, fired, names, firing, urlOf } = await start();
  expect(names().sort()).toEqual(Object.keys(ALARMS).sort());
  const causes = Object.entries(CAUSES) as [AlarmName, Made | Lines | Untried][];
  const made = causes.flatMap(([name, cause]) => ('begin' in cause ? [[name, cause] as const] : []));
  const byLog = causes.flatMap(([name, cause]) => ('whyByLog' in cause ? [name] : []));

  // No poll has run yet: poll-silent.
  clock.advance(3 * PERIOD);
  expect(firing()).toEqual(['poll-silent']);
  const begun = new Map<AlarmName, unknown>();
  for (const [name, { begin }] of made) begun.set(name, await begin(scene));
  for (let time = 0; time < 2; time++) await poll(PERIOD);
  await poll(3 * HOUR_MS);
  for (let time = 0; time < 13; time++) await poll(HOUR_MS);
  // Three periods, since a failing poll has to fail in as many.
  for (let period = 0; period < 3; period++) {
    for (const name of byLog)
      for (const line of linesOf(ALARMS[name], ALARMS[name].threshold, 'batchdrop', clock.now()))
        stack.readLog(line);
    clock.advance(PERIOD);
    firing();
  }
  const tried = causes.flatMap(([name, cause]) => ('whyNot' in cause ? [] : [name]));
  expect([...fired].sort()).toEqual(tried.sort());

  for (const [name, { end }] of made) await end?.(scene, begun.get(name));
  // The polls are further apart than poll-silent takes.
  const left = () => firing().filter((name) => name !== 'poll-silent');
  for (let time = 0; time < 40 && left().length > 0; time++) {
    for (const name of byLog)
      for (const line of linesOf(ALARMS[name], 0, 'batchdrop', clock.now())) stack.readLog(line);
    await poll(time < 4 ? PERIOD : HOUR_MS);
  }
  expect(left()).toEqual([]);

  const pager = urlOf(Object.keys(stack.resources.queues).find((role) => /pager/i.test(role))!);
  const told: string[] = [];
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: pager, MaxNumberOfMessages: 10 }),
    );
    if (Messages.length === 0) break;
    for (const { Body, ReceiptHandle } of Messages) {
      const { TopicArn, Message } = JSON.parse(Body!);
      expect(TopicArn).toMatch(/:on-call$/);
      const { AlarmName, NewStateValue } = JSON.parse(Message);
      told.push(`${AlarmName.slice('batchdrop-'.length)} ${NewStateValue}`);
      await sqs.send(new DeleteMessageCommand({ QueueUrl: pager, ReceiptHandle: ReceiptHandle! }));
    }
  }
  for (const name of tried) expect(told).toEqual(expect.arrayContaining([`${name} ALARM`, `${name} OK`]));
});
