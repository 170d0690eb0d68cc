/**
 * What is not established about OpenAI and small requests can find out, as data. Each probe is harmless: what it makes
 * ends within the hour by itself, and its answers are at most 16 tokens long. None of them was run against OpenAI yet.
 */

/** What a probe sends. */
export type ProbeAsk =
  | { kind: 'list' }
  /** A batch of this input file; `billed`: requests of it that may run. */
  | { kind: 'batch'; input: string; billed: number }
  /** A response in the background. */
  | { kind: 'background'; body: Record<string, unknown> };

/** What is read of the answers: words and numbers of OpenAI's, never content. */
export type ProbeSeen =
  | { kind: 'list'; batches: number; isNewestFirst: boolean }
  | {
      kind: 'batch';
      status: string;
      /** Different codes of its errors. */
      codes: string[];
      /** Errors that are listed. */
      errors: number;
      /** Requests that it counts. */
      total: number;
      /** Whether the list had it right after the create. */
      isListedAtOnce: boolean;
    }
  | {
      kind: 'background';
      httpStatus: number;
      code: string | undefined;
      /** Names of the headers about rate limits. */
      rateLimits: string[];
    };

/** One thing to find out. */
export interface Probe {
  name: string;
  /** The question, for people. */
  asks: string;
  ask: ProbeAsk;
  /** The answer, for people; `undefined`: what was seen says nothing about it. */
  read(seen: ProbeSeen): string | undefined;
}

/** Cheap, and named by no page as one with background windows. */
export const PROBE_MODEL = 'gpt-6-luna';
/** Longest answer, tokens; reasoning counts. Source: API reference, `max_output_tokens` (2026-11): 16 at least. */
const OUTPUT_TOKENS = 16;
/** What is sent at most in a run, whatever the table says. Ours. */
export const PROBE_CAPS = { usd: 0.01, billedRequests: 10, tokens: 5_000, calls: 200 } as const;

const CUSTOM_ID_CHARS = 1_000;
const BAD_LINES = 120;

const BODY = { model: PROBE_MODEL, input: 'Say ok.', max_output_tokens: OUTPUT_TOKENS };

const line = (custom_id: string): string =>
  JSON.stringify({ custom_id, method: 'POST', url: '/v1/responses', body: BODY });

/** How a batch was taken: it failed with codes, or counts its requests. */
function takenAs(seen: ProbeSeen): string | undefined {
  if (seen.kind !== 'batch' || seen.status === 'validating') return undefined;
  if (seen.status === 'failed')
    return `refused: ${seen.errors} errors (${seen.codes.join(', ') || 'no code'})`;
  return `taken: ${seen.total} requests`;
}

/** The probes, in the order in which they run. */
export const PROBES: readonly Probe[] = [
  {
    name: 'custom-id-length',
    asks: `Is a custom_id of ${CUSTOM_ID_CHARS} characters taken?`,
    ask: { kind: 'batch', input: `${line('c'.repeat(CUSTOM_ID_CHARS))}\n`, billed: 1 },
    read: takenAs,
  },
  {
    name: 'line-ends',
    asks: 'Are CRLF and blank lines taken? Two requests are in the file.',
    ask: { kind: 'batch', input: `${line('a')}\r\n\r\n${line('b')}\r\n`, billed: 2 },
    read: takenAs,
  },
  {
    name: 'errors-listed',
    asks: `How many errors does a batch list of ${BAD_LINES} lines that cannot run?`,
    ask: {
      kind: 'batch',
      input: Array.from({ length: BAD_LINES }, (_, index) => `{"custom_id":"${index}"}\n`).join(''),
      billed: 0,
    },
    read: (seen) =>
      seen.kind === 'batch' && seen.status === 'failed'
        ? `${seen.errors} (${seen.codes.join(', ') || 'no code'})`
        : undefined,
  },
  {
    name: 'read-after-create',
    asks: 'Does the list have a batch right after its create?',
    ask: { kind: 'batch', input: '{"custom_id":"a"}\n', billed: 0 },
    read: (seen) => (seen.kind === 'batch' ? (seen.isListedAtOnce ? 'yes' : 'no') : undefined),
  },
  {
    name: 'list-order',
    asks: 'Is the first page of batches sorted, the newest first?',
    ask: { kind: 'list' },
    read: (seen) =>
      seen.kind === 'list' && seen.batches > 1
        ? `${seen.isNewestFirst ? 'yes' : 'no'}, of ${seen.batches} batches`
        : undefined,
  },
  {
    name: 'background-window',
    asks: `Does ${PROBE_MODEL} have the background window of 8 hours, and which rate limits are reported for it?`,
    ask: {
      kind: 'background',
      body: { ...BODY, background: true, background_options: { completion_window: '8h' } },
    },
    read(seen) {
      if (seen.kind !== 'background') return undefined;
      if (seen.httpStatus === 400) return `refused (${seen.code ?? 'no code'})`;
      if (seen.httpStatus !== 200) return undefined;
      return `taken; limits reported: ${seen.rateLimits.join(', ') || 'none'}`;
    },
  },
];

/** What is not established either, and why it is not tried. */
export const NOT_PROBED: readonly { asks: string; because: string }[] = [
  { asks: 'the unit of the 200 MB limit', because: 'it takes uploads of 200 MB' },
  { asks: 'the error of more than 50,000 lines', because: 'taken, they would all run' },
  { asks: 'the 429 of flex without capacity', because: 'it cannot be brought about' },
  {
    asks: 'what a missed background window costs',
    because: 'it takes more than 8 hours, and cannot be forced',
  },
  { asks: 'the discount of cached tokens in a window', because: 'no answer of the API says what was billed' },
  { asks: 'image models in batches', because: 'one image may cost more than all probes together' },
  { asks: 'promotions of prices', because: 'the API has no prices' },
];

/** What a run may use: each byte of a body that is sent counts as a token, which is more than there are. */
export function probeBound(probes: readonly Probe[]): {
  billedRequests: number;
  inputTokens: number;
  outputTokens: number;
} {
  const billed = probes.map(({ ask }) => (ask.kind === 'batch' ? ask.billed : ask.kind === 'list' ? 0 : 1));
  const billedRequests = billed.reduce((sum, each) => sum + each, 0);
  const longest = Buffer.byteLength(JSON.stringify(BODY)) + 100;
  return {
    billedRequests,
    inputTokens: billedRequests * longest,
    outputTokens: billedRequests * OUTPUT_TOKENS,
  };
}
