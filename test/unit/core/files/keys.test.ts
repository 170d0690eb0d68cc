import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layoutSchema } from '../../../../src/contract/layout.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import { publicationName, publishedKeys, workKeys } from '../../../../src/core/files/keys.ts';

const { layout } = defaultSettings();

describe('publishedKeys', () => {
  it.each([
    ['input/a.jsonl', 'a'],
    ['input/nightly/a.jsonl', 'nightly/a'],
    ['input/a', 'a'],
    ['input/a.jsonl.gz', 'a.jsonl.gz'],
    ['input/a.JSONL', 'a.JSONL'],
    ['input/a.json', 'a.json'],
    ['input/input/a.jsonl', 'input/a'],
    ['input/ü b+c.jsonl', 'ü b+c'],
    ['input/a.jsonl.jsonl', 'a.jsonl'],
  ])('puts the results of %s under the same name', (inputKey, stem) => {
    expect(publishedKeys(layout, inputKey)).toEqual({
      output: `output/${stem}.jsonl`,
      errors: `errors/${stem}.jsonl`,
      retry: `retry/${stem}.jsonl`,
      receipt: `receipts/${stem}.json`,
    });
  });

  it('adds the job id of a job that a newer version has overtaken, to every name', () => {
    expect(publishedKeys(layout, 'input/x/a.jsonl', 'c0ffee')).toEqual({
      output: 'output/x/a.c0ffee.jsonl',
      errors: 'errors/x/a.c0ffee.jsonl',
      retry: 'retry/x/a.c0ffee.jsonl',
      receipt: 'receipts/x/a.c0ffee.json',
    });
  });

  it('follows a layout of its own', () => {
    const other = layoutSchema.parse({ input: 'batches/in/', output: 'batches/out/', receipts: 'r/' });
    expect(publishedKeys(other, 'batches/in/a.jsonl')).toMatchObject({
      output: 'batches/out/a.jsonl',
      errors: 'errors/a.jsonl',
      receipt: 'r/a.json',
    });
  });

  it('never names a key below the input prefix, and shares names exactly where publications are shared', () => {
    const key = fc.string({ unit: 'grapheme', minLength: 1 }).map((below) => `input/${below}`);
    fc.assert(
      fc.property(key, key, (one, other) => {
        const [keys, others] = [publishedKeys(layout, one), publishedKeys(layout, other)];
        for (const name of Object.values(keys)) expect(name.startsWith(layout.input)).toBe(false);
        expect(new Set(Object.values(keys)).size).toBe(4);
        expect(keys.output === others.output).toBe(
          publicationName(layout, one) === publicationName(layout, other),
        );
      }),
    );
  });

  it('shares the names of a key with and without its suffix, so one publication guards both', () => {
    expect(publicationName(layout, 'input/a')).toBe(publicationName(layout, 'input/a.jsonl'));
    expect(publishedKeys(layout, 'input/a')).toEqual(publishedKeys(layout, 'input/a.jsonl'));
  });
});

describe('workKeys', () => {
  const everyKey = (jobId: string, attempt: string, batchId: string): string[] => {
    const keys = workKeys(layout, jobId);
    const { output, errors, nextManifest } = keys.collected(batchId, attempt);
    return [
      keys.pinned,
      keys.plan,
      keys.manifest(attempt, batchId),
      keys.spool(attempt),
      ...Object.values(keys.invalid(attempt)),
      ...Object.values(output),
      ...Object.values(errors),
      nextManifest(0),
      nextManifest(1),
    ];
  };

  it('keeps everything of a job below work/<job>/, each thing under a key of its own', () => {
    const keys = everyKey('j', 'a', '0-00000');
    for (const key of keys) expect(key.startsWith('work/j/')).toBe(true);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('keeps jobs, attempts and batches apart', () => {
    const shared = (one: string[], other: string[]): string[] => one.filter((key) => other.includes(key));
    const keys = everyKey('j', 'a', '0-00000');
    expect(shared(keys, everyKey('k', 'a', '0-00000'))).toEqual([]);
    expect(shared(keys, everyKey('j', 'b', '0-00000'))).toEqual(['work/j/input', 'work/j/plan.json']);
    expect(shared(keys, everyKey('j', 'a', '0-00001')).filter((key) => key.includes('0-0000'))).toEqual([]);
  });
});
