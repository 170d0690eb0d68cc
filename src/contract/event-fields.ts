/**
 * What a field of an event may hold: one of a closed set of kinds, none of which has room for a prompt, an answer or
 * an API key. The types refuse a value of the wrong kind where it is written; {@link writeFields} withholds it where
 * the types cannot see it.
 */

declare const OWN_TEXT: unique symbol;

/**
 * Text that this project wrote about ids, counts, keys and codes, or an operator as the reason of an act: see
 * src/core/base/own-text.ts, which alone makes it.
 */
export type OwnText = string & { readonly [OWN_TEXT]: true };

/** What is logged of an error: see `describeError` in src/runtime/logger.ts, which alone makes it. */
export interface ErrorDescription {
  name: string;
  /** Absent where only the name may be shown. */
  message?: string;
  /** Such as `ECONNRESET`. */
  code?: string;
  /** The innermost calls, outermost last. */
  at?: string[];
  cause?: ErrorDescription;
}

/** The value of each kind of field. */
export interface FieldValues {
  /** An id that we or the provider made; no spaces. */
  id: string;
  /** A key, a prefix or a file name: S3's 1,024 bytes at most. */
  key: string;
  /** One of a set of words: a state, a tier, an error code, the name of an error. */
  code: string;
  /** A name from the settings or the provider: an API key's name, a model, a stack, a scope. */
  name: string;
  /** ARN of a caller, as AWS gives it. */
  arn: string;
  /** A whole number, 0 or more: of things, or a place in a series. */
  count: number;
  /** How many of each code. */
  counts: Readonly<Record<string, number>>;
  /** A whole number of bytes, 0 or more. */
  bytes: number;
  /** A duration in milliseconds; below 0 if it is over. */
  ms: number;
  /** Epoch ms; written in ISO 8601. */
  time: number;
  /** US dollars as an exact decimal, such as `0.000425`. */
  usd: string;
  /** Of an answer; 0 where a service gives that. */
  httpStatus: number;
  flag: boolean;
  reason: OwnText;
  error: ErrorDescription;
}

/** The kinds of fields. */
export type FieldKind = keyof FieldValues;

/** Fields by name, each with its kind; `?` after it where the field may be absent. */
export type FieldKinds = Readonly<Record<string, FieldKind | `${FieldKind}?`>>;

type OptionalNames<Kinds extends FieldKinds> = {
  [Name in keyof Kinds]: Kinds[Name] extends `${string}?` ? Name : never;
}[keyof Kinds];
type ValueOf<Spec> = Spec extends `${infer Kind extends FieldKind}?`
  ? FieldValues[Kind]
  : Spec extends FieldKind
    ? FieldValues[Spec]
    : never;

/** The values of fields of these kinds. */
export type FieldsOf<Kinds extends FieldKinds> = {
  [Name in Exclude<keyof Kinds, OptionalNames<Kinds>>]: ValueOf<Kinds[Name]>;
} & { [Name in OptionalNames<Kinds>]?: ValueOf<Kinds[Name]> | undefined };

/** The longest text of ours that a field holds (characters). */
export const MAX_OWN_TEXT_CHARS = 500;
/** S3's limit on the UTF-8 bytes of a key. Source: S3 User Guide, "Naming Amazon S3 objects". */
const MAX_KEY_BYTES = 1024;
/** An API key of OpenAI. Source: https://platform.openai.com/api-keys, which makes only keys of this form. */
const API_KEY = /(?<![A-Za-z0-9])sk-[\w-]{8}/;
const CODE = /^[\w.:-]{1,100}$/;

const isText = (value: unknown, pattern: RegExp): boolean =>
  typeof value === 'string' && pattern.test(value) && !API_KEY.test(value);
const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).every(([code, count]) => isText(code, CODE) && isWhole(count));

const CHECKS: Readonly<Record<FieldKind, (value: unknown) => boolean>> = {
  id: (value) => isText(value, /^[\w.:-]{1,200}$/),
  // Above the size of a key in bytes, hence in characters; a line break is in no key that a person sees.
  key: (value) => isText(value, /^[^\r\n]+$/) && (value as string).length <= MAX_KEY_BYTES,
  code: (value) => isText(value, CODE),
  name: (value) => isText(value, /^[\w.:/@ -]{1,300}$/),
  // Source: IAM user guide, "IAM identifiers": partition, path, name and session are of printable ASCII.
  arn: (value) => isText(value, /^arn:[!-~]{1,2000}$/),
  count: isWhole,
  counts: isCounts,
  bytes: isWhole,
  httpStatus: (value) => isWhole(value) && (value as number) < 1000,
  ms: (value) => Number.isFinite(value),
  // Within what a Date can hold.
  time: (value) => Number.isFinite(value) && Math.abs(value as number) <= 8.64e15,
  usd: (value) => isText(value, /^-?\d{1,15}(\.\d{1,12})?$/),
  flag: (value) => typeof value === 'boolean',
  reason: (value) => isText(value, /^[^\r\n]+$/) && (value as string).length <= MAX_OWN_TEXT_CHARS,
  error: isErrorDescription,
};

function isErrorDescription(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, message, code, at, cause, ...others } = value as Record<string, unknown>;
  return (
    isText(name, CODE) &&
    (message === undefined || isText(message, /^/)) &&
    (code === undefined || isText(code, CODE)) &&
    (at === undefined || (Array.isArray(at) && at.every((line) => isText(line, /^at /)))) &&
    (cause === undefined || isErrorDescription(cause)) &&
    Object.keys(others).length === 0
  );
}

/**
 * What is written of fields: times in ISO 8601, absent ones left out. A value that is not of its kind is withheld,
 * and so is a field that has no kind; recording never throws.
 * @returns `problems`: the fields that are missing or withheld, one sentence each, without their values.
 */
export function writeFields(
  kinds: FieldKinds,
  values: Readonly<Record<string, unknown>>,
): { fields: Record<string, unknown>; problems: string[] } {
  const fields: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, spec] of Object.entries(kinds)) {
    const value = values[name];
    const kind = spec.replace('?', '') as FieldKind;
    if (value === undefined) {
      if (!spec.endsWith('?')) problems.push(`${name} is missing`);
    } else if (CHECKS[kind](value)) {
      fields[name] = kind === 'time' ? new Date(value as number).toISOString() : value;
    } else {
      fields[name] = `withheld: expected ${kind}`;
      problems.push(`${name} is not of the kind ${kind}`);
    }
  }
  for (const name of Object.keys(values))
    if (!Object.hasOwn(kinds, name) && values[name] !== undefined)
      problems.push(`${name} is no field of this event`);
  return { fields, problems };
}
