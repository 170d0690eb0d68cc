import type { PromptCache } from '../../../core/ports/provider-rules.ts';

/** Source: guide "Prompt caching": prompts from 1,024 tokens on; a key may have 64 characters. */
export const PROMPT_CACHE: PromptCache = { minTokens: 1_024, keyMember: 'prompt_cache_key' };
