/** Models that are shut down: warned of before, failed after, once OpenAI has said that it does not know them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  type EmulatorOptions,
  startEmulator,
  virtualClock,
} from '../../../local/openai-emulator/emulator.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { DAY_MS, HOUR_MS } from '../../../src/contract/time.ts';
import { dispatch } from '../../../src/core/scheduling/dispatch.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type PipelineOptions } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const FILE = 'input/a.jsonl';
const NANO = 'gpt-5-nano';
const requests = (count: number, model = NANO): string =>
  Array.from({ length: count }, (_, index) => chatLine(`r${index}`, { model })).join('\n');

/** A pipeline at a time, with an emulator that serves each model until its day. */
async function startAt(
  time: string,
  options: PipelineOptions = {},
  emulator: Partial<Omit<EmulatorOptions, 'dir' | 'clock'>> = {},
) {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-models-'));
  const openai = await startEmulator({ dir, clock: virtualClock(Date.parse(time)), seed: 1, ...emulator });
  onTestFinished(async () => {
    await openai.close();
    await rm(dir, { recursive: true, force: true });
  });
  const events: SeenEvent[] = [];
  const telemetry = telemetryTo((event) => events.push(event));
  const p = await startTestPipeline({ ...options, openai, telemetry });
  const fieldsOf = (name: string) =>
    events.filter((event) => event.name === name).map(({ fields }) => fields);
  return { p, events, fieldsOf, clock: p.emulator.clock };
}

const outcomesOf = async ({ p }: Awaited<ReturnType<typeof startAt>>) => ({
  errors: (await p.errors(FILE)).map(({ error }) => error.code),
  output: (await p.output(FILE)).length,
  receipt: await p.receipt(FILE),
});

test('a model that ends within 30 days is run, and ingest and the receipt warn of it', async () => {
  const started = await startAt('2026-12-10T00:00:00Z');
  await started.p.drop(FILE, requests(2));
  await started.p.run();
  const { output, receipt } = await outcomesOf(started);
  expect(output).toBe(2);
  expect(started.fieldsOf('model.deprecated')).toEqual([
    expect.objectContaining({ model: NANO, date: '2026-12-11', requests: 2 }),
  ]);
  expect(receipt.warnings).toEqual([
    { code: 'model_shutdown', message: expect.stringContaining('within the time that this job may take') },
  ]);
  expect(receipt.answeredBy).toEqual({ [NANO]: { 'gpt-5-nano-2025-08-07': 2 } });
});

test('a model that has no end that is near is not warned of', async () => {
  const started = await startAt('2026-12-10T00:00:00Z');
  await started.p.drop(FILE, requests(2, 'gpt-6-luna'));
  await started.p.run();
  const { receipt } = await outcomesOf(started);
  expect(receipt.warnings).toEqual([]);
  expect(started.fieldsOf('model.deprecated')).toEqual([]);
});

test('requests for a model that is gone fail as model_retired, which names the replacements and costs nothing', async () => {
  const started = await startAt('2026-12-13T00:00:00Z');
  await started.p.drop(FILE, [requests(4), chatLine('luna', { model: 'gpt-6-luna' })].join('\n'));
  await started.p.run();
  const { errors, output, receipt } = await outcomesOf(started);
  expect(errors).toEqual(Array(4).fill('model_retired'));
  expect(output).toBe(1);
  const [first] = await started.p.errors(FILE);
  expect(first.error.message).toMatch(/2026-12-11.*gpt-6\.1-sol, gpt-6\.1-terra, gpt-6-luna/);
  expect(first.tries).toBe(0);
  expect(receipt.batches.find(({ model }) => model === NANO)).toMatchObject({ usd: '0', status: 'failed' });
  expect(receipt.warnings.map(({ code }) => code)).toEqual(['model_shutdown']);
  // It did not wait for a person: no longer than the emulator takes for the other batch.
  expect(receipt.timings.totalMs).toBeLessThan(DAY_MS);
});

test('batches that wait for a model that is gone end without being sent, once OpenAI has said so', async () => {
  const one = { limits: { requests: 1 } };
  const started = await startAt('2026-12-13T00:00:00Z', {
    ...one,
    settings: settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
      quota: { createsPerHour: 1 },
    }),
  });
  await started.p.drop(FILE, requests(5));
  await started.p.run(3);
  const { errors, receipt } = await outcomesOf(started);
  expect(errors).toEqual(Array(5).fill('model_retired'));
  expect(receipt.batches.filter(({ openaiBatchId }) => openaiBatchId !== undefined)).toHaveLength(1);
  expect(receipt.timings.totalMs).toBeLessThan(HOUR_MS);
});

