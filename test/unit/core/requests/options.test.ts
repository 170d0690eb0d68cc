/** What a dropped object says of how it is to be run, and that nothing of it is passed over in silence. */
import { describe, expect, test } from 'vitest';
import { type Route, routeSchema } from '../../../../src/contract/route.ts';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { jobIdOf } from '../../../../src/core/model/job-id.ts';
import type { ObjectHead } from '../../../../src/core/model/objects.ts';
import { readOptions } from '../../../../src/core/requests/options.ts';
import { MemoryObjects } from '../../../support/memory/objects.ts';
import { BUCKET, memoryStore } from '../../../support/memory-store.ts';
import { chatLine, type Pipeline } from '../../../support/pipeline.ts';
import { expectListedEvents } from '../../../support/telemetry.ts';
import { startTestPipeline } from '../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const BESIDE = `${KEY}.options.json`;
const ROUTE = {
  name: 'r',
  prefix: 'input/',
  tiers: ['batch', 'flex'],
  deadline: '24h',
  budget: { perJobUsd: '10', perDayUsd: '100' },
  mayOverride: ['deadline', 'tiers', 'maxTries', 'onInvalid', 'budget'],
} as const;
const routeOf = (changes: object = {}): Route => routeSchema.parse({ ...ROUTE, ...changes });

/** What becomes of an object with metadata and with an object beside it. */
async function read(metadata: Record<string, string>, beside?: string, changes: object = {}) {
  const objects = memoryStore();
  if (beside !== undefined) await objects.put(BESIDE, Buffer.from(beside));
  await objects.put(KEY, Buffer.from('x'));
  const input = (await objects.head(BUCKET, KEY))!;
  return readOptions({ objects, inputs: objects }, input, metadata, routeOf(changes));
}

