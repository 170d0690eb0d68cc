/** Two stacks that use one bucket: whatever their prefixes, each request is bought once. */

import { expect, onTestFinished, test } from 'vitest';
import { type Settings, settingsSchema } from '../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const HANDOVER_MS = 2 * MINUTE_MS;

const settingsWith = (prefix: string, more: object = {}): Settings =>
  settingsSchema.parse({ layout: {}, routes: [{ ...BATCH_ONLY, name: 'all', prefix }], ...more });

/** Stacks on one bucket and in one project of OpenAI; each object is told to all of them. */
async function share(...stacks: { name: string; settings?: Settings }[]) {
  const first = await startPipeline({
    stackId: `id-${stacks[0]!.name}`,
    stackName: stacks[0]!.name,
    settings: stacks[0]!.settings ?? settingsWith('input/'),
  });
  onTestFinished(() => first.stop());
  const bucket = { objects: first.deps.objects, owners: first.deps.owners };
  const pipelines = [first];
  for (const { name, settings = settingsWith('input/') } of stacks.slice(1)) {
    const one = await startPipeline({
      stackId: `id-${name}`,
      stackName: name,
      settings,
      bucket,
      openai: first.emulator,
    });
    onTestFinished(() => one.stop());
    pipelines.push(one);
  }
  const clock = first.emulator.clock;
  return {
    pipelines,
    objects: first.deps.objects,
    owners: first.deps.owners,
    advance: (ms: number) => clock.advance(ms),
    put: (key: string, ...ids: string[]) =>
      first.deps.objects.put(key, Buffer.from(ids.map((id) => chatLine(id)).join('\n'))),
    /** Each stack's schedule, for so long. */
    async poll(ms: number): Promise<void> {
      for (const end = clock.now() + ms; clock.now() < end; clock.advance(5 * MINUTE_MS))
        for (const pipeline of pipelines) {
          await poll(pipeline.deps);
          expect(await pipeline.drain()).toEqual([]);
        }
    },
    /** How often each request was executed, by its id. */
    async bought(): Promise<Record<string, number>> {
      const counts: Record<string, number> = {};
      for await (const { custom_id } of first.emulator.ledger.executions())
        counts[custom_id!] = (counts[custom_id!] ?? 0) + 1;
      return counts;
    },
  };
}

const told = ({ deps }: Pipeline) =>
  deps.events.sent.map(({ result, rejection }) => rejection?.code ?? result);

test('of two stacks with one prefix the first runs each file, and the second says once why it does not', async () => {
  const { pipelines, put, poll, bought } = await share({ name: 'one' }, { name: 'two' });
  const [one, two] = pipelines as [Pipeline, Pipeline];
  await put('input/a.jsonl', 'a', 'b');
  await one.notify('input/a.jsonl');
  await two.notify('input/a.jsonl');
  await poll(30 * 60 * MINUTE_MS);

  expect(await bought()).toEqual({ a: 1, b: 1 });
  expect(told(one)).toEqual(['succeeded']);
  // The listing of a day has not had it told again.
  expect(told(two)).toEqual(['prefix_owned']);
  const [event] = two.deps.events.sent;
  expect(event).toMatchObject({ stackId: 'id-two', route: 'all', result: 'rejected', files: {} });
  expect(event!.rejection!.message).toMatch(/belongs to stack "one" \(id-one\).*"takeOver": "one"/);
  // What the owner has written is as it wrote it.
  expect((await one.receipt('input/a.jsonl')).stackId).toBe('id-one');
});

test('two stacks that get the event of a file at the same instant run it once', async () => {
  const { pipelines, put, poll, bought } = await share({ name: 'one' }, { name: 'two' });
  await put('input/a.jsonl', 'a');
  await Promise.all(pipelines.map((pipeline) => pipeline.notify('input/a.jsonl')));
  await poll(26 * 60 * MINUTE_MS);
  expect(await bought()).toEqual({ a: 1 });
  expect(pipelines.flatMap(told).sort()).toEqual(['prefix_owned', 'succeeded']);
});

test('a stack whose events are all lost does not find by its listing what the owner runs', async () => {
  const { pipelines, put, advance, poll, bought } = await share(
    { name: 'one', settings: settingsWith('input/') },
    { name: 'two', settings: settingsWith('input/x/') },
  );
  await poll(5 * MINUTE_MS);
  advance(MINUTE_MS);
  await put('input/x/a.jsonl', 'a');
  await put('input/b.jsonl', 'b');
  await poll(30 * 60 * MINUTE_MS);
  expect(await bought()).toEqual({ a: 1, b: 1 });
  expect(pipelines.map(told)).toEqual([['succeeded', 'succeeded'], []]);
});

