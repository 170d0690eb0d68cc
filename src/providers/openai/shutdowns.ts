/**
 * When OpenAI's models end. Source: OpenAI, deprecations page (platform.openai.com/docs/deprecations), read
 * 2026-11-29. Where `GET /v1/models` gives a `shutdown_date`, that is newer and holds.
 */
import type { Shutdown } from '../../core/model/shutdown.ts';
import type { ShutdownRules } from '../../core/ports/provider-rules.ts';
import { MODEL_NOT_FOUND } from './errors.ts';
import { baseModelOf } from './models.ts';

/** One day, the models that end on it, and the ones that OpenAI names in their place, where it does. */
type ShutdownRow = readonly [date: string, models: string, replacements?: string];

/**
 * Names without the date of a snapshot stand for their snapshots and fine-tunes, too; a name with one is that
 * snapshot alone. Which replacement is for which of the models of 2026-12-11 is not established.
 */
const SHUTDOWNS: readonly ShutdownRow[] = [
  ['2026-09-24', 'sora-2 sora-2-pro'],
  [
    '2026-10-23',
    'gpt-4.1-nano o4-mini o3-mini o1 o1-pro gpt-4o-2024-05-13 gpt-4-turbo gpt-4 gpt-4-0613 gpt-3.5-turbo gpt-3.5-turbo-0125 gpt-image-1',
  ],
  ['2026-12-01', 'gpt-image-1-mini gpt-image-1.5 chatgpt-image-latest'],
  ['2026-12-11', 'gpt-5 gpt-5-mini gpt-5-nano gpt-5-pro o3 o3-pro', 'gpt-6.1-sol gpt-6.1-terra gpt-6-luna'],
  ['2027-01-14', 'gpt-4.1 gpt-4.1-mini gpt-4o gpt-4o-mini', 'gpt-6-luna'],
  ['2027-02-01', 'gpt-5.5-cyber-preview'],
  ['2027-04-01', 'gpt-5.1 gpt-5.4-nano gpt-5.3-codex'],
];

const BY_MODEL: ReadonlyMap<string, Shutdown> = new Map(
  SHUTDOWNS.flatMap(([date, models, replacements]) =>
    models
      .split(' ')
      .map((model): [string, Shutdown] => [model, { date, replacements: replacements?.split(' ') ?? [] }]),
  ),
);

export const SHUTDOWN_RULES: ShutdownRules = {
  shutdownOf(model) {
    const name = model.startsWith('ft:') ? model.split(':')[1]! : model;
    return BY_MODEL.get(name) ?? BY_MODEL.get(baseModelOf(model));
  },
  isModelGone: (code) => code === MODEL_NOT_FOUND,
};
