/** The daily look at the provider's models: once a day for each key, in spite of two polls at once and of crashes. */
import { expect, test } from 'vitest';
import { DAY_MS, HOUR_MS } from '../../../../../src/contract/time.ts';
import { BatchdropError } from '../../../../../src/core/base/errors.ts';
import type { RemoteModel } from '../../../../../src/core/ports/provider.ts';
import { type ListModelsDeps, listModels } from '../../../../../src/core/steps/poll/list-models.ts';
import { MemoryShutdowns } from '../../../../support/memory/shutdowns.ts';
import { expectListedEvents, noTelemetry } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const NOW = Date.UTC(2026, 11, 1);
const NANO = { id: 'gpt-5-nano', shutdownDate: '2026-12-11' };

/** @param answers what the provider answers with each key; a function is asked. */
function pollWith(answers: Record<string, () => RemoteModel[] | undefined>) {
  const clock = { now: NOW };
  const asked: string[] = [];
  const deps = {
    settings: { routes: Object.keys(answers).map((apiKey) => ({ apiKey })) as never },
    shutdowns: new MemoryShutdowns(),
    batches: {
      withKey: (apiKey: string) => ({
        listModels: async () => {
          asked.push(apiKey);
          return answers[apiKey]?.();
        },
      }),
    },
    ambient: { now: () => clock.now },
    telemetry: noTelemetry,
  } satisfies ListModelsDeps;
  const datesOf = async (apiKey = 'default') => (await deps.shutdowns.getShutdowns(apiKey))?.dates;
  return { deps, clock, asked, datesOf };
}

test('each key is asked once a day, and what its models say is kept', async () => {
  const { deps, clock, asked, datesOf } = pollWith({
    default: () => [NANO, { id: 'gpt-6-luna' }],
    team: () => [{ id: 'gpt-4o', shutdownDate: '2027-01-14' }],
  });
  await listModels(deps);
  await listModels(deps);
  clock.now += DAY_MS - 1;
  await listModels(deps);
  expect(asked).toEqual(['default', 'team']);
  expect(await datesOf()).toEqual({ 'gpt-5-nano': '2026-12-11' });
  expect(await datesOf('team')).toEqual({ 'gpt-4o': '2027-01-14' });
  clock.now++;
  await listModels(deps);
  expect(asked).toEqual(['default', 'team', 'default', 'team']);
});

test('a model that is listed no more keeps its date, one that is listed without a date loses it', async () => {
  let models: RemoteModel[] = [NANO, { id: 'gpt-4o', shutdownDate: '2027-01-14' }];
  const { deps, clock, datesOf } = pollWith({ default: () => models });
  await listModels(deps);
  models = [
    { id: 'gpt-4o' },
    { id: 'odd', shutdownDate: 'soon' },
    { id: 'odder', shutdownDate: '2026-99-99' },
  ];
  clock.now += DAY_MS;
  await listModels(deps);
  expect(await datesOf()).toEqual({ 'gpt-5-nano': '2026-12-11' });
});

test('a key that may not list models is no error, and is asked again the next day', async () => {
  const { deps, clock, asked, datesOf } = pollWith({ default: () => undefined });
  await listModels(deps);
  clock.now += HOUR_MS;
  await listModels(deps);
  expect(asked).toHaveLength(1);
  expect(await datesOf()).toEqual({});
});

test('a look that fails is reported, keeps what is known, and is made again in an hour', async () => {
  let fails = false;
  const { deps, clock, asked, datesOf } = pollWith({
    default: () => {
      if (fails) throw new BatchdropError('GET /models was answered 503');
      return [NANO];
    },
  });
  await listModels(deps);
  fails = true;
  clock.now += DAY_MS;
  await listModels(deps);
  await listModels(deps);
  expect(asked).toHaveLength(2);
  expect(await datesOf()).toEqual({ 'gpt-5-nano': '2026-12-11' });
  clock.now += HOUR_MS;
  await listModels(deps);
  expect(asked).toHaveLength(3);
});

test('of two polls at once one asks', async () => {
  const { deps, asked, datesOf } = pollWith({ default: () => [NANO] });
  await Promise.all([listModels(deps), listModels(deps)]);
  expect(asked).toHaveLength(1);
  expect(await datesOf()).toEqual({ 'gpt-5-nano': '2026-12-11' });
});

test('a poll that dies over its look leaves it to another one, an hour later', async () => {
  const { deps, clock, asked, datesOf } = pollWith({ default: () => [NANO] });
  const put = deps.shutdowns.putShutdowns.bind(deps.shutdowns);
  deps.shutdowns.putShutdowns = async (next) => {
    if (next.generation === 2) throw new Error('killed');
    return put(next);
  };
  await expect(listModels(deps)).rejects.toThrow('killed');
  deps.shutdowns.putShutdowns = put;
  await listModels(deps);
  expect(asked).toHaveLength(1);
  clock.now += HOUR_MS;
  await listModels(deps);
  expect(asked).toHaveLength(2);
  expect(await datesOf()).toEqual({ 'gpt-5-nano': '2026-12-11' });
});

test('at most 1,000 dates are kept, the latest ones', async () => {
  const day = (index: number): string => new Date(NOW + index * DAY_MS).toISOString().slice(0, 10);
  const models = Array.from({ length: 1_001 }, (_, index) => ({ id: `m${index}`, shutdownDate: day(index) }));
  const { deps, datesOf } = pollWith({ default: () => models });
  await listModels(deps);
  const dates = (await datesOf())!;
  expect(Object.keys(dates)).toHaveLength(1_000);
  expect(dates.m0).toBeUndefined();
});

test('a provider without a list of models is not asked', async () => {
  const { deps, datesOf } = pollWith({ default: () => [NANO] });
  await listModels({ ...deps, batches: { withKey: () => ({}) } });
  expect(await datesOf()).toBeUndefined();
});
