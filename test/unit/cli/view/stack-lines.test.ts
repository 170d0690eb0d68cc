import { describe, expect, it } from 'vitest';
import {
  createNarrator,
  describeAlarmChange,
  describeDropElsewhere,
} from '../../../../cli/view/stack-lines.ts';
import type { StateChange } from '../../../../local/services/cloudwatch/alarm-rule.ts';
import type { EventName } from '../../../../src/contract/events.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';

/** What a narrator says of events, one after the other. */
function tell(...events: [EventName, object][]): (string | undefined)[] {
  const narrator = createNarrator();
  return events.map(([event, fields]) =>
    narrator.read(JSON.stringify({ level: 'INFO', event, message: 'text of the table', ...fields })),
  );
}

const RECORDED: [EventName, object] = [
  'job.recorded',
  { jobId: 'j1', key: 'input/a.jsonl', route: 'default', bytes: 1234 },
];

describe('the lines of a running stack', () => {
  it('say of a job that it began, what it holds and how it ended, by the name of its file', () => {
    expect(
      tell(
        RECORDED,
        ['job.planned', { jobId: 'j1', requests: 2000, invalid: 1, batches: 2 }],
        [
          'job.completed',
          {
            jobId: 'j1',
            key: 'input/a.jsonl',
            result: 'partially_succeeded',
            requests: 2000,
            succeeded: 1998,
            failed: 2,
            invalid: 1,
          },
        ],
      ),
    ).toEqual([
      'input/a.jsonl  began (route default, 1,234 bytes)',
      'input/a.jsonl  1,999 requests in 2 batches; 1 line cannot be sent',
      'input/a.jsonl  ended, partially_succeeded: 1,998 of 2,000 requests succeeded, 2 failed, 1 line invalid',
    ]);
  });

  it.each<[EventName, object, string]>([
    [
      'job.rejected',
      { jobId: 'j1', code: 'empty' },
      'input/a.jsonl  rejected (empty): nothing of it is sent',
    ],
    [
      'duplicate.detected',
      { jobId: 'j1', owner: 'j0' },
      'input/a.jsonl  waits: an earlier drop of the same content is run already',
    ],
    ['budget.exhausted', { jobId: 'j1', batchId: 'b' }, 'input/a.jsonl  waits: the budget is used up'],
    [
      'batch.held',
      { jobId: 'j1', batchId: 'b', code: 'x', resends: 3 },
      'input/a.jsonl  held: OpenAI failed the batch several times (x)',
    ],
    [
      'suspension.started',
      { jobId: 'j1', scope: 'key:default', code: 'insufficient_quota' },
      'key:default  suspended (insufficient_quota)',
    ],
    [
      'object.ignored',
      { key: 'input/_x', why: 'ignored', route: 'default' },
      'input/_x  ignored: it matches a glob in ignore of route "default"',
    ],
    [
      'object.ignored',
      { key: 'input/b.csv', why: 'not_matched', route: 'r' },
      'input/b.csv  ignored: it matches no glob in match of route "r"',
    ],
    [
      'object.ignored',
      { key: 'input/a.jsonl.options.json', why: 'late_options', route: 'r' },
      'input/a.jsonl.options.json  not read yet: its file was put before it',
    ],
    ['object.ignored', { key: 'input/f/', why: 'folder' }, 'input/f/  ignored: it only marks a folder'],
    [
      'dispatch.completed',
      { waitingFor: { tokens: 2, budget: 1, time: 4 } },
      '2 batches wait for room in the batch queue (enqueued tokens); 1 batch waits for the budget',
    ],
    [
      'dispatch.completed',
      { waitingFor: { paused: 2 } },
      '2 batches wait for the end of a pause (`batchdrop unpause`)',
    ],
    [
      'pause.started',
      { route: 'films', by: 'arn:aws:iam::123456789012:user/ada' },
      'route films is paused by arn:aws:iam::123456789012:user/ada: nothing new of it is sent until `batchdrop unpause films`',
    ],
    [
      'pause.started',
      { by: 'arn:aws:iam::123456789012:user/ada' },
      'the stack is paused by arn:aws:iam::123456789012:user/ada: nothing new of it is sent until `batchdrop unpause`',
    ],
    [
      'pause.ended',
      { route: 'films', by: 'arn:aws:iam::123456789012:user/ada' },
      'route films is not paused any more (arn:aws:iam::123456789012:user/ada): the next poll sends what waits',
    ],
    [
      'step.failed',
      { jobId: 'j1', error: { name: 'E', message: 'no table' } },
      'input/a.jsonl  a step failed and is tried again: no table',
    ],
    ['batch.stuck', { jobId: 'j1' }, 'input/a.jsonl  The batch is in one state for longer'],
  ])('tell %s', (event, fields, text) => {
    expect(tell(RECORDED, [event, fields])[1]).toContain(text);
  });

  it('say once what each poll repeats, and again once something else has been said', () => {
    const suspended: [EventName, object] = ['suspension.continued', { scope: 'key:default', code: 'x' }];
    const lines = tell(
      suspended,
      suspended,
      ['dispatch.completed', { waitingFor: { tokens: 1 } }],
      suspended,
      ['suspension.continued', { scope: 'key:default', code: 'y' }],
    );
    expect(lines.map((line) => line !== undefined)).toEqual([true, false, true, false, true]);
  });

  it('leave out what is work as planned, the options of files, and what is no event', () => {
    expect(
      tell(
        ['batch.submitted', { jobId: 'j1' }],
        ['object.ignored', { key: 'input/a.jsonl.options.json', why: 'options', route: 'r' }],
        ['dispatch.completed', { waitingFor: {} }],
        ['nothing.known' as EventName, {}],
      ),
    ).toEqual([undefined, undefined, undefined, undefined]);
    const narrator = createNarrator();
    expect(narrator.read('Error: at index.mjs')).toBeUndefined();
    expect(narrator.read('{"cut')).toBeUndefined();
  });
});