describe('options', () => {
  test('in metadata override the route', async () => {
    const metadata = {
      'batchdrop-deadline': '2h',
      'batchdrop-tiers': 'flex',
      'batchdrop-max-tries': '1',
      'batchdrop-on-invalid': 'reject',
      'batchdrop-budget-usd': '5',
      owner: 'somebody',
    };
    expect(await read(metadata)).toEqual({
      route: {
        ...routeOf(),
        deadline: '2h',
        tiers: ['flex'],
        maxTries: 1,
        onInvalid: 'reject',
        budget: { perJobUsd: '5', perDayUsd: '100' },
      },
      budgetUsd: '5',
      options: [
        { name: 'deadline', value: '2h', from: `x-amz-meta-batchdrop-deadline of ${KEY}` },
        { name: 'tiers', value: ['flex'], from: `x-amz-meta-batchdrop-tiers of ${KEY}` },
        { name: 'maxTries', value: 1, from: `x-amz-meta-batchdrop-max-tries of ${KEY}` },
        { name: 'onInvalid', value: 'reject', from: `x-amz-meta-batchdrop-on-invalid of ${KEY}` },
        { name: 'budgetUsd', value: '5', from: `x-amz-meta-batchdrop-budget-usd of ${KEY}` },
      ],
    });
  });

  test('beside the object do the same, and may share the work with metadata', async () => {
    const beside = JSON.stringify({ tiers: ['batch', 'flex'], budgetUsd: 10, maxTries: 2 });
    expect(await read({ 'batchdrop-deadline': '90m' }, beside)).toMatchObject({
      route: { ...routeOf(), deadline: '90m', maxTries: 2 },
      budgetUsd: '10',
    });
  });

  test('set any budget where the route has none for a job', async () => {
    const { route } = await read({ 'batchdrop-budget-usd': '900' }, undefined, { budget: 'unlimited' });
    expect(route.budget).toEqual({ perJobUsd: '900' });
  });

  test('of somebody else in metadata are passed over, however they are called', async () => {
    const metadata = { deadline: '2h', owner: 'me', batchdropper: 'x', 'my-batchdrop': '1', batch: '1' };
    expect(await read(metadata, undefined, { mayOverride: [] })).toEqual({
      route: routeOf({ mayOverride: [] }),
    });
  });

  const json = (value: unknown): [Record<string, string>, string] => [{}, JSON.stringify(value)];
  test.each<[string, [Record<string, string>, (string | undefined)?, object?], RegExp]>([
    [
      'of an unknown name in metadata',
      [{ 'batchdrop-model': 'gpt-6' }],
      /^x-amz-meta-batchdrop-model of input\/a\.jsonl is "gpt-6": there is no such option\. Route "r" allows deadline \(in metadata: batchdrop-deadline\), tiers/,
    ],
    [
      'of an unknown name in JSON',
      json({ max_tries: 2 }),
      /^"max_tries" in input\/a\.jsonl\.options\.json is 2: there is no such option/,
    ],
    [
      'beside an object whose route allows none',
      [{}, '{"budgetUsd":5}', { mayOverride: [] }],
      /^"budgetUsd" in input\/a\.jsonl\.options\.json is 5: route "r" does not let a file say this\. Route "r" allows no options: its mayOverride is empty/,
    ],
    [
      'beside an object whose route allows none, that are no JSON',
      [{}, 'nonsense', { mayOverride: [] }],
      /is not JSON/,
    ],
    [
      'spelled with an underscore',
      [{ batchdrop_deadline: '2h' }],
      /^x-amz-meta-batchdrop_deadline of input\/a\.jsonl is "2h": there is no such option; expected is x-amz-meta-batchdrop-deadline\. Route/,
    ],
    [
      'spelled without a dash',
      [{ batchdropdeadline: '2h' }],
      /no such option; expected is x-amz-meta-batchdrop-deadline\./,
    ],
    [
      'spelled in other case',
      [{ 'BatchDrop-MaxTries': '2' }],
      /no such option; expected is x-amz-meta-batchdrop-max-tries\./,
    ],
    [
      'with a dash too many',
      [{ 'batch-drop-budget-usd': '5' }],
      /no such option; expected is x-amz-meta-batchdrop-budget-usd\./,
    ],
    [
      'with the prefix of S3 once more',
      [{ 'x-amz-meta-batchdrop-tiers': 'flex' }],
      /no such option; expected is x-amz-meta-batchdrop-tiers\./,
    ],
    ['named batchdrop alone', [{ batchdrop: 'tiers=flex' }], /there is no such option\. Route/],
    ['named with a dot', [{ 'batchdrop.priority': 'high' }], /there is no such option\. Route/],
    [
      'spelled in JSON as in metadata',
      json({ 'budget-usd': 5 }),
      /^"budget-usd" in .* is 5: there is no such option; expected is "budgetUsd"\./,
    ],
    ['named __proto__', [{}, '{"__proto__": 1}'], /no such option/],
    [
      'that the route does not allow',
      [{ 'batchdrop-deadline': '2h' }, undefined, { mayOverride: ['tiers'] }],
      /batchdrop-deadline of input\/a\.jsonl is "2h": route "r" does not let a file say this\. Route "r" allows tiers/,
    ],
    [
      'where the route allows none',
      [{ 'batchdrop-deadline': '2h' }, undefined, { mayOverride: [] }],
      /no options: its mayOverride is empty/,
    ],
    [
      'with a deadline in the past',
      [{ 'batchdrop-deadline': '-1h' }],
      /a duration from the drop.*read "-1h"/,
    ],
    ['with a deadline as a date', json({ deadline: '2020-01-01' }), /read "2020-01-01"/],
    ['with a deadline of nothing', json({ deadline: null }), /is null: a deadline is a duration.*read null/],
    ['with a tier that the route has not', [{ 'batchdrop-tiers': 'batch, standard' }], /no standard/],
    ['with an unknown tier', json({ tiers: ['cheap'] }), /is \["cheap"\]: .*batch/],
    ['with no tier', [{ 'batchdrop-tiers': '' }], /is \[""\]/],
    ['with tiers as text', json({ tiers: 'batch' }), /is "batch": tiers are a list of one or more of batch/],
    [
      'with tiers upside down',
      [{ 'batchdrop-tiers': 'flex,batch' }],
      /in the order batch, flex, background-8h, background-2h, standard/,
    ],
    [
      'with tries out of range',
      [{ 'batchdrop-max-tries': '11' }],
      /is 11: maxTries is a whole number from 1 to 10/,
    ],
    [
      'with tries in words',
      [{ 'batchdrop-max-tries': 'two' }],
      /is "two": maxTries is a whole number from 1 to 10/,
    ],
    ['with an unknown policy', [{ 'batchdrop-on-invalid': 'ignore' }], /"quarantine"\|"reject"/],
    ['with a budget above that of the route', [{ 'batchdrop-budget-usd': '10.000001' }], /may cost 10 USD/],
    ['with a budget of zero', json({ budgetUsd: 0 }), /above 0/],
    ['with a negative budget', [{ 'batchdrop-budget-usd': '-5' }], /is "-5": .*above 0/],
    [
      'that are said twice',
      [{ 'batchdrop-deadline': '2h' }, '{"deadline":"2h"}'],
      /said before, by x-amz-meta-batchdrop-deadline of input\/a\.jsonl/,
    ],
    [
      'that are not JSON',
      [{}, 'deadline: 2h'],
      /options\.json \(12 bytes\) is not JSON: line 1, column 1: Unexpected token 'd'\. Expected is an object such as/,
    ],
    ['that are a list', [{}, '[]'], /is not a JSON object: read \[\]\. Expected is/],
    [
      'with a mistake in the second line',
      [{}, '{\n  "maxTries": 2,\n}'],
      /is not JSON: line 3, column 1: Expected double-quoted/,
    ],
    ['that are empty', [{}, ''], /\(0 bytes\) is not JSON: line 1, column 1: Unexpected end/],
    ['that are far too long', [{}, `{${' '.repeat(20_000)}}`], /has more than 10000 bytes/],
  ])('%s reject the job', async (_what, [metadata, beside, changes], message) => {
    const { rejection, route, options } = await read(metadata, beside, changes);
    expect(options).toBeUndefined();
    expect(rejection).toEqual({ code: 'invalid_options', message: expect.stringMatching(message) });
    expect(route).toEqual(routeOf(changes));
  });
});

