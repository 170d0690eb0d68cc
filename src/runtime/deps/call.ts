import type * as z from 'zod';
import { DynamoDBWebhooks } from '../../adapters/dynamodb/webhooks.ts';
import type { callEnv } from '../../contract/env.ts';
import { ANSWER_RULES } from '../../providers/openai/answer-rules.ts';
import { OpenAICalls } from '../../providers/openai/call-api.ts';
import { CALL_RULES } from '../../providers/openai/calls.ts';
import { sleep } from '../ambient.ts';
import { createDynamoDBClient } from '../clients.ts';
import { backgroundWith } from './background.ts';
import { commonDeps } from './common.ts';
import { clientsByKey } from './openai.ts';

export function createCallDeps(config: z.output<typeof callEnv>) {
  const common = commonDeps(config);
  const clientOf = clientsByKey(config, common.settings);
  return {
    ...common,
    rules: { ...common.rules, answers: ANSWER_RULES, calls: CALL_RULES },
    calls: { withKey: (name: string) => new OpenAICalls(clientOf(name).client) },
    background: backgroundWith(clientOf),
    webhooks: new DynamoDBWebhooks(createDynamoDBClient(), { table: config.TABLE_NAME }),
    sleep,
  };
}
