/**
 * What a dropped object says of how it is to be run: in its user metadata, or in `<key>.options.json` beside it
 * (sidecar.ts). It is read once, when its job is recorded. Whatever cannot be followed to the letter rejects the job:
 * a file that runs in other ways than was said costs money.
 */
import {
  METADATA_PREFIX,
  OPTIONS,
  OPTIONS_SUFFIX,
  type OptionName,
  type Options,
  optionsSchema,
} from '../../contract/options.ts';
import type { Route } from '../../contract/route.ts';
import { describeJsonProblem } from '../../contract/settings-text.ts';
import { defined } from '../base/defined.ts';
import { BatchdropError, ObjectGoneError } from '../base/errors.ts';
import { fromUsd } from '../base/money.ts';
import type { AppliedOption, Job } from '../model/job.ts';
import type { ObjectHead } from '../model/objects.ts';
import {
  findMisnamedSidecar,
  MAX_OPTIONS_BYTES,
  readSidecar,
  type SidecarDeps,
  sidecarKeyOf,
} from './sidecar.ts';

/** The route that a job freezes, and what of it the object said. With a rejection, nothing is run. */
export interface JobOptions extends Pick<Job, 'route' | 'budgetUsd' | 'options'> {
  rejection?: { code: 'invalid_options'; message: string };
}

/** One option, as it was said. */
interface Said {
  /** What it was called there, and where. */
  where: string;
  /** `undefined`: no option is called that. */
  name: OptionName | undefined;
  value: unknown;
  /** The name that it should have, where it is nearly one. */
  meant?: string;
}

/** Of what was read, as much as a message repeats. */
const MAX_SHOWN = 100;

const FIX = 'Fix it and drop the file again.';

class InvalidOptionsError extends BatchdropError {}

/**
 * Reads what the object says, and applies it to its route.
 * @param input as HeadObject returns it.
 * @param metadata user metadata of the object, names without `x-amz-meta-`.
 */
export async function readOptions(
  deps: SidecarDeps,
  input: ObjectHead,
  metadata: Record<string, string>,
  route: Route,
): Promise<JobOptions> {
  try {
    const said = saidInMetadata(metadata, input.key);
    said.push(...(await saidBeside(deps, input, route)));
    return override(route, said);
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    return { route, rejection: { code: 'invalid_options', message: error.message } };
  }
}

/**
 * Metadata of other names is not ours. Ours is whatever begins with "batchdrop", however it is spelled: with
 * underscores, in other case, or with S3's own prefix once more.
 */
function saidInMetadata(metadata: Record<string, string>, key: string): Said[] {
  return Object.entries(metadata).flatMap(([header, text]) => {
    const letters = lettersOf(header.replace(/^(x-amz-meta-)+/i, ''));
    const near = OPTION_NAMES.find((one) => lettersOf(METADATA_PREFIX + OPTIONS[one].metadata) === letters);
    if (near === undefined && !OUR_METADATA.test(header)) return [];
    const name = OPTION_NAMES.find((one) => METADATA_PREFIX + OPTIONS[one].metadata === header);
    return defined({
      where: `x-amz-meta-${header} of ${key}`,
      name,
      value: readText(name, text),
      meant: near === undefined ? undefined : `x-amz-meta-${METADATA_PREFIX}${OPTIONS[near].metadata}`,
    });
  });
}

/** `batchdrop`, alone or before anything but a letter or digit. */
const OUR_METADATA = /^(x-amz-meta-)*batch[^a-z0-9]?drop([^a-z0-9]|$)/i;

/** A name without what people spell in different ways. */
function lettersOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/** Metadata has text alone. */
function readText(name: OptionName | undefined, text: string): unknown {
  if (name === 'tiers') return text.split(',').map((tier) => tier.trim());
  return name === 'maxTries' && /^\d+$/.test(text) ? Number(text) : text;
}

