/** What a route's `defaults` make of a line. Pure. */
import type { Defaults } from '../../contract/settings.ts';
import { isKeptNumber, keepNumbers } from '../keep-numbers.ts';
import { MAX_LINE_BYTES } from '../limits.ts';
import { checkLine, type InvalidLine, lineTooLong, type ValidLine } from './check-line.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Fills in what the line leaves out; numbers keep their spelling. What is no JSON object, and a body that is none, stays
 * as it is.
 * @throws {RangeError} if the line is nested more deeply than that can be done for.
 */
export function fillIn(bytes: Uint8Array, { body: parameters, ...members }: Defaults): Uint8Array {
  let line: unknown;
  try {
    line = JSON.parse(utf8.decode(bytes), keepNumbers);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    return bytes;
  }
  if (!isObject(line)) return bytes;
  const filled: Record<string, unknown> = { ...members, ...line };
  if (line.body === undefined && parameters !== undefined) filled.body = parameters;
  else if (isObject(line.body)) filled.body = { ...parameters, ...line.body };
  return Buffer.from(JSON.stringify(filled));
}

/**
 * Checks a line as it is with the defaults filled in.
 * @returns the verdict, and the line to be sent.
 */
export function checkFilledIn(
  bytes: Uint8Array,
  defaults: Defaults,
): { verdict: ValidLine | InvalidLine; bytes: Uint8Array } {
  try {
    const filled = fillIn(bytes, defaults);
    const isTooLong = filled.length > MAX_LINE_BYTES;
    return { verdict: isTooLong ? lineTooLong(filled.length) : checkLine(filled), bytes: filled };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = 'This line is nested too deeply for the defaults of its route to be filled in.';
    return { verdict: { valid: false, code: 'invalid_json_line', message, param: null }, bytes };
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isKeptNumber(value);
}