test('a model that still answers after its day is answered: its date alone fails no request', async () => {
  const started = await startAt('2027-01-13T00:00:00Z', {}, { lenient: ['shutdowns'] });
  await started.p.drop(FILE, requests(2));
  await started.p.run();
  const { errors, output } = await outcomesOf(started);
  expect([errors, output]).toEqual([[], 2]);
});

test('calls in standard fail as model_retired, too, and what was not called is not', async () => {
  const started = await startAt('2026-12-13T00:00:00Z', {
    settings: settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, tiers: ['standard'], name: 'all', prefix: 'input/' }],
    }),
  });
  await started.p.drop(FILE, requests(40));
  await started.p.run(3);
  const { errors, receipt } = await outcomesOf(started);
  expect(errors).toEqual(Array(40).fill('model_retired'));
  expect(receipt.cost).toMatchObject({ usd: '0', possibleUsd: '0' });
});

test('a model whose end only the list of models knows is retired by it, since the list was kept', async () => {
  const started = await startAt('2026-12-13T00:00:00Z');
  const { p } = started;
  await p.deps.shutdowns.putShutdowns({
    v: 1,
    apiKey: 'default',
    generation: 1,
    nextAt: Date.UTC(2027, 0, 1),
    dates: { 'gpt-nine': '2026-12-01' },
  });
  await p.drop(FILE, requests(2, 'gpt-nine'));
  await p.run(3);
  expect((await outcomesOf(started)).errors).toEqual(['model_retired', 'model_retired']);
});

test('model_not_found without a date that is known waits for a person, and says so', async () => {
  const errors = [{ code: 'model_not_found', message: 'No.', param: 'body.model' }];
  const faults = [{ effect: { kind: 'batch.fail', errors } }] as never;
  const started = await startAt('2026-12-13T00:00:00Z', {}, { faults });
  const { p } = started;
  await p.drop(FILE, requests(2, 'gpt-6-luna'));
  await p.run(48);
  const jobs = await p.deps.jobs.listWaiting()[Symbol.asyncIterator]().next();
  expect(jobs.value).toMatchObject({ hold: { reason: 'model_not_found' }, state: 'planned' });
  expect(started.fieldsOf('suspension.continued').length).toBeGreaterThan(0);
  expect(started.fieldsOf('model.retired')).toEqual([]);
});

test('a suspension of before the day retires nothing until OpenAI has said it again after the day', async () => {
  const started = await startAt('2026-12-11T12:00:00Z');
  const { p, clock } = started;
  await p.deps.suspensions.suspend(`default/${NANO}`, 'model_not_found', 'collected', clock.now());
  await p.drop(FILE, requests(2));
  clock.advance(13 * HOUR_MS);
  // Its probe is due, and another worker has just taken it: what it finds is not known yet.
  expect(await p.deps.suspensions.takeProbe(`default/${NANO}`, clock.now())).toBe(true);
  await dispatch(p.deps);
  expect(started.fieldsOf('batch.withdrawn')).toEqual([]);
  await p.deps.suspensions.suspend(`default/${NANO}`, 'model_not_found', 'collected', clock.now());
  await p.run(1);
  expect((await outcomesOf(started)).errors).toEqual(['model_retired', 'model_retired']);
  expect(started.fieldsOf('batch.withdrawn')).toHaveLength(1);
});

test('every message delivered twice ends a model that is gone the same', async () => {
  const started = await startAt('2026-12-13T00:00:00Z', { twice: true });
  await started.p.drop(FILE, requests(3));
  await started.p.run(3);
  const { errors, receipt } = await outcomesOf(started);
  expect(errors).toEqual(Array(3).fill('model_retired'));
  expect(receipt.counts).toEqual({ requests: 3, succeeded: 0, failed: 3, invalid: 0 });
});

test('the poll keeps what the list of models says, once a day', async () => {
  const started = await startAt('2026-12-10T00:00:00Z');
  const { p, clock } = started;
  await poll(p.deps);
  await poll(p.deps);
  expect(started.fieldsOf('models.listed')).toHaveLength(1);
  expect((await p.deps.shutdowns.getShutdowns('default'))!.dates).toMatchObject({ [NANO]: '2026-12-11' });
  clock.advance(2 * DAY_MS);
  await poll(p.deps);
  // Not listed any more, and known all the same.
  expect((await p.deps.shutdowns.getShutdowns('default'))!.dates).toMatchObject({ [NANO]: '2026-12-11' });
});
