import { regionOfBaseUrl, residentBaseUrl } from '../../src/contract/data-residency.ts';
import type { Settings } from '../../src/contract/settings.ts';
import { UsageError } from '../view/exit.ts';

const OPENAI_HOST = 'api.openai.com';

/**
 * What answers in place of the emulator, if the user named something.
 *
 * `OPENAI_BASE_URL` alone is taken for a compatible server of the user's own. The real OpenAI costs money, so it is
 * used only with `--live` and a key.
 * @param residency what the settings say of each key. Here all requests are sent with one, so they must say one region.
 * @throws {UsageError} if the two do not fit together.
 */
export function chooseOpenAI(
  env: Readonly<Record<string, string | undefined>>,
  isLive: boolean,
  residency: Settings['dataResidency'] = {},
): { baseUrl: string; apiKey: string } | undefined {
  const baseUrl = env.OPENAI_BASE_URL || undefined;
  const apiKey = env.OPENAI_API_KEY || undefined;
  if (isLive) {
    if (apiKey === undefined) throw new UsageError('--live needs the key in OPENAI_API_KEY');
    return { baseUrl: baseUrlOf(baseUrl, residency), apiKey };
  }
  if (baseUrl === undefined) return undefined;
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    throw new UsageError(
      `OPENAI_BASE_URL is "${baseUrl}", which is not an http URL; http://127.0.0.1:8787/v1 would be one`,
    );
  }
  if (new URL(baseUrl).hostname === OPENAI_HOST || regionOfBaseUrl(baseUrl) !== undefined) {
    throw new UsageError(
      'OPENAI_BASE_URL names the real OpenAI; add --live to spend money there, or unset it',
    );
  }
  return { baseUrl, apiKey: apiKey ?? 'sk-local' };
}

function baseUrlOf(baseUrl: string | undefined, residency: Settings['dataResidency']): string {
  const [region, ...others] = new Set(Object.values(residency));
  if (region === undefined) return baseUrl ?? `https://${OPENAI_HOST}/v1`;
  if (baseUrl === undefined && others.length === 0) return residentBaseUrl(region);
  throw new UsageError(
    `the settings say dataResidency (${[region, ...others].join(', ')})` +
      `${baseUrl === undefined ? '' : ` and OPENAI_BASE_URL is "${baseUrl}"`}: all requests of a local stack go to one address; leave one of them out`,
  );
}

/** How long a service may take for the first answer. */
const FIRST_ANSWER_MS = 15_000;

/**
 * Asks the service once before anything is dropped, because the stack itself would keep trying for days.
 * @throws if it cannot be reached, or will not have the key.
 */
export async function requireAnswer({ baseUrl, apiKey }: { baseUrl: string; apiKey: string }): Promise<void> {
  const url = `${baseUrl.replace(/\/$/, '')}/batches?limit=1`;
  const headers = { authorization: `Bearer ${apiKey}` };
  const signal = AbortSignal.timeout(FIRST_ANSWER_MS);
  const response = await fetch(url, { headers, signal }).catch(
    (error: Error & { cause?: { code?: string } }) => {
      throw new Error(
        `cannot reach ${baseUrl} (${error.cause?.code ?? error.name}): is the service running?`,
      );
    },
  );
  await response.body?.cancel();
  if (response.ok) return;
  const advice =
    response.status === 401
      ? 'check OPENAI_API_KEY'
      : 'check OPENAI_BASE_URL; it ends with /v1 most of the time';
  throw new Error(`GET ${url} was answered with HTTP ${response.status}: ${advice}`);
}
