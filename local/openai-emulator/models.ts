/** What a model is for: the endpoints that it answers. */
export type ModelKind =
  | 'chat'
  | 'responses'
  | 'completions'
  | 'embedding'
  | 'moderation'
  | 'image'
  | 'video'
  | 'other';

/** One model of the emulated organization. */
type ModelRow = {
  id: string;
  /** Ends of its dated names; the first is what the alias resolves to. */
  snapshots?: readonly string[];
  kind: ModelKind;
  /** `YYYY-MM-DD`. */
  released: string;
  /** Thinks first: takes `max_completion_tokens` and no `max_tokens`, and knows `reasoning_effort`. */
  isReasoning?: true;
  hasFlex?: true;
  /** Has the completion windows `2h` and `8h` in the background. */
  hasWindows?: true;
  /** The day from which it is not served, `YYYY-MM-DD`. */
  shutdown?: string;
};

type Facts = Omit<ModelRow, 'id' | 'kind' | 'released' | 'snapshots'>;
const FLEX: Facts = { isReasoning: true, hasFlex: true };
const REASONING: Facts = { isReasoning: true };
/** "Public beta on GPT-6.2": of other models nothing is said (read 2026-11-29). */
const WINDOWED: Facts = { isReasoning: true, hasWindows: true };
const row = (
  kind: ModelKind,
  id: string,
  released: string,
  snapshots: string,
  facts: Facts = {},
): ModelRow => ({
  id,
  kind,
  released,
  snapshots: snapshots.split(' ').filter(Boolean),
  ...facts,
});
const until = (shutdown: string, facts: Facts = {}): Facts => ({ ...facts, shutdown });

/**
 * The models that there are on 2026-11-29, and those that are gone since 2026. Names and shutdown dates: openai 7.55.0
 * `resources/shared.ts`, OpenAI's deprecations page (read 2026-11); flex: its flex price table and the model pages; the
 * dates of gpt-5.6 and later are those of its releases, and so their snapshots are inferred.
 */
