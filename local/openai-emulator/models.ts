/**
 * The snapshot that an alias resolved to, as seen in `model` of answers and batches. From the API's model pages; the
 * dates of gpt-5.5 and later are the release dates of openai-batch.md section 9 (inferred).
 */
const SNAPSHOTS: Readonly<Record<string, string>> = {
  'gpt-3.5-turbo': 'gpt-3.5-turbo-0125',
  'gpt-4o': 'gpt-4o-2024-08-06',
  'gpt-4o-mini': 'gpt-4o-mini-2024-07-18',
  'gpt-4.1': 'gpt-4.1-2025-04-14',
  'gpt-4.1-mini': 'gpt-4.1-mini-2025-04-14',
  'gpt-4.1-nano': 'gpt-4.1-nano-2025-04-14',
  o1: 'o1-2024-12-17',
  o3: 'o3-2025-04-16',
  'o3-mini': 'o3-mini-2025-01-31',
  'o4-mini': 'o4-mini-2025-04-16',
  'gpt-5': 'gpt-5-2025-08-07',
  'gpt-5-mini': 'gpt-5-mini-2025-08-07',
  'gpt-5-nano': 'gpt-5-nano-2025-08-07',
  'gpt-5.1': 'gpt-5.1-2025-11-13',
  'gpt-5.2': 'gpt-5.2-2025-12-11',
  'gpt-5.4': 'gpt-5.4-2026-03-05',
  'gpt-5.4-pro': 'gpt-5.4-pro-2026-03-05',
  'gpt-5.6-luna': 'gpt-5.6-luna-2026-07-30',
  'gpt-5.6-terra': 'gpt-5.6-terra-2026-07-30',
  'gpt-6-astra': 'gpt-6-astra-2026-09-03',
  'gpt-6-sol': 'gpt-6-sol-2026-09-22',
  'gpt-6-luna': 'gpt-6-luna-2026-09-22',
  'gpt-6.1-sol': 'gpt-6.1-sol-2026-09-29',
  'gpt-6.1-terra': 'gpt-6.1-terra-2026-10-26',
};

const FAMILIES =
  /^(?:ft:)?(?:gpt-|o\d(?:-|$)|chatgpt-|codex-|text-embedding-|omni-moderation-|text-moderation-|davinci-|babbage-|dall-e-|sora-|chat-latest)/;

/** The snapshot an alias stands for; a name without a known snapshot stands for itself. */
export const resolveModel = (model: string): string => SNAPSHOTS[model] ?? model;

/** Whether the emulated organization has this model: any name of OpenAI's families. */
export const isKnownModel = (model: string): boolean => FAMILIES.test(model);

/** Dimensions of an embedding model's vectors (OpenAI's embeddings guide). */
export const embeddingDimensions = (model: string): number =>
  model.startsWith('text-embedding-3-large') ? 3072 : 1536;

/** The emulator's token rule: a token is four bytes of UTF-8, begun ones count. */
export const tokensOfBytes = (bytes: number): number => Math.ceil(bytes / 4);
