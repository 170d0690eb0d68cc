/** Text for events: made of this project's own words, and of ids, counts and keys in it. */
import { MAX_OWN_TEXT_CHARS, type OwnText } from '../../contract/event-fields.ts';
import { BatchdropError } from './errors.ts';

/** The longest reason that a record keeps (characters). */
const MAX_REASON_CHARS = 300;

/** A sentence with ids, counts or keys in it: a template tag, so that nothing else can be passed by mistake. */
export function ownText(words: TemplateStringsArray, ...values: readonly (string | number)[]): OwnText {
  return shorten(String.raw({ raw: words }, ...values));
}

/** Why something failed. Of our own errors the message, which never quotes content; of others the name only. */
export function reasonOf(error: unknown): OwnText {
  const { name, message } = error as Error;
  return shorten(error instanceof BatchdropError ? message : name, MAX_REASON_CHARS);
}

/** Why an operator acts, in the words that they gave for those who read the log. @returns nothing if they gave none. */
export function operatorReason(reason: string | undefined): OwnText | undefined {
  return reason === undefined ? undefined : shorten(reason);
}

/** The name of an error, as a code: its message may quote what it could not read. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

/**
 * A longer text (characters) is no code. Ours: OpenAI documents no limit, and none of its codes that we know is as
 * long.
 */
const MAX_SERVICE_CODE_CHARS = 64;

/**
 * A code that a service states, as a field takes it: OpenAI has codes with spaces in them.
 * @returns what is too long for a code as it is: it is withheld when it is written.
 */
export function serviceCode(code: string): string {
  return code.length > MAX_SERVICE_CODE_CHARS ? code : code.replace(/[^A-Za-z0-9_.-]/g, '_');
}

/** How many of each code of a service, see {@link serviceCode}; codes that become the same are added up. */
export function serviceCodeCounts(counts: Readonly<Record<string, number>>): Record<string, number> {
  const sums = new Map<string, number>();
  for (const [code, count] of Object.entries(counts))
    sums.set(serviceCode(code), (sums.get(serviceCode(code)) ?? 0) + count);
  return Object.fromEntries(sums);
}

function shorten(text: string, maxChars = MAX_OWN_TEXT_CHARS): OwnText {
  return text.replace(/\s*[\r\n]\s*/g, ' ').slice(0, maxChars) as OwnText;
}
