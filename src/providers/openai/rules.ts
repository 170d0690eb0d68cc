import type { ProviderRules } from '../../core/ports/provider-rules.ts';
import { isWithoutRoom, refusesFlex, tierMembersOf } from './calls.ts';
import { ENDPOINTS } from './endpoints/all.ts';
import { batchErrorKindOf, KEY_REFUSED, operatorScopeOf } from './errors.ts';
import { imageTokens } from './image-tokens.ts';
import { OPENAI_LIMITS } from './limits.ts';
import { contextTokensOf } from './models.ts';
import { toolFeeOf } from './tool-fees.ts';
import { toolUseOf } from './tool-use.ts';
import { isUsageReported, usageOf } from './usage.ts';
import { classify } from './verdict.ts';

/** OpenAI's Batch API, and services that are compatible with it. */
export const OPENAI_RULES: ProviderRules = {
  name: 'OpenAI',
  ownership: 'metadata',
  limits: OPENAI_LIMITS,
  endpoints: ENDPOINTS,
  models: { contextTokensOf, imageTokens },
  answers: { verdictOf: classify, usageOf, isUsageReported, toolUseOf, toolFeeOf },
  errors: { operatorScopeOf, batchErrorKindOf, keyRefused: KEY_REFUSED },
  calls: { tierMembersOf, isWithoutRoom, refusesFlex },
};
