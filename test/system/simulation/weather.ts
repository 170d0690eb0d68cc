/**
 * Kinds of trouble that can be chosen one by one (`npm run simulate -- --weather NAME,…`), beside those that every seed
 * draws from. Each has its own source of chance, so that a kind more changes nothing about seeds that do not have it.
 */
import type { Random } from './random.ts';

/** Each kind: how many of all seeds have it, and what it does. */
export const KINDS = {
  'failed-after-execution': {
    share: 0.25,
    does: 'batches end as failed after they ran, with files, with counts alone, or with neither once they were seen running',
  },
  counts: {
    share: 0.3,
    does: 'completed batches say counts that are absent, zero or too low, with files that are named or filled late',
  },
  'line-boundary': {
    share: 0.2,
    does: 'the first downloads of a result file end after a whole line, without the length or with that of the part',
  },
  'young-files': {
    share: 0.2,
    does: 'a create is refused until its input file is some seconds or minutes old',
  },
  'list-pages': {
    share: 0.25,
    does: 'pages of the list of batches repeat, skip, are empty before the end, or lead back to an earlier one',
  },
  'background-windows': {
    share: 0.18,
    does: 'responses are made in the background: late, stuck, failed, cancelled, lost, gone, or of models that have no windows',
  },
  webhooks: {
    share: 0.2,
    does: 'OpenAI tells of what has ended, here and there not, twice, late, and of the work of others',
  },
  'missing-usage': { share: 0.2, does: 'answers come without usage' },
  'hanging-calls': {
    share: 0.15,
    does: 'calls of OpenAI hang until the time box of their caller ends, or its function dies',
  },
  'throttled-deliveries': {
    share: 0.25,
    does: 'a delivery that finds no room counts as a receive and comes back after the visibility time',
  },
  'long-calls': {
    share: 0.12,
    does: 'calls in flex and standard take minutes, some longer than a worker lives',
  },
  'denied-inputs': {
    share: 0.1,
    does: 'inputs that can be listed are not readable for hours, days or for ever',
  },
  'late-polls': {
    share: 0.12,
    does: 'the poll does not run for hours, up to a day and a half, while events of other objects have workers begin',
  },
  'work-expiry': { share: 0.05, does: 'jobs wait for a person for weeks, while work/ is cleaned' },
  'flooded-routes': {
    share: 0.15,
    does: 'routes let one or two files start in an hour, a day or both, and more are dropped',
  },
  'late-denials': {
    share: 0.1,
    does: 'inputs that were read and planned are not readable any more, for minutes, hours or for ever',
  },
  'shared-bucket': {
    share: 0.08,
    does: 'two stacks with the same prefixes live on one bucket, and one may take over from the other',
  },
  'cancel-and-run': {
    share: 0.1,
    does: 'a job with a duplicate is cancelled while it is finalized, and its duplicate is to be run',
  },
  operators: {
    share: 0.25,
    does: 'persons pause, cancel, resume, retry and forget at any time, through the function of operators',
  },
  'late-sidecars': { share: 0.15, does: 'options beside a file are put before it or after it' },
  'same-content': {
    share: 0.4,
    does: 'X, Y and X are dropped under one key, some within one second; names are judged with duplicates',
  },
} as const satisfies Record<string, { share: number; does: string }>;

export type Kind = keyof typeof KINDS;

export const KIND_NAMES = Object.keys(KINDS) as readonly Kind[];

/** Kinds that have not passed 500 seeds beside all others yet: a seed has them only when they are asked for. */
export const OFF: readonly Kind[] = ['operators'];

/**
 * Which kinds a seed has.
 * @param chosen exactly these, in every seed. Default: each that is not {@link OFF}, as often as its share says.
 */
export function drawKinds(random: Random, chosen?: readonly Kind[]): ReadonlySet<Kind> {
  if (chosen !== undefined) return new Set(chosen);
  const isDrawn = (kind: Kind): boolean => !OFF.includes(kind) && random.fork(kind).chance(KINDS[kind].share);
  return new Set(KIND_NAMES.filter(isDrawn));
}

/** @throws {Error} if one of the names is none of a kind. */
export function parseKinds(text: string): Kind[] {
  const names =
    text === 'all' ? KIND_NAMES : text === 'none' ? [] : text.split(',').filter((name) => name !== '');
  return names.map((name) => {
    const kind = KIND_NAMES.find((one) => one === name);
    if (kind !== undefined) return kind;
    throw new Error(`there is no weather called ${JSON.stringify(name)}; there are ${KIND_NAMES.join(', ')}`);
  });
}