test('inputs apart are not enough: a stack that shares work/ or a prefix of results runs nothing until it has its own', async () => {
  const settings = settingsWith('input/two/', { layout: { work: 'work-two/' } });
  const { pipelines, put, bought } = await share(
    { name: 'one', settings: settingsWith('input/one/') },
    { name: 'two', settings },
  );
  const [one, two] = pipelines as [Pipeline, Pipeline];
  await put('input/one/a.jsonl', 'a');
  await one.notify('input/one/a.jsonl');
  await put('input/two/b.jsonl', 'b');
  await two.notify('input/two/b.jsonl');
  expect(two.deps.events.sent[0]?.rejection?.message).toMatch(/^"output\/" overlaps with "output\/"/);

  const own = { output: 'o2/', errors: 'e2/', retry: 'r2/', receipts: 'c2/', work: 'work-two/' };
  two.deps.settings = settingsWith('input/two/', { layout: own });
  await put('input/two/b.jsonl', 'b');
  await two.notify('input/two/b.jsonl');
  await one.run();
  await two.run();
  expect(await bought()).toEqual({ a: 1, b: 1 });
});

test('takeOver: what was put before is run by the old stack to its end, what is put after by the new one', async () => {
  const { pipelines, put, advance, poll, bought } = await share(
    { name: 'old' },
    { name: 'new', settings: settingsWith('input/', { takeOver: 'old' }) },
  );
  const [old, fresh] = pipelines as [Pipeline, Pipeline];
  const tell = async (key: string) => {
    for (const pipeline of pipelines) await pipeline.notify(key);
  };
  await put('input/before.jsonl', 'before');
  await old.notify('input/before.jsonl');
  // The file that brings the takeover about is still the old stack's: it may have recorded it already.
  await put('input/during.jsonl', 'during');
  await fresh.notify('input/during.jsonl');
  await old.notify('input/during.jsonl');
  // An event of a job that the old stack has is no reason to refuse it.
  advance(HANDOVER_MS + 1_000);
  await old.notify('input/before.jsonl');
  await put('input/after.jsonl', 'after');
  await tell('input/after.jsonl');
  // Events that come late, to both.
  await put('input/lost.jsonl', 'lost');
  await poll(30 * 60 * MINUTE_MS);
  await tell('input/during.jsonl');

  expect(await bought()).toEqual({ before: 1, during: 1, after: 1, lost: 1 });
  const runBy = async (key: string) => (await old.receipt(key)).stackId;
  expect(await runBy('input/before.jsonl')).toBe('id-old');
  expect(await runBy('input/during.jsonl')).toBe('id-old');
  expect(await runBy('input/after.jsonl')).toBe('id-new');
  expect(await runBy('input/lost.jsonl')).toBe('id-new');
  expect(old.deps.events.sent.find(({ key }) => key === 'input/after.jsonl')?.rejection?.message).toMatch(
    /took the prefix over from this stack/,
  );
  expect(fresh.deps.events.sent.find(({ key }) => key === 'input/during.jsonl')?.rejection?.message).toMatch(
    /put before "input\/" went from stack "old" \(id-old\) to this stack.*drop the file again/,
  );
});

test('a version that the old stack ran is not run again as the predecessor of one that the new stack runs', async () => {
  const { pipelines, put, advance, poll, bought } = await share(
    { name: 'old' },
    { name: 'new', settings: settingsWith('input/', { takeOver: 'old' }) },
  );
  const [old, fresh] = pipelines as [Pipeline, Pipeline];
  await put('input/a.jsonl', 'a');
  await old.notify('input/a.jsonl');
  await poll(MINUTE_MS);
  advance(HANDOVER_MS);
  // The same content dropped again is a job of its own for a stack that has no job of the version before.
  await put('input/a.jsonl', 'a');
  await fresh.notify('input/a.jsonl');
  await poll(30 * 60 * MINUTE_MS);
  expect(await bought()).toEqual({ a: 2 });
  expect(told(fresh)).toEqual(['succeeded']);
});

test('two stacks that name each other in takeOver buy each request once', async () => {
  const { pipelines, put, advance, poll, bought } = await share(
    { name: 'one', settings: settingsWith('input/', { takeOver: 'two' }) },
    { name: 'two', settings: settingsWith('input/', { takeOver: 'one' }) },
  );
  const ids = Array.from({ length: 8 }, (_, index) => `r${index}`);
  for (const id of ids) {
    await put(`input/${id}.jsonl`, id);
    for (const pipeline of pipelines) await pipeline.notify(`input/${id}.jsonl`);
    advance(50_000);
  }
  await poll(30 * 60 * MINUTE_MS);
  expect(await bought()).toEqual(Object.fromEntries(ids.map((id) => [id, 1])));
});

test('an owners object that cannot be read stops new files, and they run once it is put right', async () => {
  const pipeline = await startPipeline();
  onTestFinished(() => pipeline.stop());
  await pipeline.deps.owners.writeOwners('nonsense', undefined);
  await pipeline.deps.objects.put('input/a.jsonl', Buffer.from(chatLine('a')));
  await expect(pipeline.notify('input/a.jsonl')).rejects.toThrow(/owners.json does not say/);
  expect(await Array.fromAsync(pipeline.emulator.ledger.executions())).toEqual([]);
  pipeline.deps.owners.remove();
  await pipeline.notify('input/a.jsonl');
  await pipeline.run();
  expect((await pipeline.receipt('input/a.jsonl')).result).toBe('succeeded');
});
