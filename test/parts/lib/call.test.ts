import { Stack } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { BatchPipeline } from '../../../lib/batch-pipeline.ts';
import type { SettingsInput } from '../../../lib/configuration.ts';
import { newApp } from '../../support/synthesize.ts';

/** What synth says of how answers are found that OpenAI keeps for minutes only. */
function saidOf(
  route: Partial<SettingsInput['routes'][number]>,
  settings: Partial<SettingsInput> = {},
): string[] {
  const stack = new Stack(newApp());
  new BatchPipeline(stack, 'Pipeline', {
    settings: {
      ...settings,
      routes: [{ name: 'r', prefix: 'input/', budget: 'unlimited', tiers: ['batch'], ...route }],
    },
  });
  return Annotations.fromStack(stack)
    .findInfo('*', Match.stringLikeRegexp('keeps responses in the background'))
    .map(({ entry }) => String(entry.data));
}

describe('a route whose answers OpenAI keeps for 10 minutes', () => {
  const SHORT: Parameters<typeof saidOf>[0] = { tiers: ['background-8h'], responseRetention: '10m' };

  it('knows that they are looked at every 4 minutes', () => {
    const [said] = saidOf(SHORT);
    expect(said).toMatch(/Route "r" with API key "default".*looked at every 4 minutes, because "webhooks/);
  });

  it('knows that webhooks report them, where the project of its key sends these', () => {
    const [said] = saidOf(SHORT, { webhooks: { apiKeys: ['default'], endpoint: 'function_url' } });
    expect(said).toMatch(/webhooks tell of them/);
  });

  it('knows nothing of them without a window, or where answers are kept for 30 days', () => {
    expect(saidOf({ ...SHORT, tiers: ['standard'] })).toEqual([]);
    expect(saidOf({ tiers: ['background-8h'] })).toEqual([]);
  });
});
