import { UsageError } from './exit.ts';

const OPENAI_HOST = 'api.openai.com';

/**
 * What answers in place of the emulator, if the user named something.
 *
 * `OPENAI_BASE_URL` alone is taken for a compatible server of the user's own. The real OpenAI costs money, so it is used
 * only with `--live` and a key.
 * @throws {UsageError} if the two do not fit together.
 */
export function chooseOpenAI(
  env: Readonly<Record<string, string | undefined>>,
  isLive: boolean,
): { baseUrl: string; apiKey: string } | undefined {
  const baseUrl = env.OPENAI_BASE_URL || undefined;
  const apiKey = env.OPENAI_API_KEY || undefined;
  if (isLive) {
    if (apiKey === undefined) throw new UsageError('--live needs the key in OPENAI_API_KEY');
    return { baseUrl: baseUrl ?? `https://${OPENAI_HOST}/v1`, apiKey };
  }
  if (baseUrl === undefined) return undefined;
  if (!URL.canParse(baseUrl)) {
    throw new UsageError(
      `OPENAI_BASE_URL is "${baseUrl}", which is not a URL; http://127.0.0.1:8787/v1 would be one`,
    );
  }
  if (new URL(baseUrl).hostname === OPENAI_HOST) {
    throw new UsageError(
      'OPENAI_BASE_URL names the real OpenAI; add --live to spend money there, or unset it',
    );
  }
  return { baseUrl, apiKey: apiKey ?? 'sk-local' };
}