describe('a drop outside of every route', () => {
  it('is said, with the prefixes that routes have; results of ours are not', () => {
    const settings = defaultSettings();
    expect(describeDropElsewhere(settings, 'elsewhere/a.jsonl')).toBe(
      'elsewhere/a.jsonl  ignored: routes take keys below input/',
    );
    for (const key of [
      'input/a.jsonl',
      'output/a.jsonl',
      'work/j/plan.json',
      'receipts/a.json',
      'input/_x',
      '.batchdrop/owners.json',
    ])
      expect(describeDropElsewhere(settings, key)).toBeUndefined();
  });
});

describe('an alarm', () => {
  const alarm = { name: 'Drop-poll-silent', description: 'The poll does not run.' };
  const change = (from: string, to: string) =>
    describeAlarmChange({ alarm, from, to, reason: 'r', at: 0 } as unknown as StateChange);
  it('is said when it fires and when it clears, and not when it first has data', () => {
    expect(change('INSUFFICIENT_DATA', 'OK')).toBeUndefined();
    expect(change('OK', 'ALARM')).toBe('ALARM Drop-poll-silent: The poll does not run.');
    expect(change('ALARM', 'OK')).toBe('alarm Drop-poll-silent cleared (OK)');
  });
});

it('a flood of files is said of each file that waits, and of what the poll starts', () => {
  const narrator = createNarrator();
  const nextAt = '2026-11-30T12:00:00.000Z';
  const read = (line: object) => narrator.read(JSON.stringify(line));
  read({ event: 'job.recorded', jobId: 'j', key: 'input/a.jsonl', route: 'all', bytes: 1 });
  expect(read({ event: 'drop.deferred', jobId: 'j', route: 'all', waitsFor: 'perDay', nextAt })).toBe(
    `input/a.jsonl  waits for its turn: route all lets no more files start (perDay); at ${nextAt} at the earliest`,
  );
  expect(read({ event: 'drops.started', route: 'all', drops: 2 })).toBe(
    '2 files of route all that waited are started',
  );
});
