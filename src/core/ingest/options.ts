/**
 * What a dropped object says of how it is to be run: in its user metadata, or in `<key>.options.json` beside it. It is
 * read once, when its job is recorded. Whatever cannot be followed to the letter rejects the job: a file that runs in
 * other ways than was said costs money.
 */
import {
  METADATA_PREFIX,
  OPTIONS,
  OPTIONS_SUFFIX,
  type OptionName,
  type Options,
  optionsSchema,
} from '../../contract/options.ts';
import type { Route } from '../../contract/settings.ts';
import { describeJsonProblem } from '../../contract/settings-text.ts';
import { BatchdropError, ObjectGoneError } from '../errors.ts';
import { MAX_KEY_BYTES } from '../keys.ts';
import type { Job, ObjectHead } from '../model.ts';
import type { ObjectStore } from '../ports.ts';
import { fromUsd } from '../prices/money.ts';

/** The route that a job freezes. With a rejection, nothing is run. */
export interface JobOptions extends Pick<Job, 'route' | 'budgetUsd'> {
  rejection?: { code: 'invalid_options'; message: string };
}

/** One option, as it was said. */
interface Said {
  /** What it was called there, and where. */
  where: string;
  /** `undefined`: no option is called that. */
  name: OptionName | undefined;
  value: unknown;
}

/** More than any options need. */
const MAX_OPTIONS_BYTES = 10_000;
/** Of what was read, as much as a message repeats. */
const MAX_SHOWN = 100;

class InvalidOptionsError extends BatchdropError {}

/** Reads what the object says, and applies it to its route. */
export async function readOptions(
  objects: Pick<ObjectStore, 'read'>,
  input: ObjectHead,
  metadata: Record<string, string>,
  route: Route,
): Promise<JobOptions> {
  try {
    const said = saidInMetadata(metadata, input.key);
    if (route.mayOverride.length > 0) said.push(...(await saidBeside(objects, input, route)));
    return override(route, said);
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    return { route, rejection: { code: 'invalid_options', message: error.message } };
  }
}

/** Metadata of other names is somebody else's. */
function saidInMetadata(metadata: Record<string, string>, key: string): Said[] {
  return Object.entries(metadata)
    .filter(([header]) => header.startsWith(METADATA_PREFIX))
    .map(([header, text]) => {
      const name = OPTION_NAMES.find((one) => METADATA_PREFIX + OPTIONS[one].metadata === header);
      return { where: `x-amz-meta-${header} of ${key}`, name, value: readText(name, text) };
    });
}

/** Metadata has text alone. */
function readText(name: OptionName | undefined, text: string): unknown {
  if (name === 'tiers') return text.split(',').map((tier) => tier.trim());
  return name === 'maxRounds' && /^\d+$/.test(text) ? Number(text) : text;
}

async function saidBeside(
  objects: Pick<ObjectStore, 'read'>,
  input: ObjectHead,
  route: Route,
): Promise<Said[]> {
  const key = input.key + OPTIONS_SUFFIX;
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return [];
  const bytes = await readSmall(objects, input.bucket, key);
  if (bytes === undefined) return [];
  if (bytes.length > MAX_OPTIONS_BYTES)
    throw new InvalidOptionsError(
      `${key} has more than ${MAX_OPTIONS_BYTES} bytes. ${allowedText(route)} Mend it and drop the file again.`,
    );
  const refuse = (what: string) =>
    new InvalidOptionsError(
      `${key} (${bytes.length} bytes) is not ${what}. Expected is an object such as {"maxRounds": 2}. ${allowedText(route)} Mend it and drop the file again.`,
    );
  const text = textOf(bytes);
  if (text === undefined) throw refuse('UTF-8');
  const problem = describeJsonProblem(text);
  if (problem !== undefined) throw refuse(`JSON: ${problem}`);
  const json: unknown = JSON.parse(text);
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw refuse(`a JSON object: read ${shown(text)}`);
  return Object.entries(json).map(([word, value]) => ({
    where: `${JSON.stringify(shown(word))} in ${key}`,
    name: OPTION_NAMES.find((one) => one === word),
    value,
  }));
}

/** A byte order mark, as some editors write one, is left out. `undefined`: it is no UTF-8. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** As much of an object as says whether it is small; `undefined` if there is none. */
async function readSmall(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  key: string,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of await objects.read({ bucket, key }, 0, MAX_OPTIONS_BYTES + 1))
      chunks.push(new Uint8Array(chunk));
  } catch (error) {
    if (error instanceof ObjectGoneError) return undefined;
    throw error;
  }
  return Buffer.concat(chunks);
}

function override(route: Route, said: readonly Said[]): JobOptions {
  const places = new Map<OptionName, string>();
  const options: Options = {};
  for (const { where, name, value } of said) {
    const read = `${where} is ${shown(JSON.stringify(value))}`;
    const refuse = (reason: string) =>
      new InvalidOptionsError(`${read}: ${reason}. ${allowedText(route)} Mend it and drop the file again.`);
    if (name === undefined) throw refuse('there is no such option');
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
  }
  const { budgetUsd, ...changes } = options;
  if (budgetUsd === undefined) return { route: { ...route, ...changes } };
  const { budget } = route;
  const lowered = { ...(budget === 'unlimited' ? {} : budget), perJobUsd: budgetUsd };
  return { route: { ...route, ...changes, budget: lowered }, budgetUsd };
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
