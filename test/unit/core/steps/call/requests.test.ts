import { describe, expect, it } from 'vitest';
import type { Tier } from '../../../../../src/contract/route.ts';
import { answerLine, bodyOf } from '../../../../../src/core/steps/call/requests.ts';
import { CALL_RULES } from '../../../../../src/providers/openai/calls.ts';

type CalledTier = Exclude<Tier, 'batch'>;

const bodyIn = (tier: CalledTier, body: object, endpoint = '/v1/responses'): object => {
  const line = JSON.stringify({ custom_id: 'a', method: 'POST', url: endpoint, body });
  return JSON.parse(bodyOf({ customId: 'a', line }, CALL_RULES.tierMembersOf(tier, endpoint)));
};

describe('the body of a call, by what the line itself says of its tier', () => {
  const own = {
    model: 'm',
    service_tier: 'priority',
    background: false,
    background_options: { completion_window: 'soonest', continuation_id: 'c' },
    store: false,
  };

  it.each<[CalledTier, object]>([
    ['flex', { service_tier: 'flex' }],
    ['standard', { service_tier: 'default' }],
    [
      'background-8h',
      {
        service_tier: 'default',
        background: true,
        background_options: { completion_window: '8h', continuation_id: 'c' },
      },
    ],
    [
      'background-2h',
      {
        service_tier: 'default',
        background: true,
        background_options: { completion_window: '2h', continuation_id: 'c' },
      },
    ],
  ])('in %s is %j beside what has nothing to do with it', (tier, members) => {
    expect(bodyIn(tier, own)).toEqual({ model: 'm', store: false, ...members });
  });

  it.each<[string, object]>([
    ['no member of it', { model: 'm' }],
    ['a background that is on', { model: 'm', background: true }],
    ['options alone', { model: 'm', background_options: { completion_window: '8h' } }],
    ['null', { model: 'm', background: null, background_options: null, service_tier: null }],
  ])('in standard is never made in the background: the line has %s', (_what, body) => {
    expect(bodyIn('standard', body)).toEqual({ model: 'm', service_tier: 'default' });
  });

  it('keeps what the line says of store, and adds none', () => {
    for (const tier of ['flex', 'standard', 'background-8h'] as const)
      for (const store of [true, false, null]) expect(bodyIn(tier, { store })).toMatchObject({ store });
    expect(bodyIn('background-8h', {})).not.toHaveProperty('store');
  });

  it('names no tier where the endpoint has none to name', () => {
    expect(bodyIn('standard', { model: 'm', input: 'x' }, '/v1/embeddings')).toEqual({
      model: 'm',
      input: 'x',
    });
  });
});

describe('the line of an answer', () => {
  it('has the body as it came, on one line, and as text where it is no JSON', () => {
    const line = answerLine('a', { status: 200, requestId: 'req_1', body: '{"n": 1.0,\n "s": "\\u00e9"}' });
    expect(line).toBe(
      '{"id":"call_req_1","custom_id":"a","response":{"status_code":200,"request_id":"req_1","body":{"n": 1.0,  "s": "\\u00e9"}},"error":null}',
    );
    expect(JSON.parse(answerLine('a', { status: 502, body: 'no' })).response.body).toBe('no');
  });
});