async function saidBeside(deps: SidecarDeps, input: ObjectHead, route: Route): Promise<Said[]> {
  const key = sidecarKeyOf(input.key);
  const bytes = await readBeside(deps, input, route);
  if (key === undefined || bytes === undefined) return [];
  if (bytes.length > MAX_OPTIONS_BYTES)
    throw new InvalidOptionsError(
      `${key} has more than ${MAX_OPTIONS_BYTES} bytes. ${allowedText(route)} ${FIX}`,
    );
  const refuse = (what: string) =>
    new InvalidOptionsError(
      `${key} (${bytes.length} bytes) is not ${what}. Expected is an object such as {"maxTries": 2}. ${allowedText(route)} ${FIX}`,
    );
  const text = textOf(bytes);
  if (text === undefined) throw refuse('UTF-8');
  const problem = describeJsonProblem(text);
  if (problem !== undefined) throw refuse(`JSON: ${problem}`);
  const json: unknown = JSON.parse(text);
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw refuse(`a JSON object: read ${shown(text)}`);
  return Object.entries(json).map(([word, value]) => {
    const name = OPTION_NAMES.find((one) => one === word);
    const near = OPTION_NAMES.find((one) => lettersOf(one) === lettersOf(word));
    return defined({
      where: `${JSON.stringify(shown(word))} in ${key}`,
      name,
      value,
      meant: near === undefined ? undefined : `"${near}"`,
    });
  });
}

/** What lies beside the file, under the right name. */
async function readBeside(
  deps: SidecarDeps,
  input: ObjectHead,
  route: Route,
): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readSidecar(deps, input);
    if (bytes !== undefined) return bytes;
  } catch (error) {
    if (!(error instanceof ObjectGoneError)) throw error;
    throw new InvalidOptionsError(
      `The options that lay beside the file when it was put are gone: ${error.message}. Put both again.`,
      { cause: error },
    );
  }
  const misnamed = await findMisnamedSidecar(deps.objects, input);
  if (misnamed === undefined) return undefined;
  throw new InvalidOptionsError(
    `${misnamed} is not read: the options of ${input.key} are expected in ${input.key}${OPTIONS_SUFFIX}. ${allowedText(route)} ` +
      'Rename or remove it and drop the file again.',
  );
}

/** A byte order mark, as some editors write one, is left out. `undefined`: it is no UTF-8. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function override(route: Route, said: readonly Said[]): JobOptions {
  const places = new Map<OptionName, string>();
  const options: Options = {};
  const applied: AppliedOption[] = [];
  for (const { where, name, value, meant } of said) {
    const read = `${where} is ${shown(JSON.stringify(value))}`;
    const refuse = (reason: string) =>
      new InvalidOptionsError(`${read}: ${reason}. ${allowedText(route)} ${FIX}`);
    if (name === undefined)
      throw refuse(`there is no such option${meant === undefined ? '' : `; expected is ${meant}`}`);
    if (!(route.mayOverride as readonly string[]).includes(OPTIONS[name].overrides))
      throw refuse(`route "${route.name}" does not let a file say this`);
    const other = places.get(name);
    if (other !== undefined) throw refuse(`it was said before, by ${other}; one place is enough`);
    places.set(name, where);
    const parsed = optionsSchema.safeParse({ [name]: value });
    if (!parsed.success) throw refuse(parsed.error.issues.map(({ message }) => message).join('; '));
    const problem = problemOf(route, parsed.data);
    if (problem !== undefined) throw refuse(problem);
    Object.assign(options, parsed.data);
    applied.push({ name, value: parsed.data[name]!, from: where });
  }
  if (applied.length === 0) return { route };
  const { budgetUsd, ...changes } = options;
  if (budgetUsd === undefined) return { route: { ...route, ...changes }, options: applied };
  const { budget } = route;
  const lowered = { ...(budget === 'unlimited' ? {} : budget), perJobUsd: budgetUsd };
  return { route: { ...route, ...changes, budget: lowered }, budgetUsd, options: applied };
}

/** What the route has against values that are fine as such. */
function problemOf({ tiers, budget }: Route, options: Options): string | undefined {
  const beyond = options.tiers?.filter((tier) => !tiers.includes(tier)) ?? [];
  if (beyond.length > 0) return `the route has the tiers ${tiers.join(', ')}, and no ${beyond.join(', ')}`;
  const most = budget === 'unlimited' ? undefined : budget.perJobUsd;
  if (options.budgetUsd === undefined || most === undefined) return undefined;
  return fromUsd(options.budgetUsd)! > fromUsd(most)!
    ? `a job of the route may cost ${most} USD, and not more`
    : undefined;
}

function allowedText({ name, mayOverride }: Route): string {
  const names = OPTION_NAMES.filter((one) => mayOverride.includes(OPTIONS[one].overrides));
  const spelt = names.map((one) => `${one} (in metadata: ${METADATA_PREFIX}${OPTIONS[one].metadata})`);
  return `Route "${name}" allows ${spelt.length === 0 ? 'no options: its mayOverride is empty' : spelt.join(', ')}.`;
}

function shown(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];