const MODELS: readonly ModelRow[] = [
  row('chat', 'gpt-6.2-astra', '2026-11-17', '2026-11-17', WINDOWED),
  row('chat', 'gpt-6.2-sol', '2026-11-17', '2026-11-17', WINDOWED),
  row('chat', 'gpt-6.1-terra', '2026-10-26', '2026-10-26', FLEX),
  row('chat', 'gpt-6.1-sol', '2026-09-29', '2026-09-29', FLEX),
  row('chat', 'gpt-6-luna', '2026-09-22', '2026-09-22', FLEX),
  row('chat', 'gpt-6-sol', '2026-09-22', '2026-09-22', FLEX),
  row('chat', 'gpt-6-astra', '2026-09-03', '2026-09-03', FLEX),
  row('chat', 'gpt-5.6-sol', '2026-07-30', '', FLEX),
  row('chat', 'gpt-5.6-terra', '2026-07-30', '2026-07-30', FLEX),
  row('chat', 'gpt-5.6-luna', '2026-07-30', '2026-07-30', FLEX),
  row('chat', 'gpt-5.5', '2026-04-23', '2026-04-23', FLEX),
  row('responses', 'gpt-5.5-pro', '2026-04-23', '2026-04-23', FLEX),
  row('chat', 'gpt-5.4', '2026-03-05', '2026-03-05', FLEX),
  row('chat', 'gpt-5.4-mini', '2026-03-17', '2026-03-17', FLEX),
  row('chat', 'gpt-5.4-nano', '2026-03-17', '2026-03-17', until('2027-04-01', FLEX)),
  row('responses', 'gpt-5.4-pro', '2026-03-05', '2026-03-05', FLEX),
  row('responses', 'gpt-5.3-codex', '2026-02-05', '', until('2027-04-01', REASONING)),
  row('chat', 'gpt-5.3-chat-latest', '2026-02-05', '', until('2026-08-10')),
  row('chat', 'gpt-5.2', '2025-12-11', '2025-12-11', FLEX),
  row('responses', 'gpt-5.2-pro', '2025-12-11', '2025-12-11', REASONING),
  row('chat', 'gpt-5.2-chat-latest', '2025-12-11', '', until('2026-08-10')),
  row('chat', 'gpt-5.1', '2025-11-13', '2025-11-13', until('2027-04-01', FLEX)),
  row('chat', 'gpt-5.1-chat-latest', '2025-11-13', '', until('2026-07-23')),
  row('responses', 'gpt-5.1-codex', '2025-11-13', '', until('2026-07-23', REASONING)),
  row('chat', 'gpt-5', '2025-08-07', '2025-08-07', until('2026-12-11', FLEX)),
  row('chat', 'gpt-5-mini', '2025-08-07', '2025-08-07', until('2026-12-11', FLEX)),
  row('chat', 'gpt-5-nano', '2025-08-07', '2025-08-07', until('2026-12-11', FLEX)),
  row('responses', 'gpt-5-pro', '2025-10-06', '2025-10-06', until('2026-12-11', REASONING)),
  row('chat', 'gpt-5-search-api', '2025-10-14', '2025-10-14'),
  row('responses', 'gpt-5-codex', '2025-09-15', '', REASONING),
  row('responses', 'o3-deep-research', '2025-06-26', '2025-06-26', REASONING),
  row('responses', 'o4-mini-deep-research', '2025-06-26', '2025-06-26', REASONING),
  row('responses', 'computer-use-preview', '2025-03-11', '2025-03-11'),
  row('chat', 'gpt-5-chat-latest', '2025-08-07', '', until('2026-07-23')),
  row('chat', 'gpt-4.1', '2025-04-14', '2025-04-14', until('2027-01-14')),
  row('chat', 'gpt-4.1-mini', '2025-04-14', '2025-04-14', until('2027-01-14')),
  row('chat', 'gpt-4.1-nano', '2025-04-14', '2025-04-14', until('2026-10-23')),
  row('chat', 'gpt-4o', '2024-08-06', '2024-08-06 2024-11-20', until('2027-01-14')),
  row('chat', 'gpt-4o-2024-05-13', '2024-05-13', '', until('2026-10-23')),
  row('chat', 'gpt-4o-mini', '2024-07-18', '2024-07-18', until('2027-01-14')),
  row('chat', 'gpt-4-turbo', '2024-04-09', '2024-04-09', until('2026-10-23')),
  row('chat', 'gpt-4', '2023-06-13', '0613', until('2026-10-23')),
  row('chat', 'gpt-3.5-turbo', '2024-01-25', '0125', until('2026-10-23')),
  row('chat', 'gpt-3.5-turbo-1106', '2023-11-06', '', until('2026-09-28')),
  row('chat', 'o4-mini', '2025-04-16', '2025-04-16', until('2026-10-23', FLEX)),
  row('chat', 'o3', '2025-04-16', '2025-04-16', until('2026-12-11', FLEX)),
  row('chat', 'o3-mini', '2025-01-31', '2025-01-31', until('2026-10-23', REASONING)),
  row('responses', 'o3-pro', '2025-06-10', '2025-06-10', until('2026-12-11', REASONING)),
  row('chat', 'o1', '2024-12-17', '2024-12-17', until('2026-10-23', REASONING)),
  row('responses', 'o1-pro', '2025-03-19', '2025-03-19', until('2026-10-23', REASONING)),
  row('completions', 'gpt-3.5-turbo-instruct', '2023-09-14', '0914', until('2026-09-28')),
  row('completions', 'davinci-002', '2023-08-22', '', until('2026-09-28')),
  row('completions', 'babbage-002', '2023-08-22', '', until('2026-09-28')),
  row('embedding', 'text-embedding-3-small', '2024-01-25', ''),
  row('embedding', 'text-embedding-3-large', '2024-01-25', ''),
  row('embedding', 'text-embedding-ada-002', '2022-12-15', ''),
  row('moderation', 'omni-moderation-latest', '2024-09-26', ''),
  row('moderation', 'omni-moderation-2024-09-26', '2024-09-26', ''),
  row('image', 'gpt-image-2.6-sunburst', '2026-11-17', ''),
  row('image', 'chatgpt-image-latest', '2025-12-16', '', until('2026-12-01')),
  row('image', 'gpt-image-1.5', '2025-12-16', '', until('2026-12-01')),
  row('image', 'gpt-image-1-mini', '2025-10-06', '', until('2026-12-01')),
  row('image', 'gpt-image-1', '2025-04-23', '', until('2026-10-23')),
  row('video', 'sora-2', '2025-10-06', '', until('2026-09-24')),
  row('video', 'sora-2-pro', '2025-10-06', '', until('2026-09-24')),
];

