import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type FieldKind,
  type FieldKinds,
  MAX_OWN_TEXT_CHARS,
  writeFields,
} from '../../../src/contract/event-fields.ts';
import { EVENTS, type EventName, type EventRow } from '../../../src/contract/events.ts';
import { BatchdropError } from '../../../src/core/base/errors.ts';
import { ownText, reasonOf } from '../../../src/core/base/own-text.ts';
import { RECORDED_BY } from '../../support/recorded-by.ts';
import { noTelemetry } from '../../support/telemetry.ts';
import { SIMULATED_EVENTS } from '../../system/simulation/coverage.ts';

const ROOT = join(import.meta.dirname, '../../..');
const ROWS = Object.entries(EVENTS) as [EventName, EventRow][];
/** Each kind, with a value that is of it. */
const VALUES: Record<FieldKind, unknown> = {
  id: 'batch_6a1b-0.1',
  key: 'input/my file, 2nd try.jsonl',
  code: 'insufficient_quota',
  name: 'default/gpt-5.4-mini',
  arn: 'arn:aws:sts::123456789012:assumed-role/Operator/someone+x@example.com',
  count: 0,
  counts: { batch_expired: 2 },
  bytes: 12,
  ms: -1.5,
  time: 0,
  usd: '0.000425',
  httpStatus: 429,
  flag: false,
  reason: ownText`S3 does not give ${'input/a.jsonl'}: ${403}`,
  error: { name: 'TypeError', message: 'fetch failed', at: ['at a.ts:1:2'], cause: { name: 'Error' } },
};
const KINDS = Object.keys(VALUES) as FieldKind[];

describe('the table of events', () => {
  test.each(ROWS)('%s has a name of a noun and a participle, and plain sentences that end', (name, row) => {
    expect(name).toMatch(/^[a-z]+\.[a-z]*(ed|en|wn|cut|lost|held|sent|stuck)$/);
    expect(row.message).toMatch(/^[A-Z].*\.$/);
    expect(row.message.length).toBeLessThan(250);
  });

  test('says each thing once: no two events have the same message', () => {
    expect(new Set(ROWS.map(([, { message }]) => message)).size).toBe(ROWS.length);
  });

  test('has no row that nothing records', () => {
    const sources = globSync('src/{core,runtime,providers,adapters}/**/*.ts', { cwd: ROOT });
    const text = sources.map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n');
    expect(ROWS.map(([name]) => name).filter((name) => !text.includes(`'${name}'`))).toEqual([]);
  });

  test('has every event that the simulation requires or a plain test lists, and no other', () => {
    const checked = new Set([...SIMULATED_EVENTS, ...Object.values(RECORDED_BY).flat()]);
    expect([...checked].sort()).toEqual(ROWS.map(([name]) => name).sort());
  });

  test.each(Object.keys(RECORDED_BY))(
    '%s checks that it records the events that are listed for it',
    (path) => {
      const text = readFileSync(join(ROOT, path), 'utf8');
      expect(text).toContain('\nexpectListedEvents(import.meta.filename);\n');
    },
  );

  test.each(ROWS)('%s has fields of known kinds, and writes each of them', (_name, { fields }) => {
    const kinds = Object.entries(fields).map(([name, spec]) => [name, spec.replace('?', '') as FieldKind]);
    for (const [, kind] of kinds) expect(KINDS).toContain(kind);
    const values = Object.fromEntries(kinds.map(([name, kind]) => [name, VALUES[kind as FieldKind]]));
    const written = writeFields(fields, values);
    expect(written.problems).toEqual([]);
    expect(Object.keys(written.fields)).toEqual(Object.keys(fields));
  });
});

describe('a field', () => {
  const PROMPT = 'Translate into French:\n"Good morning, Mr. Smith."';
  const API_KEY = 'sk-proj-0123456789abcdefABCDEF';

  test.each(KINDS)('of the kind %s takes its own values and no prompt, no answer and no API key', (kind) => {
    const problemsOf = (value: unknown) => writeFields({ field: kind }, { field: value }).problems;
    expect(problemsOf(VALUES[kind])).toEqual([]);
    const contents = [PROMPT, API_KEY, { content: PROMPT }, [PROMPT], { role: 'user', message: PROMPT }];
    for (const content of contents) expect(problemsOf(content), JSON.stringify(content)).toHaveLength(1);
  });

  test('that is of the wrong kind, missing or unknown is not written, and its value is not repeated', () => {
    const kinds = { jobId: 'id', status: 'httpStatus', at: 'time?' } as const satisfies FieldKinds;
    const { fields, problems } = writeFields(kinds, { jobId: PROMPT, prompt: PROMPT, at: undefined });
    expect(fields).toEqual({ jobId: 'withheld: expected id' });
    expect(problems).toEqual([
      'jobId is not of the kind id',
      'status is missing',
      'prompt is no field of this event',
    ]);
  });

  test('of the wrong kind does not compile', () => {
    const recordings = [
      // @ts-expect-error a number is no id
      () => noTelemetry.record('work.removed', { jobs: 'three' }),
      // @ts-expect-error text that is not our own is no reason
      () => noTelemetry.record('lease.lost', { lease: 'job j'.concat('\n', PROMPT) }),
      // @ts-expect-error a field that the event does not have
      () => noTelemetry.record('ingest.skipped', { jobId: 'j', prompt: PROMPT }),
      // @ts-expect-error a field that is missing
      () => noTelemetry.record('ingest.skipped', {}),
      // @ts-expect-error an event that is not in the table
      () => noTelemetry.record('prompt.logged', { jobId: 'j' }),
    ];
    for (const record of recordings) expect(record).toThrow();
  });
});

describe('text of our own', () => {
  test('is a message of our own errors, and of others the name', () => {
    expect(reasonOf(new BatchdropError('the lease\n  is over'))).toBe('the lease is over');
    expect(reasonOf(new SyntaxError('Unexpected token, "Good morning" is not JSON'))).toBe('SyntaxError');
  });

  test('is one line and no longer than a field takes', () => {
    expect(ownText`${'x'.repeat(1000)}`).toHaveLength(MAX_OWN_TEXT_CHARS);
  });
});
