import { describe, expect, test } from 'vitest';
import type { PreflightMembers } from '../../../../src/core/ports/provider-rules.ts';
import { ENDPOINTS } from '../../../../src/providers/openai/endpoints/all.ts';
import { PREFLIGHT_RULES } from '../../../../src/providers/openai/preflight.ts';

const CHAT = '/v1/chat/completions';
const RESPONSES = '/v1/responses';
const tools = [{ type: 'function', function: { name: 'f' } }];

const membersOf = (body: Record<string, unknown>): PreflightMembers => ({
  tools: 'tools' in body || 'functions' in body,
  reasoning: 'reasoning' in body || 'reasoning_effort' in body,
  prompt: 'prompt' in body,
  maxTokens: typeof body.max_tokens === 'number',
});

describe('what is sure to be refused', () => {
  test.each<[string, string, Record<string, unknown>, string | undefined]>([
    [CHAT, 'gpt-6-luna', { max_tokens: 5 }, 'preflight_max_tokens'],
    [CHAT, 'o3-2025-04-16', { max_tokens: 5 }, 'preflight_max_tokens'],
    [CHAT, 'gpt-6-luna', { max_tokens: null }, undefined],
    [CHAT, 'gpt-6-luna', { max_completion_tokens: 5 }, undefined],
    [CHAT, 'gpt-4o', { max_tokens: 5 }, undefined],
    [CHAT, 'gpt-5-chat-latest', { max_tokens: 5 }, undefined],
    [CHAT, 'gpt-5.4-mini', { tools, reasoning_effort: 'low' }, 'preflight_chat_tools_effort'],
    [
      CHAT,
      'ft:gpt-6-luna-2026-09-22:o::i',
      { tools, reasoning_effort: 'low' },
      'preflight_chat_tools_effort',
    ],
    [CHAT, 'gpt-6-luna', { functions: [{}], reasoning_effort: 'high' }, 'preflight_chat_tools_effort'],
    [CHAT, 'gpt-6-luna', { tools, reasoning_effort: 'none' }, undefined],
    [CHAT, 'gpt-6-luna', { tools: [], reasoning_effort: 'low' }, undefined],
    [CHAT, 'gpt-6-luna', { tools }, undefined],
    [CHAT, 'gpt-5.2', { tools, reasoning_effort: 'low' }, undefined],
    [RESPONSES, 'gpt-6-luna', { tools, reasoning: { effort: 'low' } }, undefined],
    [CHAT, 'gpt-6.1-sol', { tools }, 'preflight_chat_tools'],
    [RESPONSES, 'gpt-6.1-sol', { tools }, undefined],
    [CHAT, 'gpt-6.2-astra', { reasoning_effort: 'none' }, 'preflight_effort'],
    [RESPONSES, 'gpt-6-astra', { reasoning: { effort: 'minimal' } }, 'preflight_effort'],
    [RESPONSES, 'gpt-6-astra', { reasoning: { effort: 'low' } }, undefined],
    [RESPONSES, 'gpt-6-astra', { reasoning: null }, undefined],
    [RESPONSES, 'gpt-6-luna', { reasoning: { effort: 'none' } }, undefined],
    [RESPONSES, 'gpt-6-luna', { prompt: { id: 'pmpt_1' } }, 'preflight_stored_prompt'],
    [RESPONSES, 'gpt-6-luna', { prompt: {} }, undefined],
    ['/v1/completions', 'davinci-002', { prompt: 'Say hello.' }, undefined],
    ['/v1/videos', 'sora-2', { prompt: 'A cat.' }, 'preflight_videos'],
    ['/v1/images/generations', 'gpt-image-2.6-sunburst', { prompt: 'A cat.' }, undefined],
  ])('%s for %s with %j: %s', (endpoint, model, body, kind) => {
    expect(ENDPOINTS.has(endpoint)).toBe(true);
    const refusal = PREFLIGHT_RULES.refusalOf(endpoint, model, body);
    expect(refusal?.kind).toBe(kind);
    const texts = PREFLIGHT_RULES.suspectsOf(endpoint, model, membersOf(body));
    if (refusal === undefined) return;
    // What is refused is suspect, and its line holds one of the texts.
    expect(texts).toBeDefined();
    expect(texts!.length === 0 || texts!.some((text) => JSON.stringify(body).includes(text))).toBe(true);
    expect(refusal.problem).toMatch(/^[A-Z].*\.$/);
    expect(refusal.instead).toMatch(/^[A-Z].*\.$/);
  });

  test('a request with none of the members is not looked at, whatever its model', () => {
    for (const model of ['gpt-6-luna', 'gpt-6.2-sol', 'gpt-6.1-sol', 'o3'])
      for (const endpoint of [CHAT, RESPONSES])
        expect(PREFLIGHT_RULES.suspectsOf(endpoint, model, membersOf({}))).toBeUndefined();
  });
});
