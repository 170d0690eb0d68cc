/**
 * Settings as people write them: JSON, the same for the construct, for `cdk -c settings=` and for the command line.
 * What is wrong with them is reported with its place, what was read there, and what is allowed.
 */
import type * as z from 'zod';
import { type Settings, settingsSchema } from './settings.ts';

/** The settings cannot be used. The message says of which file, where, what was read and what is allowed. */
export class SettingsTextError extends Error {
  override readonly name = 'SettingsTextError';
}

/** Hundreds of routes with all that they may say; a file of requests, given by mistake, mostly has more. */
const MAX_TEXT_LENGTH = 1_000_000;
/** Of what was read, as much as a message repeats. */
const MAX_SHOWN = 100;

/**
 * Reads settings and fills in the defaults.
 *
 * @param text JSON; a byte order mark before it is fine.
 * @param name of the file, or of the other source of the text: every message begins with it.
 * @throws {SettingsTextError} if it is no JSON, with line and column, or for all fields that are not as they may be.
 */
export function readSettings(text: string, name: string): Settings {
  if (text.length > MAX_TEXT_LENGTH) {
    throw new SettingsTextError(
      `${name} has ${text.length} characters, and settings have ${MAX_TEXT_LENGTH} at the most: is it a file of requests?`,
    );
  }
  const json = readJson(text.replace(/^\ufeff/, ''), name);
  const parsed = settingsSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new SettingsTextError(
    `${name} holds settings that are not valid:\n${describeProblems(parsed.error, json)}`,
  );
}

/**
 * One line for each thing that is wrong: its place, what is allowed there, what was read.
 *
 * @param input what was parsed.
 */
export function describeProblems({ issues }: z.ZodError, input: unknown): string {
  return issues
    .map((issue) => {
      const place = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
      return `  - ${place}${issue.message}${tellsWhatWasRead(issue) ? '' : `; read ${shown(valueAt(input, issue.path))}`}`;
    })
    .join('\n');
}

/** Names that are not known are what was read; what concerns several fields names their values. */
function tellsWhatWasRead({ code, message, path }: z.core.$ZodIssue): boolean {
  return code === 'unrecognized_keys' || path.length === 0 || / read /.test(message);
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    input,
  );
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

function readJson(text: string, name: string): unknown {
  const problem = describeJsonProblem(text);
  if (problem === undefined) return JSON.parse(text);
  throw new SettingsTextError(
    `${name} is not JSON: ${problem}. Expected is one object such as ` +
      '{"routes": [{"name": "default", "prefix": "input/", "tiers": ["batch"], "budget": "unlimited"}]}',
  );
}

/** `line 2, column 7: Unexpected token 'x'`; `undefined` if the text is JSON. For short texts. */
export function describeJsonProblem(text: string): string | undefined {
  const problem = jsonProblem(text);
  if (problem === undefined) return undefined;
  const before = text.slice(0, placeOf(problem, text));
  const line = before.split('\n').length;
  const column = before.length - before.lastIndexOf('\n');
  const what = problem.replace(/( in JSON)? at position .*$|, (\.{3})?".*$/s, '');
  return `line ${line}, column ${column}: ${what}`;
}

/** What V8 says of the text; `undefined` if it is JSON. */
function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Where V8 stopped. Its message names the place of most problems; of an unexpected token it does not, but that is the
 * last character of the shortest beginning of the text that has the same problem.
 */
function placeOf(problem: string, text: string): number {
  const position = / at position (\d+)/.exec(problem)?.[1];
  if (position !== undefined) return Number(position);
  const token = /^Unexpected token/;
  if (!token.test(problem)) return text.length;
  let [fine, wrong] = [0, text.length];
  while (wrong - fine > 1) {
    const middle = (fine + wrong) >> 1;
    if (token.test(jsonProblem(text.slice(0, middle)) ?? '')) wrong = middle;
    else fine = middle;
  }
  return wrong - 1;
}
