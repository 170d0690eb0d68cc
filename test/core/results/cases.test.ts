/** Cases from public reports, from the drop to the receipt: what OpenAI answered, and what must become of it. */
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Tier } from '../../../src/contract/settings.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const running: Pipeline[] = [];
afterEach(async () => {
  for (const pipeline of running.splice(0)) await pipeline.stop();
});

const fixture = (name: string): Promise<string> =>
  readFile(new URL(`../fixtures/cases/${name}`, import.meta.url), 'utf8');

/** A pipeline of one route, and the case's file in it. */
async function start(name: string, route: { tiers?: Tier[]; maxRounds?: number } = {}): Promise<Pipeline> {
  const pipeline = await startPipeline({
    settings: settingsSchema.parse({
      routes: [
        { name: 'r', prefix: 'input/', tiers: ['batch'], budget: 'unlimited', maxRounds: 2, ...route },
      ],
    }),
  });
  running.push(pipeline);
  await pipeline.drop(KEY, await fixture(`${name}/input.jsonl`));
  return pipeline;
}

describe('a body that is written anew', () => {
  test.each(['flex', 'standard'] as const)('keeps the order of its keys in %s (case 01)', async (tier) => {
    const pipeline = await start('01-key-order-flex', { tiers: [tier] });
    const bodies: string[] = [];
    const { call } = pipeline.deps.calls;
    pipeline.deps.calls.call = (request) => {
      bodies.push(request.body);
      return call(request);
    };
    await pipeline.run();
    expect(bodies).toHaveLength(1);
    expect(bodies[0]).toContain(
      '"properties":{"10":{"type":"string"},"2":{"type":"string"},"b":{"type":"string"},"1":{"type":"string"}}',
    );
    const own = (await fixture('01-key-order-flex/input.jsonl')).trim();
    const tierName = tier === 'flex' ? 'flex' : 'default';
    expect(own).toContain(bodies[0]!.replace(`,"service_tier":"${tierName}"}`, '}'));
  });
});