describe.each([true, false])('options beside a file (versions are kept: %s)', (isVersioned) => {
  /** A bucket, and the second in which things are put there. */
  function bucket() {
    const clock = { now: 1_790_000_000_000 };
    const objects = new MemoryObjects({ bucket: BUCKET, isVersioned, pageSize: 2 }, { now: () => clock.now });
    const put = async (key: string, body: string): Promise<ObjectHead> => {
      await objects.put(key, Buffer.from(body));
      return (await objects.head(BUCKET, key))!;
    };
    const budgetOf = async (input: ObjectHead): Promise<string | undefined> => {
      const read = await readOptions({ objects, inputs: objects }, input, {}, routeOf());
      return read.rejection?.message ?? read.budgetUsd;
    };
    return { clock, objects, put, budgetOf };
  }

  test('are those that lay there when it was put, not those of a later second', async () => {
    const { clock, put, budgetOf } = bucket();
    await put(BESIDE, '{"budgetUsd":5}');
    const file = await put(KEY, 'x');
    clock.now += 1_000;
    await put(BESIDE, '{"budgetUsd":9}');
    for (let edits = 0; edits < 5; edits++) await put(BESIDE, '{"budgetUsd":10}');
    // Where no versions are kept, nobody can tell what lay there before.
    expect(await budgetOf(file)).toBe(isVersioned ? '5' : undefined);
    clock.now += 1_000;
    expect(await budgetOf(await put(KEY, 'x'))).toBe('10');
  });

  test('that are put after it are not its own', async () => {
    const { clock, put, budgetOf } = bucket();
    const file = await put(KEY, 'x');
    clock.now += 1_000;
    await put(BESIDE, '{"budgetUsd":5}');
    expect(await budgetOf(file)).toBeUndefined();
  });

  test("that were removed before it was put are nobody's, those removed afterwards are its own where versions are kept", async () => {
    const { clock, objects, put, budgetOf } = bucket();
    await put(BESIDE, '{"budgetUsd":5}');
    const first = await put(KEY, 'x');
    clock.now += 1_000;
    await objects.remove(BESIDE);
    expect(await budgetOf(first)).toBe(isVersioned ? '5' : undefined);
    clock.now += 1_000;
    expect(await budgetOf(await put(KEY, 'x'))).toBeUndefined();
  });

  test('without the end of its name are refused, unless they are those of another file', async () => {
    const { put, budgetOf } = bucket();
    await put('input/a.options.json', '{"budgetUsd":5}');
    expect(await budgetOf(await put(KEY, 'x'))).toMatch(
      /^input\/a\.options\.json is not read: the options of input\/a\.jsonl are expected in input\/a\.jsonl\.options\.json\./,
    );
    await put('input/a', 'x');
    expect(await budgetOf(await put(KEY, 'x'))).toBeUndefined();
  });

  test('that are gone for good are refused, since they cannot be read', async () => {
    if (!isVersioned) return;
    const { objects, put } = bucket();
    await put(BESIDE, '{"budgetUsd":5}');
    const file = await put(KEY, 'x');
    const inputs = {
      listKey: async (...parameters: Parameters<MemoryObjects['listKey']>) => {
        const page = await objects.listKey(...parameters);
        objects.destroy(BESIDE);
        return page;
      },
    };
    const { rejection } = await readOptions({ objects, inputs }, file, {}, routeOf());
    expect(rejection?.message).toMatch(
      /^The options that lay beside the file when it was put are gone: .* Put both again\.$/,
    );
  });
});

