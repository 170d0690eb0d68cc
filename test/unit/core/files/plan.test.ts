import { describe, expect, it } from 'vitest';
import { CorruptWorkFileError } from '../../../../src/core/base/errors.ts';
import { type Plan, readPlan, writePlanOnce } from '../../../../src/core/files/plan.ts';
import { memoryStore } from '../../../support/memory-store.ts';

const KEY = 'work/j/plan.json';
const plan = (attempt: string): Plan => ({
  v: 1,
  jobId: 'j',
  requests: 3,
  invalid: 1,
  invalidByCode: { invalid_json_line: 1 },
  batches: [
    {
      batchId: '0-00000',
      endpoint: '/v1/responses',
      model: 'm',
      manifestKey: `work/j/${attempt}`,
      requests: 2,
      bytes: 99,
      textBytes: 40,
      dataUrlBytes: 0,
    },
  ],
  invalidRuns: [{ dataKey: 'd', indexKey: 'i', lines: 1, bytes: 9, firstLine: 2, lastLine: 2 }],
});

describe('plan', () => {
  it('is what was settled', async () => {
    const objects = memoryStore();
    expect(await writePlanOnce(objects, KEY, plan('a'))).toEqual(plan('a'));
    expect(await readPlan(objects, KEY)).toEqual(plan('a'));
  });

  it('stays as written first: a second run of ingest is given the first plan', async () => {
    const objects = memoryStore();
    const settled = await Promise.all(
      ['a', 'b', 'c'].map((attempt) => writePlanOnce(objects, KEY, plan(attempt))),
    );
    expect(new Set(settled.map((current) => JSON.stringify(current))).size).toBe(1);
    expect(await writePlanOnce(objects, KEY, plan('d'))).toEqual(settled[0]);
  });

  it('keeps the reason why nothing is run', async () => {
    const rejected: Plan = { ...plan('a'), batches: [], rejection: { code: 'empty_file', message: 'm' } };
    expect(await writePlanOnce(memoryStore(), KEY, rejected)).toEqual(rejected);
  });

  it('is undefined before it was written', async () => {
    expect(await readPlan(memoryStore(), KEY)).toBeUndefined();
  });

  it.each([
    ['another version', JSON.stringify({ ...plan('a'), v: 2 })],
    ['a field missing', JSON.stringify({ ...plan('a'), requests: undefined })],
    ['a file that is cut short', JSON.stringify(plan('a')).slice(0, -5)],
    ['an empty file', ''],
  ])('fails as corrupt for %s, and says which file', async (_what, text) => {
    const objects = memoryStore();
    await objects.put(KEY, Buffer.from(text));
    const reading = readPlan(objects, KEY);
    await expect(reading).rejects.toBeInstanceOf(CorruptWorkFileError);
    await expect(reading).rejects.toThrow(KEY);
  });
});
