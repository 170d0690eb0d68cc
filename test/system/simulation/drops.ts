/** What is dropped in a seed: files of lines as people write them, some of them again under their keys. */

import { gzipSync } from 'node:zlib';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import type { BatchState } from '../../../src/core/model/batch.ts';
import { MAX_TOKENS } from './money.ts';
import type { Random } from './random.ts';

/**
 * What a line is, whatever the weather: `good` is answered, `refused` gets a 400 of its own, `poison` passes our checks
 * and makes OpenAI refuse the whole batch, all others are refused by us.
 */
export type LineKind = 'good' | 'refused' | 'poison' | 'broken' | 'duplicate' | 'wrong_method' | 'wrong_url';

/** One line with something on it. */
export interface InputLine {
  /** 1-based, blank lines counted. */
  number: number;
  kind: LineKind;
  customId: string;
  /** Is in the prompt, and nowhere else: names this line of this drop. */
  marker: string;
  model: string;
  endpoint: string;
  /** Without its line end. */
  text: string;
}

/** An object that somebody puts. */
export interface Drop {
  index: number;
  /** Into whose bucket: the place of a stack, from 0. */
  stack: number;
  /** Of content that was dropped before under the same key: the first drop of it. */
  sameAs?: number;
  /** Of lines that a job of another drop has given back: the first drop of them. */
  retryOf?: number;
  key: string;
  /** Milliseconds after the start. */
  at: number;
  lines: InputLine[];
  body: Uint8Array;
  isGzip: boolean;
  /** Removed with every version, this long after the start. */
  destroyedAt?: number;
  /** Options that are put beside it, at a time after the start. */
  sidecar?: { at: number; maxTries: number };
  /** For so long after it was dropped, it is listed and cannot be read. */
  denied?: { forMs: number; reason: 'AccessDenied' | 'InvalidObjectState'; isOfHead: boolean };
  /** So long after its job was planned, it cannot be read any more, for so long. */
  deniedLater?: { afterMs: number; forMs: number; reason: 'AccessDenied' | 'InvalidObjectState' };
  /** Its job is cancelled this long after a batch of it has come to a state, or after a worker began to finalize it. */
  cancelled?: { state: BatchState | 'finalizing'; delayMs: number; duplicates?: 'run' };
}

export const MODELS = ['gpt-5.4-nano', 'gpt-5.4-mini', 'gpt-6-luna'] as const;
const KEYS = [
  'input/a.jsonl',
  'input/nightly/b.jsonl',
  'input/c',
  'input/strict/d.jsonl',
  'input/once/e.jsonl',
];

/** Of files whose requests are made in the background. */
interface BackgroundLines {
  /** Whether some lines are for an endpoint without windows. */
  hasChat: boolean;
}

export function drawDrops(
  random: Random,
  {
    batchRequests,
    stacks,
    mayDropAgain,
    background,
  }: {
    batchRequests: number;
    stacks: number;
    mayDropAgain: boolean;
    background?: BackgroundLines | undefined;
  },
): Drop[] {
  const count = Number(random.weighted({ 1: 2, 2: 4, 3: 3, 4: 1 }));
  const keys = random.shuffle(KEYS);
  const drops: Drop[] = [];
  for (let index = 0; index < count; index++) {
    // Sometimes a key that was dropped already: another version of it.
    const earlier = index > 0 && random.chance(0.4) ? random.pick(drops) : undefined;
    // Half of these are the very same once more, as of a producer that saw no answer.
    const again = mayDropAgain && random.chance(0.6) ? earlier : undefined;
    const key = earlier?.key ?? keys[index]!;
    const stack = earlier?.stack ?? index % stacks;
    const lines = again?.lines ?? drawLines(random, index, batchRequests, background);
    const isGzip = again?.isGzip ?? random.chance(0.06);
    // Two files without a line would be the same one twice.
    const text =
      again !== undefined || lines.length === 0 ? Buffer.from('\n'.repeat(index)) : render(random, lines);
    // S3 tells whole seconds and versions of one second are ordered by their ids: no two drops share one.
    const at = index * 1_000 + (index === 0 ? 0 : random.whole(0, 3 * 60) * MINUTE_MS);
    const isDestroyed = random.chance(0.15);
    const isCancelled = random.chance(0.3);
    drops.push({
      index,
      stack,
      ...(again === undefined ? {} : { sameAs: again.sameAs ?? again.index }),
      key,
      at,
      lines,
      body: again?.body ?? (isGzip ? gzipSync(text) : text),
      isGzip,
      ...(isDestroyed ? { destroyedAt: at + random.spread(1_000, 6 * HOUR_MS) } : {}),
      ...(isCancelled
        ? {
            cancelled: {
              state: random.pick<BatchState>([
                'uploaded',
                'submitting',
                'submitted',
                'submitted',
                'submitted',
                'ended',
                'collected',
              ]),
              delayMs: random.spread(1, 30 * MINUTE_MS),
            },
          }
        : {}),
    });
  }
  return drops;
}

