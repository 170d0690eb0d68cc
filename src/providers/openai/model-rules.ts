import type { ModelRules } from '../../core/ports/provider-rules.ts';
import { imageTokens } from './image-tokens.ts';
import { contextTokensOf, hasFlex, isSurelyInWindows } from './models.ts';

/** What is known of OpenAI's models. */
export const MODEL_RULES: ModelRules = { contextTokensOf, hasFlex, isSurelyInWindows, imageTokens };
