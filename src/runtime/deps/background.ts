import type { BackgroundApi, ByKey } from '../../core/ports/provider.ts';
import { OpenAIBackground } from '../../providers/openai/background-api.ts';
import type { clientsByKey } from './openai.ts';

/** OpenAI's responses that are made in the background. */
export function backgroundWith(clientOf: ReturnType<typeof clientsByKey>): ByKey<BackgroundApi> {
  return {
    withKey(name) {
      const { client, keys } = clientOf(name);
      return new OpenAIBackground(client, keys);
    },
  };
}
