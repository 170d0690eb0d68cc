import { MINUTE_MS } from '../../contract/time.ts';
import type { CommonRules } from '../../core/ports/provider-rules.ts';
import { CREATE_SETTLES } from './create-settles.ts';
import {
  accountProblemOf,
  batchErrorKindOf,
  KEY_REFUSED,
  mayHaveBeenCharged,
  NO_ANSWER,
  operatorScopeOf,
  UNEXECUTED,
} from './errors.ts';
import { OPENAI_LIMITS } from './limits.ts';
import { QUOTA_RULES } from './quota.ts';
import { SHUTDOWN_RULES } from './shutdowns.ts';

/** What every function of a deployment asks; its bundle holds nothing else of the rules unless its step asks more. */
export const COMMON_RULES: CommonRules = {
  name: 'OpenAI',
  ownership: 'metadata',
  limits: OPENAI_LIMITS,
  shutdowns: SHUTDOWN_RULES,
  quota: QUOTA_RULES,
  createSettles: CREATE_SETTLES,
  // Source: openai 7.59.0 `resources/batches.ts`, "in status `cancelling` for up to 10 minutes".
  cancelMs: 10 * MINUTE_MS,
  errors: {
    operatorScopeOf,
    accountProblemOf,
    batchErrorKindOf,
    keyRefused: KEY_REFUSED,
    noAnswer: NO_ANSWER,
    mayHaveBeenCharged,
    unexecuted: UNEXECUTED,
  },
};
