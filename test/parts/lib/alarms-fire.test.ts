/** Each alarm of the template fires over the lines that the events write, and clears: by the local stack's CloudWatch. */
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { PipelineStack } from '../../../lib/pipeline-stack.ts';
import type { AlarmPlan } from '../../../local/services/cloudwatch/alarm-rule.ts';
import { readEmbeddedMetrics } from '../../../local/services/cloudwatch/emf.ts';
import { MetricStore, type Sample } from '../../../local/services/cloudwatch/metrics.ts';
import { AlarmWatch } from '../../../local/services/cloudwatch/watch.ts';
import { planAlarms } from '../../../local/stack/alarms.ts';
import { nameResources } from '../../../local/stack/names.ts';
import { ALARMS, type AlarmName, type AlarmRow } from '../../../src/contract/alarms.ts';
import { writeFields } from '../../../src/contract/event-fields.ts';
import { writeMetrics } from '../../../src/contract/event-metrics.ts';
import { EVENTS, type EventName, type EventRow } from '../../../src/contract/events.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { newApp } from '../../support/synthesize.ts';

const MINUTE = 60_000;
const AT = Date.UTC(2026, 10, 30);
const STACK = 'batchdrop';
const TOPIC = 'arn:aws:sns:us-east-1:000000000000:on-call';
const ACCOUNT = {
  accountId: '000000000000',
  region: 'us-east-1',
  stackName: STACK,
  stackId: 'arn:aws:cloudformation:us-east-1:000000000000:stack/batchdrop/0',
};

const problems: string[] = [];
const stack = new PipelineStack(newApp(), STACK, {
  settings: {
    routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', notify: TOPIC }],
    webhooks: { apiKeys: ['default'] },
  },
});
const named = nameResources(Template.fromStack(stack).toJSON() as never, ACCOUNT as never, (name) => name);
const plans = new Map(planAlarms(named, problems).map((plan) => [plan.name, plan]));

/** The line that an event writes, as CloudWatch reads it. */
function samplesOf(event: EventName, values: Readonly<Record<string, unknown>>, at: number): Sample[] {
  const { fields: kinds, metrics = [] }: EventRow = EVENTS[event];
  const { fields } = writeFields(kinds, values);
  return readEmbeddedMetrics(
    JSON.stringify({ event, ...fields, ...writeMetrics(metrics, fields, STACK, at) }),
  );
}

const HEALTHY = {
  ...{ overdue: 0, oldestOverdueMs: 0, atOpenAI: 3, unreachable: 0, late: 0, silentWebhooks: 0 },
  ...{ waitingFor: {}, waiting: 0, oldestWaitingMs: 0, suspended: {}, pricesAgeDays: 20 },
};
const sampled = (trouble: object) => ({
  event: 'pipeline.sampled' as const,
  fields: { ...HEALTHY, ...trouble },
});
const DAY = 24 * 60 * MINUTE;

/** What is wrong, by alarm: an event, so many times, each five minutes after the one before. */
const TROUBLE: Partial<Record<AlarmName, { event: EventName; fields: object; times?: number }>> = {
  'poll-failing': { event: 'poll.failed', fields: { error: { name: 'Error' } }, times: 3 },
  'sweep-behind': sampled({ oldestOverdueMs: DAY / 12 }),
  'oldest-waiting': sampled({ oldestWaitingMs: DAY / 2 }),
  'batch-held': sampled({ waitingFor: { release: 1 } }),
  'creation-unconfirmed': { event: 'creation.unconfirmed', fields: { unconfirmedMs: DAY / 12 } },
  'batch-stuck': { event: 'batch.stuck', fields: {} },
  'job-held': { event: 'job.delayed', fields: { isHeld: true } },
  'key-suspended': sampled({ suspended: { key: 1 } }),
  'quota-suspended': sampled({ suspended: { quota: 1 } }),
  'billing-suspended': sampled({ suspended: { billing: 1 } }),
  'model-suspended': sampled({ suspended: { model: 1 } }),
  'error-rate': {
    event: 'job.completed',
    fields: { requests: 100, failed: 5, failedUncancelled: 5, invalid: 0 },
  },
  'budget-low': { event: 'dispatch.completed', fields: { budgetPercent: 80, overBudget: 0 } },
  'budget-spent': { event: 'dispatch.completed', fields: { overBudget: 1 } },
  'deadline-missed': { event: 'job.completed', fields: { isLate: true } },
  'webhooks-silent': sampled({ silentWebhooks: 1 }),
  'batches-lost': sampled({ unreachable: 1 }),
  'ledger-drift': { event: 'reservation.released', fields: {}, times: 5 },
  'prices-old': sampled({ pricesAgeDays: 61 }),
  'model-ending': { event: 'model.deprecated', fields: {} },
};