describe('a job', () => {
  async function drop(
    metadata: Record<string, string>,
    beside?: string,
    options = {},
  ): Promise<{ p: Pipeline; job: Job }> {
    const settings = settingsSchema.parse({ routes: [{ ...ROUTE, tiers: ['batch'] }] });
    const p = await startTestPipeline({ settings, ...options });
    if (beside !== undefined) await p.drop(BESIDE, beside);
    await p.deps.objects.put(KEY, Buffer.from([chatLine('a'), '{}'].join('\n')), { metadata });
    await p.notify(KEY);
    const jobId = jobIdOf((await p.deps.objects.head(BUCKET, KEY))!);
    return { p, job: (await p.deps.jobs.getJob(jobId))! };
  }

  test('freezes what its object says, and options are no input themselves', async () => {
    const { p, job } = await drop({ 'batchdrop-budget-usd': '2' }, '{"onInvalid":"quarantine"}', {
      twice: true,
    });
    expect(job.route.budget).toEqual({ perJobUsd: '2', perDayUsd: '100' });
    expect(job.input).not.toHaveProperty('metadata');
    expect(await p.deps.jobs.listBatches(job.jobId)).toMatchObject([{ budgetUsd: '2' }]);
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({ result: 'partial', counts: { succeeded: 1, invalid: 1 } });
    expect(p.deps.events.sent).toHaveLength(1);
  });

  test('that was dropped longer ago than its deadline when it is recorded continues in its last tier, once', async () => {
    const settings = settingsSchema.parse({
      routes: [{ ...ROUTE, tiers: ['batch', 'flex', 'standard'], deadline: '2h' }],
    });
    const p = await startTestPipeline({ settings, twice: true });
    await p.deps.objects.put(KEY, Buffer.from(chatLine('a')));
    // As the hourly listing finds what S3 told nobody of.
    p.emulator.clock.advance(3 * 60 * 60_000);
    await p.notify(KEY);
    await p.run();
    const { result, tiers, possiblyBilledTwice } = await p.receipt(KEY);
    expect([result, Object.keys(tiers), possiblyBilledTwice]).toEqual(['succeeded', ['standard'], {}]);
    expect(await p.emulator.ledger.all()).toHaveLength(1);
  });

  test('of an unknown model, on a route with a budget, fails as unpriced_model and says what to do', async () => {
    const settings = settingsSchema.parse({ routes: [{ ...ROUTE, tiers: ['batch'] }] });
    const p = await startTestPipeline({ settings });
    await p.drop(KEY, [chatLine('a'), chatLine('b', { model: 'gpt-9-mystery' })].join('\n'));
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({ result: 'partial', errorsByCode: { unpriced_model: 1 } });
    const [error] = await p.errors(KEY);
    expect(error.error.message).toMatch(
      /^There is no price of "gpt-9-mystery" in the batch tier, .* route "r" .*prices\.rows.*allowUnpriced/,
    );
    expect(await p.emulator.ledger.all()).toHaveLength(1);
  });

  test('follows the options that were there when it was recorded, whatever is put beside it later', async () => {
    const { p, job } = await drop({}, '{"maxTries":1}');
    await p.deps.objects.put(BESIDE, Buffer.from('nonsense'));
    await p.notify(KEY);
    await p.run();
    expect(await p.deps.jobs.getJob(job.jobId)).toMatchObject({
      state: 'completed',
      route: { maxTries: 1 },
    });
  });

  test('says in its receipt under which terms it ran, and which of them its file brought', async () => {
    const { p } = await drop({ 'batchdrop-budget-usd': '2' }, '{"maxTries":1}');
    await p.run();
    const { terms, timings } = await p.receipt(KEY);
    expect(terms).toEqual({
      tiers: ['batch'],
      deadline: '24h',
      deadlineAt: new Date(Date.parse(timings.droppedAt) + 24 * 60 * 60_000).toISOString(),
      budget: { perJobUsd: '2', perDayUsd: '100' },
      overBudget: 'wait',
      maxTries: 1,
      onInvalid: 'quarantine',
      options: [
        { name: 'budgetUsd', value: '2', from: `x-amz-meta-batchdrop-budget-usd of ${KEY}` },
        { name: 'maxTries', value: 1, from: `"maxTries" in ${BESIDE}` },
      ],
      optionsNotApplied: [],
    });
  });

  test('says in its receipt which options were put beside its file too late', async () => {
    const { p, job } = await drop({});
    p.emulator.clock.advance(1_000);
    await p.deps.objects.put(BESIDE, Buffer.from('{"budgetUsd":1}'));
    await p.run();
    expect(job.budgetUsd).toBeUndefined();
    expect((await p.receipt(KEY)).terms).toMatchObject({
      budget: { perJobUsd: '10' },
      options: [],
      optionsNotApplied: [
        { key: BESIDE, reason: expect.stringMatching(/^It was put at \S+Z, after the file\./) },
      ],
    });
  });

  test('with options that cannot be followed is rejected, with a receipt, and costs nothing', async () => {
    const { p } = await drop({ 'batchdrop-onInvalid': 'reject' }, undefined, { twice: true });
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({
      result: 'rejected',
      rejection: { code: 'invalid_options', message: expect.stringContaining('no such option') },
    });
    expect(await p.emulator.ledger.all()).toEqual([]);
  });

  test('with bad options is rejected although the same content has succeeded before, and runs once they are fixed', async () => {
    const { p } = await drop({});
    await p.run();
    const again = async (metadata: Record<string, string>): Promise<string> => {
      p.emulator.clock.advance(60_000);
      await p.deps.objects.put(KEY, Buffer.from([chatLine('a'), '{}'].join('\n')), { metadata });
      await p.notify(KEY);
      await p.run();
      return (await p.deps.jobs.getJob(jobIdOf((await p.deps.objects.head(BUCKET, KEY))!)))!.state;
    };
    expect(await again({ 'batchdrop-tiers': 'standard' })).toBe('rejected');
    expect(await again({ 'batchdrop-tiers': 'batch', 'batchdrop-max-tries': '1' })).toBe('completed');
  });
});
