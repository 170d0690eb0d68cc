import { expect, test } from 'vitest';
import { DAY_MS } from '../../../../../src/contract/time.ts';
import type { Plan } from '../../../../../src/core/files/plan.ts';
import { warnOfShutdowns, withShutdowns } from '../../../../../src/core/steps/ingest/shutdowns.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { jobOf } from '../../../../support/records.ts';

const NANO = 'gpt-5-nano';

const planOf = (...models: string[]): Plan => ({
  v: 1,
  jobId: 'a',
  requests: 2 * models.length,
  invalid: 0,
  invalidByCode: {},
  batches: models.map((model, index) => ({
    batchId: `0-${index}`,
    endpoint: '/v1/responses',
    model,
    manifestKey: 'm',
    requests: 2,
    bytes: 10,
    textBytes: 5,
    dataUrlBytes: 0,
  })),
  invalidRuns: [],
});

/** What is noted at a time, if the list of models has shown these dates. */
async function notedAt(time: string, plan: Plan, dates: Record<string, string> = {}) {
  let reads = 0;
  const noted = await withShutdowns(
    {
      rules: OPENAI_RULES,
      shutdowns: {
        async getShutdowns(apiKey) {
          reads++;
          return { v: 1, apiKey, generation: 1, nextAt: 0, dates };
        },
      },
      ambient: { now: () => Date.parse(time) } as never,
    },
    jobOf('a'),
    plan,
  );
  return { noted, reads };
}

test('models that end within 30 days, or have ended, are noted once each', async () => {
  const plan = planOf(NANO, 'gpt-6-luna', NANO);
  const models = async (time: string) => (await notedAt(time, plan)).noted.shutdowns;
  const end = Date.parse('2026-12-11');
  expect(await models(new Date(end - 31 * DAY_MS).toISOString())).toBeUndefined();
  for (const days of [-30, 0, 10])
    expect(await models(new Date(end + days * DAY_MS).toISOString())).toEqual([
      { model: NANO, date: '2026-12-11', replacements: expect.arrayContaining(['gpt-6-luna']) },
    ]);
});

test('a date that the list of models showed holds in place of the one that the rules know', async () => {
  const { noted } = await notedAt('2026-12-10', planOf(NANO, 'nine'), {
    [NANO]: '2027-06-01',
    nine: '2026-12-20',
  });
  expect(noted.shutdowns).toEqual([{ model: 'nine', date: '2026-12-20', replacements: [] }]);
});

test('for a job without batches nothing is read', async () => {
  const plan = planOf();
  expect(await notedAt('2026-12-10', plan)).toEqual({ noted: plan, reads: 0 });
});

test('each model that is noted is reported with the number of its requests', async () => {
  const { noted } = await notedAt('2026-12-10', planOf(NANO, 'gpt-6-luna', NANO));
  const events: unknown[] = [];
  warnOfShutdowns(
    { telemetry: { record: (name: string, fields: unknown) => events.push([name, fields]) } as never },
    noted,
  );
  expect(events).toEqual([
    [
      'model.deprecated',
      { jobId: 'a', model: NANO, date: '2026-12-11', requests: 4, replacements: expect.any(String) },
    ],
  ]);
});