/** An alarm alone, over a stack that polls each five minutes. */
function watch(plan: AlarmPlan) {
  const metrics = new MetricStore();
  const looked: Sample[] = [];
  const alarms = new AlarmWatch({
    alarms: [plan],
    metrics,
    sample: (at) => looked.map((sample) => ({ ...sample, at })),
    startedAt: AT,
    onChange: () => {},
  });
  let now = AT;
  return {
    looked,
    state: () => alarms.alarms[0]!.state,
    /** Lambda counts something now. */
    count: (sample: Omit<Sample, 'at'>) => metrics.add({ ...sample, at: now }),
    /** Five minutes pass, and these events were recorded at their beginning. */
    pass: (...events: { event: EventName; fields: object }[]) => {
      for (const { event, fields } of events)
        for (const sample of samplesOf(event, fields as Record<string, unknown>, now)) metrics.add(sample);
      now += 5 * MINUTE;
      alarms.advance(now);
    },
  };
}

const POLL = sampled({});

test('the local stack can evaluate every alarm of the template', () => {
  expect(problems).toEqual([]);
  expect([...plans.keys()].sort()).toEqual(
    Object.keys(ALARMS)
      .map((name) => `${STACK}-${name}`)
      .sort(),
  );
});

test.each(Object.entries(ALARMS) as [AlarmName, AlarmRow][])('%s fires, and clears', (name, row) => {
  const plan = plans.get(`${STACK}-${name}`)!;
  const stack = watch(plan);
  for (let poll = 0; poll < 6; poll++) stack.pass(POLL);
  expect(stack.state()).not.toBe('ALARM');

  const trouble = TROUBLE[name];
  if ('functions' in row.watches) {
    const metrics = plan.series.flatMap(({ metric }) => metric?.metric ?? []);
    // Each function has a few: only together they are too many.
    const value = Math.ceil(row.threshold / metrics.length);
    for (const metric of metrics) stack.count({ ...metric, value });
    stack.pass(POLL);
  } else if ('deadLettersOf' in row.watches) {
    const { metric } = plan.series[0]!.metric!;
    stack.looked.push({ ...metric, at: AT, value: 1 });
    stack.pass(POLL);
  } else if (name === 'poll-silent') for (let silent = 0; silent < 6; silent++) stack.pass();
  else
    for (let time = 0; time < (trouble!.times ?? 1); time++)
      stack.pass(...(trouble!.event === 'pipeline.sampled' ? [trouble!] : [POLL, trouble!]));
  expect(stack.state()).toBe('ALARM');

  stack.looked.length = 0;
  // The longest period is twelve hours; the local CloudWatch looks back over three.
  for (let poll = 0; poll < 37 * 12 && stack.state() === 'ALARM'; poll++) stack.pass(POLL);
  expect(stack.state()).toBe('OK');
});

test('error-rate does not fire for a few that failed, whatever their share, and does for a small job that failed as a whole', () => {
  const stack = watch(plans.get(`${STACK}-error-rate`)!);
  const ended = (requests: number, failed: number) => ({
    event: 'job.completed' as const,
    fields: { requests, failed, failedUncancelled: failed, invalid: 0 },
  });
  stack.pass(POLL, ended(1, 1));
  expect(stack.state()).toBe('OK');
  stack.pass(POLL, ended(3, 3));
  expect(stack.state()).toBe('OK');
  stack.pass(POLL, ended(1, 1));
  expect(stack.state()).toBe('ALARM');
  for (let poll = 0; poll < 13; poll++) stack.pass(POLL, ended(100, 4));
  expect(stack.state()).toBe('OK');
});

test('creation-unconfirmed waits until two hours have passed, and stays from one to the next', () => {
  const stack = watch(plans.get(`${STACK}-creation-unconfirmed`)!);
  const states: string[] = [];
  for (let poll = 0; poll < 12 * 6; poll++) {
    const unconfirmedMs = poll * 5 * MINUTE;
    const isLookedUp = poll % 13 === 0;
    stack.pass(
      POLL,
      ...(isLookedUp ? [{ event: 'creation.unconfirmed' as const, fields: { unconfirmedMs } }] : []),
    );
    states.push(stack.state());
  }
  const firstAt = states.indexOf('ALARM');
  expect(firstAt).toBe(26);
  expect(new Set(states.slice(firstAt))).toEqual(new Set(['ALARM']));
});

test('error-rate does not fire for a job that a person cancelled', () => {
  const stack = watch(plans.get(`${STACK}-error-rate`)!);
  const fields = { requests: 100, failed: 90, failedUncancelled: 0, invalid: 0 };
  for (let poll = 0; poll < 12; poll++) stack.pass(POLL, { event: 'job.completed', fields });
  expect(stack.state()).toBe('OK');
});

test('job-held stays while a job is tried in vain every six hours and a little more', () => {
  const stack = watch(plans.get(`${STACK}-job-held`)!);
  const states = new Set<string>();
  for (let poll = 0; poll < 3 * 12 * 7; poll++) {
    const isTried = poll % (6 * 12 + 6) === 0;
    stack.pass(POLL, ...(isTried ? [{ event: 'job.delayed' as const, fields: { isHeld: true } }] : []));
    states.add(stack.state());
  }
  expect([...states]).toEqual(['ALARM']);
});

test('budget-spent stays while a poll is silent', () => {
  const stack = watch(plans.get(`${STACK}-budget-spent`)!);
  stack.pass(POLL, { event: 'dispatch.completed', fields: { overBudget: 1 } });
  for (let poll = 0; poll < 6; poll++) stack.pass(POLL);
  expect(stack.state()).toBe('ALARM');
});
