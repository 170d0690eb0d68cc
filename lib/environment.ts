import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Settings } from '../src/contract/settings.ts';
import { LAYER_ROOT, SETTINGS_PATH } from '../src/contract/settings-file.ts';
import type { ApiKey } from './api-key.ts';
import type { Capability } from './pipeline-function.ts';
import type { SettingsLayer } from './settings-layer.ts';
import { STACK_UUID } from './stack-id.ts';
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
  /** The file from which the functions read them. */
  readonly settingsLayer: SettingsLayer;
  /** An OpenAI-compatible service in place of OpenAI. @default - OpenAI */
  readonly openaiBaseUrl?: string | undefined;
  /** How long log lines are kept. @default RetentionDays.ONE_MONTH */
  readonly logRetention?: RetentionDays | undefined;
}

/** Variables of every function. */
export function commonEnvironment(capability: Capability, { storage, state }: Foundation) {
  return {
    STACK_ID: STACK_UUID,
    TABLE_NAME: state.table.tableName,
    BUCKET_NAME: storage.bucket.bucketName,
    SETTINGS_FILE: `${LAYER_ROOT}${SETTINGS_PATH}`,
    POWERTOOLS_SERVICE_NAME: capability,
  };
}

/** Variables of the functions that call OpenAI. */
export function openaiEnvironment({ openaiBaseUrl }: Foundation) {
  return {
    ...(openaiBaseUrl === undefined ? {} : { OPENAI_BASE_URL: openaiBaseUrl }),
  };
}
