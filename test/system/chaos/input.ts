/** The files that are run, and what goes wrong at OpenAI while it is. */
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';

/** They take turns, so that the lines go through a spool and each makes a batch of its own. */
export const MODELS = ['gpt-6-luna', 'gpt-5.4-mini', 'gpt-4o-mini', 'gpt-4.1-mini'];

const customIdOf = (index: number) => `request-${String(index).padStart(6, '0')}`;

/** As many as the emulator counts for a request: it takes four bytes for a token. */
export const TOKENS_PER_REQUEST = 50;

/** Lines number `from` to `to` - 1; every 500th is none that OpenAI would take. */
export function writeInput(from: number, to: number): string {
  let text = '';
  for (let index = from; index < to; index += 1) {
    const url = index % 500 === 250 ? '/v1/no-such-endpoint' : '/v1/chat/completions';
    const body = {
      model: MODELS[index % MODELS.length],
      messages: [{ role: 'user', content: `Say ${index}.`.padEnd(4 * TOKENS_PER_REQUEST, ' Again.') }],
    };
    text += `${JSON.stringify({ custom_id: customIdOf(index), method: 'POST', url, body })}\n`;
  }
  return text;
}

/** Requests that OpenAI executes and bills, and then shows in no file. */
export const LOST_BY_OPENAI = /^request-\d{3}7(13|63)$/;

/** Of each custom_id the first execution only. */
const FIRST = { times: 1, per: 'custom_id' } as const;

/**
 * Every rule that decides outcomes names custom_ids or batches of ours, so that it does the same whatever is killed; no
 * request meets so many that its tries run out. The others break calls.
 */
export const FAULTS: readonly FaultRule[] = [
  { match: { custom_id: LOST_BY_OPENAI.source }, ...FIRST, effect: { kind: 'line.missing' } },
  { match: { custom_id: '[13]7$' }, ...FIRST, effect: { kind: 'line.status', status: 503 } },
  { match: { custom_id: '0[24]1$' }, ...FIRST, effect: { kind: 'line.status', status: 0 } },
  { match: { custom_id: '5[68]9$' }, ...FIRST, effect: { kind: 'line.duplicate' } },
  // Of a model whose batches do not expire: an error says how often its request was tried, and which requests an expiry
  // leaves untried depends on how batches were cut.
  { match: { custom_id: '334$' }, effect: { kind: 'line.status', status: 400 } },
  { match: { custom_id: '88$' }, effect: { kind: 'line.text' } },
  // Ends with part of its lines done; those that are not are run in the next round.
  {
    match: { metadata: { batchdrop_batch: '^0-00001$' } },
    effect: { kind: 'batch.expire', done: 400, after_seconds: 1_800 },
  },
  { match: { route: 'POST /v1/files' }, times: 1, effect: { kind: 'http.reset', when: 'before' } },
  { match: { route: 'POST /v1/files' }, skip: 2, times: 1, effect: { kind: 'http.reset', when: 'after' } },
  { match: { route: 'POST /v1/batches' }, times: 1, effect: { kind: 'http.status', status: 503 } },
  { match: { route: 'POST /v1/batches' }, skip: 1, times: 1, effect: { kind: 'http.reset', when: 'after' } },
  {
    match: { route: 'GET /v1/files/*/content' },
    times: 2,
    effect: { kind: 'http.truncate', keep_bytes: 50_000 },
  },
  { match: { route: 'GET /v1/batches' }, share: 0.1, effect: { kind: 'http.status', status: 500 } },
  { match: { route: 'GET /v1/batches' }, share: 0.1, effect: { kind: 'http.reset' } },
];
