import type { Settings } from '../../contract/settings.ts';
import type { BatchApi, ByKey } from '../../core/ports/provider.ts';
import { BoxedBatches } from '../../providers/openai/boxed-batch-api.ts';
import { life } from '../life.ts';
import { clientsByKey, type OpenAIConfig } from './openai.ts';

/** OpenAI's Batch API; a call ends with the function at the latest. */
export function createBatchApi(config: OpenAIConfig, settings: Settings): ByKey<BatchApi> {
  const clientOf = clientsByKey(config, settings);
  return {
    withKey(name, deadline) {
      const { client, keys } = clientOf(name);
      return new BoxedBatches(client, keys, { deadline: deadline ?? life });
    },
  };
}