function drawLines(
  random: Random,
  drop: number,
  batchRequests: number,
  background: BackgroundLines | undefined,
): InputLine[] {
  const own = background && random.fork(`background ${drop}`);
  if (random.chance(0.02)) return [];
  const count = random.whole(1, batchRequests * random.whole(1, 5));
  const models = random.shuffle(MODELS).slice(0, random.whole(1, 2));
  const isMixed = random.chance(0.7);
  const onlyBroken = random.chance(0.02);
  const lines: InputLine[] = [];
  for (let index = 0; index < count; index++) {
    const drawn: LineKind = isMixed
      ? random.weighted({
          good: 80,
          refused: 8,
          poison: 2,
          broken: 3,
          duplicate: 4,
          wrong_method: 2,
          wrong_url: 1,
        })
      : 'good';
    const earlier = lines.filter(({ kind }) => ['good', 'refused', 'poison'].includes(kind));
    const kind = onlyBroken ? 'broken' : drawn === 'duplicate' && earlier.length === 0 ? 'good' : drawn;
    const marker = `${drop}.${index}`;
    const customId =
      kind === 'duplicate'
        ? random.pick(earlier).customId
        : `r-${index}${random.pick(['', '', ' ü', '/x', '\u2028'])}`;
    const model = random.pick(models);
    const isChat = random.chance(0.9);
    const isChatHere = own === undefined ? isChat : background!.hasChat && own.chance(0.15);
    const endpoint = isChatHere ? '/v1/chat/completions' : '/v1/responses';
    const prompt = `prompt-${marker}-${kind}.`;
    const body =
      endpoint === '/v1/responses'
        ? { model, input: prompt, max_output_tokens: MAX_TOKENS, ...(own && drawKept(own)) }
        : { model, messages: [{ role: 'user', content: prompt }], max_tokens: MAX_TOKENS };
    const request = {
      custom_id: customId,
      method: kind === 'wrong_method' ? 'GET' : 'POST',
      url: kind === 'wrong_url' ? '/v1/unknown' : endpoint,
      body,
    };
    const json = JSON.stringify(request);
    lines.push({
      number: 0,
      kind,
      customId,
      marker,
      model,
      endpoint,
      text: kind === 'broken' ? json.slice(0, -random.whole(1, 9)) : json,
    });
  }
  return lines;
}

/** What a line says of keeping its response: of 16 pairs that OpenAI allows, it may leave no room for ours. */
function drawKept(random: Random): { store?: boolean; metadata?: Record<string, string> } {
  const pairs = random.pick([0, 0, 1, 14, 15, 16]);
  const metadata = Object.fromEntries(
    Array.from({ length: pairs }, (_, index) => [`own_${index}`, `${index}`]),
  );
  return {
    ...(random.chance(0.4) ? { store: random.chance(0.5) } : {}),
    ...(pairs === 0 ? {} : { metadata }),
  };
}

/** Lines as people write them: blank ones, CRLF, a byte order mark, no last line feed. Numbers the lines. */
function render(random: Random, lines: InputLine[]): Uint8Array {
  const end = random.pick(['\n', '\n', '\r\n']);
  let text = random.chance(0.1) ? '\uFEFF' : '';
  let number = 0;
  for (const line of lines) {
    while (random.chance(0.05)) {
      text += end;
      number++;
    }
    text += `${line.text}${end}`;
    line.number = ++number;
  }
  return Buffer.from(random.chance(0.3) && lines.length > 0 ? text.slice(0, -end.length) : text);
}
