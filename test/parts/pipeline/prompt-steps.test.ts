/** Steps that wait for nobody: who is told at once, and when a lost message is made up for. */

import { expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const KEY = 'input/a.jsonl';

test('a batch that is too large is cut again without a poll in between', async () => {
  const p = await startTestPipeline({
    settings: settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
      quota: { enqueuedTokens: { 'gpt-6-luna': 40 } },
    }),
  });
  await p.drop(KEY, ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => chatLine(id)).join('\n'));
  const { jobId } = [...p.deps.outbox.messages].find(({ queue }) => queue === 'collect')!.message as {
    jobId: string;
  };
  await p.drain();
  const batches = await p.deps.jobs.listBatches(jobId);
  expect(batches[0]).toMatchObject({ batchId: '0-00000', state: 'collected' });
  expect(batches.length).toBeGreaterThan(2);
  expect(batches.some(({ round, state }) => round === 1 && state === 'submitted')).toBe(true);
});

test('a job whose pushes are lost is pushed with each poll, not twenty minutes later', async () => {
  const p = await startTestPipeline();
  await p.deps.objects.put(KEY, Buffer.from(chatLine('a')));
  const head = (await p.deps.objects.head('bucket', KEY))!;
  const now = p.emulator.clock.now();
  await p.deps.jobs.createJob({
    v: 1,
    jobId: 'job',
    input: head,
    source: { bucket: head.bucket, key: head.key, versionId: head.versionId! },
    route: p.deps.settings.routes[0]!,
    state: 'ingesting',
    createdAt: now,
    updatedAt: now,
  });
  for (let lost = 0; lost < 3; lost++) {
    p.emulator.clock.advance(5 * MINUTE_MS);
    await poll(p.deps);
    const sent = p.deps.outbox.messages.splice(0).filter(({ queue }) => queue === 'ingest');
    expect(sent.map(({ message }) => message)).toContainEqual({ v: 1, jobId: 'job' });
  }
});

test('a batch whose collector died is free again as soon as that worker must be gone', async () => {
  let isDead = false;
  const p = await startTestPipeline({
    deadline: { remainingMs: () => 2 * MINUTE_MS },
    intercept: async (call, effect) => {
      if (isDead) throw new Error('dead');
      if (call !== 'batches.readFile') return effect();
      isDead = true;
      throw new Error('dead');
    },
    onInvocation: () => {
      isDead = false;
    },
  });
  await p.drop(KEY, chatLine('a'));
  await p.drain();
  p.emulator.clock.advance(20 * MINUTE_MS);
  await poll(p.deps);
  await p.drain();
  const [batch] = await Array.fromAsync(p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY)).then((items) =>
    items.flatMap((item) => (item.kind === 'batch' ? [item.batch] : [])),
  );
  expect(batch!.lease!.until - p.emulator.clock.now()).toBe(2 * MINUTE_MS + 5_000);
});
