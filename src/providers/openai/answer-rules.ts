import type { AnswerRules } from '../../core/ports/provider-rules.ts';
import { billedTierOf, isTierKnown } from './billed-tier.ts';
import { toolFeeOf } from './prices/tool-fees.ts';
import { toolUseOf } from './tool-use.ts';
import { usageOf } from './usage.ts';
import { isUsageReported } from './usage-reported.ts';
import { classify } from './verdict.ts';

/** How OpenAI's results are read. */
export const ANSWER_RULES: AnswerRules = {
  verdictOf: classify,
  usageOf,
  isUsageReported,
  billedTierOf,
  isTierKnown,
  toolUseOf,
  toolFeeOf,
};
