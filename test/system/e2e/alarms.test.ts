/** Every alarm of the synthesized stack fires and clears on the local stack, in the stack's own time. */
import {
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test } from 'vitest';
import { ALARMS, type AlarmName, type AlarmRow } from '../../../src/contract/alarms.ts';
import { type EventMetric, writeMetrics } from '../../../src/contract/event-metrics.ts';
import { EVENTS, type EventRow } from '../../../src/contract/events.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { SIGNING_SECRET } from '../../support/webhooks.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** Of the poll and of the alarms that follow it. */
const PERIOD = 5 * MINUTE;

/** What gives a stack all alarms that there are. */
const SETTINGS = {
  routes: [
    {
      ...BATCH_ONLY,
      name: 'all',
      prefix: 'input/',
      notify: 'arn:aws:sns:us-east-1:111122223333:team',
    },
  ],
  webhooks: { apiKeys: ['default'], endpoint: 'function_url' as const },
};

/** The row of the table whose log line has the metric. */
function rowOf(name: string): { metrics: readonly EventMetric[]; metric: EventMetric } {
  for (const { metrics = [] } of Object.values(EVENTS) as EventRow[]) {
    const metric = metrics.find((one) => one.name === name);
    if (metric !== undefined) return { metrics, metric };
  }
  throw new Error(`no event has the metric ${name}`);
}

/** The line that a function logs with an event whose number is `value`: nothing where the event only counts. */
function lineOf(name: string, value: number, stack: string, at: number): string[] {
  const { metrics, metric } = rowOf(name);
  const { field, of } = metric;
  if (field === undefined)
    return Array.from({ length: value }, () => JSON.stringify(writeMetrics(metrics, {}, stack, at)));
  const fields = { [field]: of === undefined ? value : { [of]: value } };
  return [JSON.stringify(writeMetrics([metric], fields, stack, at))];
}

test('each alarm fires on its cause and clears once that is gone', { timeout: 300_000 }, async () => {
  const { stack: current, clock } = await startEmulatedStack({
    settings: SETTINGS,
    webhookSecrets: { default: SIGNING_SECRET },
    deliver: { retryAfterSeconds: 0 },
  });
  const stack = current();
  const stackName = stack.stackId.split('/')[1]!;
  const { endpoints, credentials, region, resources } = stack;
  const sqs = new SQSClient({ endpoint: endpoints.sqs, credentials, region });
  onTestFinished(() => sqs.destroy());
  const states = () =>
    Object.fromEntries(
      stack.alarms().map(({ alarm, state }) => [alarm.name.slice(stackName.length + 1), state]),
    ) as Partial<Record<AlarmName, string>>;
  const names = Object.keys(states()) as AlarmName[];
  const rows = names.map((name) => [name, ALARMS[name] as AlarmRow] as const);
  const without = (others: readonly string[]) => names.filter((name) => !others.includes(name));
  expect(names.sort()).toEqual(Object.keys(ALARMS).sort());

  // No poll has run yet: its alarm takes the silence itself for the cause.
  clock.advance(3 * PERIOD);
  expect(states()['poll-silent']).toBe('ALARM');
  await stack.runSchedule();
  clock.advance(MINUTE);
  expect(states()['poll-silent']).toBe('OK');

  // Dead letters: a message that no function understands.
  const queues = rows.flatMap(([, { watches }]) =>
    'deadLettersOf' in watches ? [watches.deadLettersOf] : [],
  );
  for (const queue of queues) {
    // Notifications come there from EventBridge, which has no queue in front.
    const { url } = resources.queues[queue] ?? resources.queues[`${queue}-dead-letters`]!;
    await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'no message of ours' }));
  }
  await expect
    .poll(() => queues.map((queue) => stack.queueDepth(`${queue}-dead-letters`).ready), { timeout: 240_000 })
    .toEqual(queues.map(() => 1));

  const log = (pick: (row: AlarmRow) => number) => {
    for (const [name, row] of rows) {
      if (!('metric' in row.watches) || name === 'poll-silent') continue;
      const { watches } = row;
      const share = 'dividedBy' in watches ? watches.atLeast : undefined;
      const value = share === undefined ? pick(row) : Math.ceil(pick(row)) * share;
      const lines = [
        ...lineOf(watches.metric, value, stackName, clock.now()),
        ...('dividedBy' in watches ? lineOf(watches.dividedBy, 100, stackName, clock.now()) : []),
      ];
      for (const line of lines) stack.readLog(line);
    }
  };
  // Three periods, since a failing poll has to fail in as many.
  for (let period = 0; period < 3; period++) {
    log(({ threshold }) => threshold);
    clock.advance(PERIOD);
    stack.alarms();
  }
  const fired = states();
  expect(names.filter((name) => fired[name] === 'ALARM')).toEqual(
    expect.arrayContaining(without(['poll-silent', 'functions-failing', 'functions-throttled'])),
  );

  // The causes are gone.
  for (const queue of queues) {
    const QueueUrl = resources.queues[`${queue}-dead-letters`]!.url;
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
    await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: Messages![0]!.ReceiptHandle! }));
  }
  log(() => 0);
  clock.advance(DAY);
  const cleared = states();
  expect(names.filter((name) => cleared[name] !== 'OK')).toEqual(['poll-silent']);
});
