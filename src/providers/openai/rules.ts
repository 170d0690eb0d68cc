import type { ProviderRules } from '../../core/ports/provider-rules.ts';
import { ANSWER_RULES } from './answer-rules.ts';
import { CALL_RULES } from './calls.ts';
import { COMMON_RULES } from './common-rules.ts';
import { ENDPOINTS } from './endpoints/all.ts';
import { MODEL_RULES } from './model-rules.ts';
import { PREFLIGHT_RULES } from './preflight.ts';
import { OPENAI_PRICES } from './prices/table.ts';

/** OpenAI's Batch API, and services that are compatible with it. */
export const OPENAI_RULES: ProviderRules = {
  ...COMMON_RULES,
  prices: OPENAI_PRICES,
  endpoints: ENDPOINTS,
  models: MODEL_RULES,
  preflight: PREFLIGHT_RULES,
  answers: ANSWER_RULES,
  calls: CALL_RULES,
};
