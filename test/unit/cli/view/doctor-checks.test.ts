import { expect, test } from 'vitest';
import {
  CHECKS,
  type DoctorFacts,
  type DoctorReadings,
  doctorText,
  isSick,
  judge,
} from '../../../../cli/view/doctor-checks.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const HOUR = 3_600_000;
const SUSPENSION = {
  v: 1,
  scope: 'default',
  isSuspended: true,
  reason: 'invalid_api_key',
  provenBy: 'created',
  suspendedAt: NOW - HOUR,
  probes: 0,
  probeAt: NOW,
  updatedAt: NOW,
} as const;

/** A stack of which nothing is wrong. */
const SOUND: DoctorFacts = {
  records: { unknown: undefined },
  version: { stack: '1.2.0', cli: '1.2.0' },
  secrets: [{ apiKey: 'default', isSet: true, command: 'aws set' }],
  notification: { bucket: 'drops', isOn: true, command: 'aws on' },
  poll: { at: NOW - 60_000 },
  clock: { skewMs: -2_000 },
  queues: [{ name: 'ingest', waiting: 1, deadLetters: 0, isSource: true }],
  suspensions: [],
  pauses: [],
  forgetting: [{ jobId: 'j', key: 'input/a.jsonl', since: NOW - 60_000 }],
  held: [],
  atOpenAI: [],
  quota: [{ model: 'gpt-x', apiKey: 'default', restsUntil: NOW }],
  prices: { date: '2026-11-30' },
  models: [{ model: 'gpt-x', shutdown: { date: '2027-12-31', replacements: [] } }],
  orphans: { files: [], running: [], young: 2 },
};

const readings = (changes: Partial<DoctorFacts> = {}): DoctorReadings =>
  Object.fromEntries(
    Object.entries({ ...SOUND, ...changes }).map(([name, read]) => [name, { read }]),
  ) as DoctorReadings;

const findingsOf = (changes: Partial<DoctorFacts>) =>
  judge(readings(changes), NOW).flatMap(({ check, findings }) =>
    findings.filter(({ level }) => level !== 'ok').map((finding) => ({ check, ...finding })),
  );

test('of a sound stack each check says in one line what is in order', () => {
  const checked = judge(readings(), NOW);
  expect(isSick(checked)).toBe(false);
  expect(checked.map(({ check }) => check)).toEqual(Object.keys(CHECKS));
  const lines = doctorText(checked, 120).split('\n');
  expect(lines).toHaveLength(Object.keys(CHECKS).length + 2);
  expect(lines.at(-1)).toBe('Nothing is wrong.');
});

test.each<[Partial<DoctorFacts>, string, string, string | undefined]>([
  [
    { secrets: [{ apiKey: 'ads', isSet: false, command: 'aws set' }] },
    'bad',
    'key "ads" was never set',
    'aws set',
  ],
  [
    { version: { stack: '1.1.0', cli: '1.2.0' } },
    'warn',
    'the stack is of version 1.1.0, this command line of 1.2.0',
    undefined,
  ],
  [
    { forgetting: [{ jobId: 'j', key: 'input/a.jsonl', since: NOW - HOUR }] },
    'bad',
    'the removal of job j (input/a.jsonl) began 1 h ago and was cut off',
    'batchdrop forget j',
  ],
  [
    { records: { unknown: 'table/a/b has version 2' } },
    'bad',
    'upgrade the CLI to the release that is deployed (table/a/b has version 2)',
    undefined,
  ],
  [
    {
      orphans: { files: [{ kind: 'input', bytes: 1_500 }, { kind: 'results' }], running: [], young: 1 },
    },
    'warn',
    '1 input file and 1 file of results, 1,500 bytes that no job knows (1 younger one left out)',
    'batchdrop doctor --openai --clean',
  ],
  [
    { orphans: { files: [], running: ['batch_1'], young: 0 } },
    'warn',
    '1 batch under way that no job knows: batch_1',
    undefined,
  ],
  [
    { queues: [{ name: 'notifications', waiting: 0, deadLetters: 1, isSource: false }] },
    'bad',
    'They have no queue to go back to: docs/runbook.md, "notifications-dead-letters"',
    undefined,
  ],
  [{ notification: { ...SOUND.notification, isOn: false } }, 'bad', 'does not tell EventBridge', 'aws on'],
  [{ poll: { at: NOW - 2 * HOUR } }, 'bad', 'began last 2 h ago: nothing is found out', undefined],
  [{ poll: { at: NOW - 16 * 60_000 } }, 'warn', 'began last 16 min ago: that is late', undefined],
  [{ poll: { at: undefined } }, 'warn', 'has not run yet', undefined],
  [{ clock: { skewMs: -300_000 } }, 'warn', '300 s behind S3: set its clock', undefined],
  [{ clock: { skewMs: undefined } }, 'warn', 'S3 said no time', undefined],
  [
    { queues: [{ name: 'collect', waiting: 0, deadLetters: 2, isSource: true }] },
    'bad',
    '2 dead letters of collect',
    'batchdrop redrive collect',
  ],
  [
    { suspensions: [{ ...SUSPENSION, command: 'aws set' }] },
    'bad',
    'default is suspended since 2026-11-30T11:00:00Z (1 h ago): OpenAI refuses the API key "default"',
    'aws set',
  ],
  [
    { pauses: [{ v: 1, route: 'films', isPaused: true, by: 'arn:ann', at: NOW }] },
    'warn',
    'route "films" is paused by arn:ann',
    'batchdrop unpause films',
  ],
  [
    { held: [{ jobId: 'j', batchId: '0-00000', hold: { reason: 'server_error', at: NOW } }] },
    'bad',
    '1 batch held for a person, of job j: server_error',
    'batchdrop explain j',
  ],
  [
    { atOpenAI: [{ jobId: 'j', batchId: '0-00000' }] },
    'bad',
    'does not end 1 batch, of job j',
    'batchdrop explain j',
  ],
  [
    { prices: { date: '2026-01-01', warning: 'The price table is old.' } },
    'warn',
    'is old',
    'batchdrop prices',
  ],
  [
    { models: [{ model: 'gpt-x', shutdown: { date: '2026-12-11', replacements: ['gpt-y'] } }] },
    'warn',
    'gpt-x is shut down on 2026-12-11; instead: gpt-y',
    undefined,
  ],
  [
    { models: [{ model: 'gpt-x', shutdown: { date: '2026-11-01', replacements: [] } }] },
    'bad',
    'gpt-x was shut down on 2026-11-01',
    undefined,
  ],
])('%j is found, as %s, with what to do', (changes, level, text, command) => {
  const found = findingsOf(changes);
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({ level, text: expect.stringContaining(text) });
  expect(found[0]!.command).toBe(command);
  expect(isSick(judge(readings(changes), NOW))).toBe(level === 'bad');
});

test('what may not be read is to be looked at and names the right; it says nothing of the stack', () => {
  const denied = Object.assign(new Error('no'), { name: 'AccessDeniedException' });
  const checked = judge(
    { ...readings(), secrets: { failed: denied }, queues: { failed: new Error('is not running') } },
    NOW,
  );
  const text = doctorText(checked, 100);
  expect(text).toContain('your credentials may not (secretsmanager:DescribeSecret)');
  expect(text).toContain('could not be looked at (Error): is not running');
  expect(text).toContain('0 things are wrong, 2 things to look at.');
  expect(isSick(checked)).toBe(false);
});

test('the text fits 60 columns, the command on a line of its own', () => {
  const lines = doctorText(judge(readings({ poll: { at: NOW - 9 * HOUR } }), NOW), 60).split('\n');
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(60);
});
