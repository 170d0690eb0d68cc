import { describe, expect, it } from 'vitest';
import type { Tier } from '../../../../src/contract/route.ts';
import { HOUR_MS } from '../../../../src/contract/time.ts';
import { isOffered, ladderOf, onLadder } from '../../../../src/core/scheduling/offered-tiers.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';

const RESPONSES = '/v1/responses';
const CHAT = '/v1/chat/completions';
const EMBEDDINGS = '/v1/embeddings';

describe('the tiers of a request', () => {
  it.each<[Tier[], string, string, Tier[] | undefined]>([
    [['batch', 'flex', 'standard'], RESPONSES, 'gpt-6.1-sol', ['batch', 'flex', 'standard']],
    [['batch', 'flex', 'standard'], EMBEDDINGS, 'text-embedding-3-small', ['batch', 'standard']],
    [['flex'], CHAT, 'gpt-6.1-sol', ['flex']],
    [['flex'], '/v1/moderations', 'omni-moderation-latest', undefined],
    [['flex', 'background-8h'], RESPONSES, 'gpt-6.2-sol', ['background-8h']],
    [['flex', 'background-8h', 'standard'], CHAT, 'gpt-6.2-astra-2026-11-17', ['standard']],
    [['flex', 'standard'], RESPONSES, 'ft:gpt-6.2-sol:org::id', ['standard']],
    [['background-2h'], CHAT, 'gpt-6.2-sol', undefined],
    [['flex', 'background-2h'], RESPONSES, 'gpt-6.1-sol', ['flex', 'background-2h']],
  ])('of a route with %j are at %s for %s %j', (tiers, endpoint, model, expected) => {
    expect(ladderOf({ tiers, deadline: '2h' }, { endpoint, model }, OPENAI_RULES, 1_000)?.tiers).toEqual(
      expected,
    );
  });

  it('have a deadline that counts from the drop, or none', () => {
    const asked = { endpoint: RESPONSES, model: 'gpt-6.1-sol' };
    expect(ladderOf({ tiers: ['batch'], deadline: '90m' }, asked, OPENAI_RULES, 1_000)?.deadlineAt).toBe(
      5_401_000,
    );
    expect(ladderOf({ tiers: ['batch'] }, asked, OPENAI_RULES, 1_000)).toEqual({ tiers: ['batch'] });
  });

  it('are none where the route has only others: the requests fail, and the message says where each is offered', () => {
    const asked = { endpoint: CHAT, model: 'gpt-6.2-sol' };
    expect(onLadder(undefined, asked, OPENAI_RULES, 7)).toEqual({
      state: 'ended',
      ending: {
        status: 'failed',
        endedAt: 7,
        errors: [
          {
            code: 'tier_not_offered',
            message:
              'No tier of the route serves this endpoint and model; for gpt-6.2-sol, flex is offered for no endpoint, background windows for /v1/responses. Add "batch" or "standard" to the tiers of the route.',
          },
        ],
      },
    });
  });

  it('need no ladder where there is nothing but batch', () => {
    const asked = { endpoint: CHAT, model: 'gpt-6.1-sol' };
    expect(onLadder({ tiers: ['batch'] }, asked, OPENAI_RULES, 7)).toEqual({});
    expect(onLadder({ tiers: ['standard'] }, asked, OPENAI_RULES, 7)).toEqual({
      ladder: { tiers: ['standard'] },
    });
  });
});

describe('a refusal of a model in a tier', () => {
  it('is believed for 24 hours', () => {
    expect(isOffered(undefined, 0)).toBe(true);
    expect(isOffered({}, 0)).toBe(true);
    expect(isOffered({ notOfferedAt: 1_000 }, 1_000 + 24 * HOUR_MS - 1)).toBe(false);
    expect(isOffered({ notOfferedAt: 1_000 }, 1_000 + 24 * HOUR_MS)).toBe(true);
  });
});
