import type { Prompt } from '../model/prompt.ts';
import type { EndpointRules } from '../ports/provider-rules.ts';

/** Of one request, in characters: enough to recognize its kind of text. */
const EXCERPT_CHARS = 4_096;

/** What is kept of a sampled request: some of its text, and what there is beside it. */
export interface Excerpt {
  texts: string[];
  /** UTF-8 bytes of `texts`, and of all texts. */
  excerptBytes: number;
  textBytes: number;
  prompt: Omit<Prompt, 'texts'>;
}

/** Takes the text from a place on that `chance` decides, and from its beginning again after its end. */
export function excerptOf(
  endpoint: Pick<EndpointRules, 'readPrompt'>,
  line: Uint8Array,
  chance: number,
): Excerpt {
  const { body } = JSON.parse(Buffer.from(line).toString('utf8'));
  const { texts, ...prompt } = endpoint.readPrompt(body);
  const textBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const chosen = chooseTexts(texts, chance);
  const excerptBytes = chosen.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return { texts: chosen, excerptBytes, textBytes, prompt };
}

function chooseTexts(texts: readonly string[], chance: number): string[] {
  const chars = texts.reduce((sum, text) => sum + text.length, 0);
  if (chars <= EXCERPT_CHARS) return texts.filter((text) => text !== '');
  let at = Math.floor(chance * chars);
  let index = 0;
  while (at >= texts[index]!.length) at -= texts[index++]!.length;
  const chosen: string[] = [];
  for (let left = EXCERPT_CHARS; left > 0; index = (index + 1) % texts.length) {
    const text = texts[index]!;
    const piece = wholeChars(text, at, Math.min(text.length, at + left));
    if (piece !== '') chosen.push(piece);
    left -= Math.max(0, Math.min(text.length - at, left));
    at = 0;
  }
  return chosen;
}

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/** Neither end cuts a surrogate pair. */
function wholeChars(text: string, from: number, to: number): string {
  if (isLowSurrogate(text.charCodeAt(from))) from++;
  if (to < text.length && isLowSurrogate(text.charCodeAt(to))) to++;
  return text.slice(from, to);
}
