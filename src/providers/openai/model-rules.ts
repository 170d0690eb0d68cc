import type { ModelRules } from '../../core/ports/provider-rules.ts';
import { imageTokens } from './image-tokens.ts';
import { contextTokensOf, hasFlex, isSurelyInWindows } from './models.ts';

/** What is known of OpenAI's models. */
export const MODEL_RULES: ModelRules = {
  contextTokensOf,
  hasFlex,
  isSurelyInWindows,
  imageTokens,
  // Source: OpenAI cookbook, "How to count tokens with tiktoken".
  tokensAround: { message: 3, reply: 3 },
  // A token each 0.1 s (Realtime guide, "Costs"), and speech is not coded below 8 kbit/s.
  audioBytesPerToken: 100,
};
