import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type EventPattern,
  matchesPattern,
  requireKnownOperators,
} from '../../../../../local/services/eventbridge/event-pattern.ts';
import {
  type BusEvent,
  type EventRule,
  startEvents,
} from '../../../../../local/services/eventbridge/events.ts';
import type { Invocation } from '../../../../../local/services/lambda/sandbox.ts';

const EVENT: BusEvent = {
  version: '0',
  id: '1',
  'detail-type': 'Object Created',
  source: 'aws.s3',
  account: '000000000000',
  time: '2026-01-01T00:00:00Z',
  region: 'us-east-1',
  resources: ['arn:aws:s3:::shop', 'arn:aws:s3:::other'],
  detail: { bucket: { name: 'shop' }, object: { key: 'input/a.jsonl', size: 12 }, deleted: null },
};

describe('patterns', () => {
  const object = (key: unknown[]): EventPattern => ({ detail: { object: { key } } });

  test.each<[string, EventPattern, boolean]>([
    ['an exact value matches', { source: ['aws.s3'] }, true],
    ['another exact value does not', { source: ['aws.ec2'] }, false],
    ['one of several values is enough', { source: ['aws.ec2', 'aws.s3'] }, true],
    ['every field must match', { source: ['aws.s3'], region: ['eu-west-1'] }, false],
    ['numbers and null are compared exactly', { detail: { object: { size: [12] }, deleted: [null] } }, true],
    ['a number is not its text', { detail: { object: { size: ['12'] } } }, false],
    ['a list in the event matches by one item', { resources: ['arn:aws:s3:::other'] }, true],
    ['a prefix matches', object([{ prefix: 'input/' }]), true],
    ['another prefix does not', object([{ prefix: 'output/' }]), false],
    ['a suffix matches', object([{ suffix: '.jsonl' }]), true],
    ['a wildcard spans slashes', object([{ wildcard: 'in*.jsonl' }]), true],
    ['a dot in a wildcard is a dot', object([{ wildcard: 'input/aXjsonl' }]), false],
    ['a question mark in a wildcard is literal', object([{ wildcard: 'input/?.jsonl' }]), false],
    ['anything-but refuses what it names', object([{ 'anything-but': ['input/a.jsonl'] }]), false],
    ['anything-but a prefix', object([{ 'anything-but': { prefix: 'output/' } }]), true],
    ['equals-ignore-case', object([{ 'equals-ignore-case': 'INPUT/A.JSONL' }]), true],
    ['a field that must exist does', object([{ exists: true }]), true],
    ['a field that must not exist', { detail: { reason: [{ exists: false }] } }, true],
    ['a field that is missing matches no value', { detail: { reason: { why: ['x'] } } }, false],
  ])('%s', (_sentence, pattern, expected) => {
    expect(matchesPattern(pattern, EVENT)).toBe(expected);
  });

  test('fails for an operator that is not known, naming the rule and what is known', () => {
    expect(() => requireKnownOperators({ detail: { size: [{ numeric: ['>', 1] }] } }, 'big')).toThrow(
      /Rule "big": the local stack does not know the pattern operator "numeric" \(known: exact values, prefix/,
    );
  });
});

describe('the bus', () => {
  const SUCCESS: Invocation = { requestId: 'r', durationMs: 1, ok: true, payload: null };
  const FAILURE: Invocation = {
    requestId: 'r',
    durationMs: 1,
    ok: false,
    error: { errorType: 'Error', errorMessage: 'no' },
  };
  const rule = (values: Partial<EventRule>): EventRule => ({
    name: 'rule',
    arn: 'arn:aws:events:us-east-1:000000000000:rule/rule',
    busName: 'default',
    targets: [{ kind: 'queue', queueName: 'work' }],
    ...values,
  });

  async function start(options: Partial<Parameters<typeof startEvents>[0]>) {
    const sendToQueue = vi.fn();
    const invokeFunction = vi.fn(async (_name: string, _event: unknown) => SUCCESS);
    const bus = await startEvents({
      rules: [],
      sendToQueue,
      invokeFunction,
      scheduleEveryMs: 'manual',
      ...options,
    });
    onTestFinished(bus.close);
    const client = new EventBridgeClient({
      endpoint: bus.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'y' },
      maxAttempts: 1,
    });
    onTestFinished(() => client.destroy());
    return { bus, client, sendToQueue, invokeFunction };
  }

  const onS3 = rule({ pattern: { source: ['aws.s3'] } });

  test('a matching event is in the queue when publish returns', async () => {
    const { bus, sendToQueue } = await start({ rules: [onS3] });
    bus.publish(EVENT);
    bus.publish({ ...EVENT, source: 'other' });
    expect(sendToQueue.mock.calls).toEqual([['work', JSON.stringify(EVENT)]]);
  });

  test('publish fails when the queue fails, so that S3 sends the event again', async () => {
    const { bus } = await start({
      rules: [onS3],
      sendToQueue() {
        throw new Error('disk full');
      },
    });
    expect(() => bus.publish(EVENT)).toThrow('disk full');
  });

  test('with deliverTwice each event goes to each target twice, as the same event', async () => {
    const { bus, sendToQueue, invokeFunction } = await start({
      rules: [
        rule({
          pattern: { source: ['aws.s3'] },
          targets: [
            { kind: 'queue', queueName: 'work' },
            { kind: 'function', functionName: 'fn', maxRetries: 0 },
          ],
        }),
      ],
      deliverTwice: true,
    });
    bus.publish(EVENT);
    await vi.waitFor(() => expect(invokeFunction).toHaveBeenCalledTimes(2));
    expect(sendToQueue.mock.calls).toEqual([
      ['work', JSON.stringify(EVENT)],
      ['work', JSON.stringify(EVENT)],
    ]);
  });

  test('PutEvents delivers what the official client sends', async () => {
    const { client, sendToQueue } = await start({
      rules: [rule({ pattern: { source: ['batchdrop'], detail: { jobId: ['j1'] } } })],
    });
    const answer = await client.send(
      new PutEventsCommand({
        Entries: [
          {
            Source: 'batchdrop',
            DetailType: 'JobCompleted',
            Detail: '{"jobId":"j1"}',
            EventBusName: 'default',
          },
        ],
      }),
    );
    expect(answer.FailedEntryCount).toBe(0);
    const [, body] = sendToQueue.mock.calls[0] ?? [];
    expect(JSON.parse(body)).toMatchObject({
      id: answer.Entries?.[0]?.EventId,
      source: 'batchdrop',
      'detail-type': 'JobCompleted',
      detail: { jobId: 'j1' },
    });
  });

  test('PutEvents refuses an entry whose detail is not JSON and takes the others', async () => {
    const { client } = await start({});
    const { FailedEntryCount, Entries } = await client.send(
      new PutEventsCommand({
        Entries: [
          { Source: 's', DetailType: 't', Detail: 'not json' },
          { Source: 's', DetailType: 't', Detail: '{}' },
        ],
      }),
    );
    expect(FailedEntryCount).toBe(1);
    expect(Entries?.[0]?.ErrorCode).toBe('MalformedDetail');
    expect(Entries?.[1]?.EventId).toBeDefined();
  });

  test('PutEvents is refused for a caller without the right', async () => {
    const { client } = await start({
      authorize: (_key, { action, resource }) => `no ${action} on ${resource}`,
    });
    const command = new PutEventsCommand({ Entries: [{ Source: 's', DetailType: 't', Detail: '{}' }] });
    await expect(client.send(command)).rejects.toThrow(
      'no events:PutEvents on arn:aws:events:us-east-1:000000000000:event-bus/default',
    );
  });

  test('a schedule runs its function with a scheduled event when the test asks for it', async () => {
    const schedule = rule({
      schedule: 'rate(5 minutes)',
      targets: [{ kind: 'function', functionName: 'poll', maxRetries: 0 }],
    });
    const { bus, invokeFunction } = await start({ rules: [schedule] });
    expect(await bus.runSchedule()).toEqual([SUCCESS]);
    expect(invokeFunction).toHaveBeenCalledWith(
      'poll',
      expect.objectContaining({
        'detail-type': 'Scheduled Event',
        source: 'aws.events',
        resources: [schedule.arn],
      }),
    );
    await expect(bus.runSchedule('other')).rejects.toThrow(
      'There is no schedule "other" in the stack (all: rule)',
    );
  });

  test('a schedule with an interval runs by itself and leaves a tick out while it still runs', async () => {
    const release = Promise.withResolvers<Invocation>();
    const invokeFunction = vi.fn(() => release.promise);
    const targets: EventRule['targets'] = [{ kind: 'function', functionName: 'poll', maxRetries: 0 }];
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { bus } = await start({
      rules: [rule({ schedule: 'rate(2 minutes)', targets })],
      invokeFunction,
      scheduleEveryMs: undefined,
    });
    vi.advanceTimersByTime(119_999);
    expect(invokeFunction).not.toHaveBeenCalled();
    vi.advanceTimersByTime(240_001);
    expect(invokeFunction).toHaveBeenCalledTimes(1);
    expect(bus.active).toBe(1);
    release.resolve(SUCCESS);
    await vi.waitFor(() => expect(bus.active).toBe(0));
  });

  test('a failed asynchronous invocation is run again as often as its settings say', async () => {
    const invokeFunction = vi.fn(async () => FAILURE);
    const { bus } = await start({
      rules: [
        rule({
          schedule: 'rate(1 hour)',
          targets: [{ kind: 'function', functionName: 'fn', maxRetries: 2 }],
        }),
      ],
      invokeFunction,
    });
    expect(await bus.runSchedule()).toEqual([FAILURE]);
    expect(invokeFunction).toHaveBeenCalledTimes(3);
  });

  const THROTTLED: Invocation = {
    requestId: 'r',
    durationMs: 0,
    ok: false,
    error: { errorType: 'TooManyRequestsException', errorMessage: 'Rate Exceeded.' },
    isThrottled: true,
  };
  const polls = (maxAgeMs: number): EventRule =>
    rule({
      schedule: 'rate(5 minutes)',
      targets: [{ kind: 'function', functionName: 'poll', maxRetries: 0, maxAgeMs }],
    });

  test('an asynchronous invocation that is throttled is tried again with a back-off, which uses up none of its retries', async () => {
    const { waits, ...ports } = throttledTimes(4);
    const { bus } = await start({ rules: [polls(60_000)], ...ports });
    expect(await bus.runSchedule()).toEqual([SUCCESS]);
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000]);
  });

  test('an event that is throttled for longer than its age is thrown away', async () => {
    const { waits, ...ports } = throttledTimes(Number.POSITIVE_INFINITY);
    const { bus } = await start({ rules: [polls(6_000)], ...ports });
    expect(await bus.runSchedule()).toEqual([THROTTLED]);
    expect(waits).toEqual([1_000, 2_000]);
  });

  /** A function that is throttled so often, and how long was waited in between. */
  function throttledTimes(times: number) {
    const waits: number[] = [];
    const invokeFunction = async () => (waits.length < times ? THROTTLED : SUCCESS);
    return { waits, invokeFunction, sleep: async (ms: number) => void waits.push(ms) };
  }

  test('fails to start with a schedule that is not a rate, unless an interval is given', async () => {
    const rules = [rule({ schedule: 'cron(0 3 * * ? *)' })];
    await expect(start({ rules, scheduleEveryMs: undefined })).rejects.toThrow('not "cron(0 3 * * ? *)"');
    await expect(start({ rules, scheduleEveryMs: 'manual' })).resolves.toBeDefined();
  });
});