const BY_NAME = new Map(
  MODELS.flatMap((model): [string, ModelRow][] => [
    [model.id, model],
    ...(model.snapshots ?? []).map((end): [string, ModelRow] => [`${model.id}-${end}`, model]),
  ]),
);

/** Names of OpenAI's families, for what the list does not have: a lenient emulator serves these as well. */
const FAMILIES =
  /^(?:gpt-|o\d(?:-|$)|chatgpt-|codex-|text-embedding-|omni-moderation-|text-moderation-|davinci-|babbage-|dall-e-|sora-|chat-latest)/;

/** What the emulator knows of a model. */
export type ModelFacts = {
  kind: ModelKind;
  isReasoning: boolean;
  hasFlex: boolean;
  hasWindows: boolean;
  /** Ms since 1970 from which it is not served; Infinity when no day is announced. */
  shutdownMs: number;
};

/** The facts of a name, alias, snapshot or fine-tune (`ft:MODEL:...`); undefined when there is no such model. */
export function modelFacts(name: string): ModelFacts | undefined {
  const model = BY_NAME.get(baseOf(name));
  if (model === undefined) return undefined;
  const { kind, isReasoning = false, hasFlex = false, hasWindows = false, shutdown } = model;
  const shutdownMs = shutdown === undefined ? Number.POSITIVE_INFINITY : Date.parse(shutdown);
  return { kind, isReasoning, hasFlex, hasWindows, shutdownMs };
}

/** Whether a name is one of OpenAI's families, whether or not there is such a model. */
export const isOfKnownFamily = (name: string): boolean => FAMILIES.test(baseOf(name));

const baseOf = (name: string): string => (name.startsWith('ft:') ? (name.split(':')[1] ?? '') : name);

/** The snapshot that an alias resolves to, as seen in `model` of answers and batches; else the name itself. */
export function resolveModel(name: string): string {
  const model = BY_NAME.get(name);
  const [latest] = model?.snapshots ?? [];
  return model === undefined || latest === undefined || model.id !== name ? name : `${name}-${latest}`;
}

/** A Model object as the API shows it. */
export type ModelObject = {
  id: string;
  object: 'model';
  created: number;
  owned_by: string;
  shutdown_date: string | null;
};

/** The Model objects of all names that are served at a moment, in ms since 1970. */
export function servedModels(nowMs: number): ModelObject[] {
  return [...BY_NAME]
    .filter(([name]) => nowMs < modelFacts(name)!.shutdownMs)
    .map(([id, { released, shutdown }]) => ({
      id,
      object: 'model',
      created: Date.parse(released) / 1000,
      owned_by: 'system',
      shutdown_date: shutdown ?? null,
    }));
}

/** Dimensions of an embedding model's vectors (OpenAI's embeddings guide). */
export const embeddingDimensions = (model: string): number =>
  model.startsWith('text-embedding-3-large') ? 3072 : 1536;

/** Context and output windows in tokens (OpenAI's model pages; one row per generation). */
export function windowOf(model: string): { context: number; output: number } {
  if (/^gpt-(?:4o|4-|3\.5)/.test(model)) return { context: 128_000, output: 16_384 };
  if (model.startsWith('gpt-4.1')) return { context: 1_047_576, output: 32_768 };
  return { context: 1_050_000, output: 128_000 };
}
