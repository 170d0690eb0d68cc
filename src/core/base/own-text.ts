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

/** The name of an error, as a code: its message may quote what it could not read. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

function shorten(text: string, maxChars = MAX_OWN_TEXT_CHARS): OwnText {
  return text.replace(/\s*[\r\n]\s*/g, ' ').slice(0, maxChars) as OwnText;
}
