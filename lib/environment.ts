import { Aws, Fn } from 'aws-cdk-lib';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Settings } from '../src/contract/settings.ts';
import type { ApiKey } from './api-key.ts';
import { settingsToJson } from './configuration.ts';
import type { Capability } from './pipeline-function.ts';
import type { State } from './state.ts';
import type { Storage } from './storage.ts';

/** What every capability is built on. */
export interface Foundation {
  /** The bucket. */
  readonly storage: Storage;
  /** The table. */
  readonly state: State;
  /** The secrets with the API keys. */
  readonly apiKey: ApiKey;
  /** Layout and routes. */
  readonly settings: Settings;
  /** An OpenAI-compatible service in place of OpenAI. @default - OpenAI */
  readonly openaiBaseUrl?: string | undefined;
  /** How long log lines are kept. @default RetentionDays.ONE_MONTH */
  readonly logRetention?: RetentionDays | undefined;
}

/** Variables of every function. */
export function commonEnvironment(capability: Capability, { storage, state, settings }: Foundation) {
  return {
    // "arn:<partition>:cloudformation:<region>:<account>:stack/<name>/<uuid>"
    STACK_ID: Fn.select(2, Fn.split('/', Aws.STACK_ID)),
    TABLE_NAME: state.table.tableName,
    BUCKET_NAME: storage.bucket.bucketName,
    SETTINGS: settingsToJson(settings),
    POWERTOOLS_SERVICE_NAME: capability,
  };
}

/** Variables of the functions that call OpenAI. */
export function openaiEnvironment({ apiKey, openaiBaseUrl }: Foundation) {
  return {
    API_KEY_SECRETS: JSON.stringify(
      Object.fromEntries([...apiKey.secrets].map(([name, { secretArn }]) => [name, secretArn])),
    ),
    ...(openaiBaseUrl === undefined ? {} : { OPENAI_BASE_URL: openaiBaseUrl }),
  };
}
