/**
 * Lines of `errors/`: the shape of OpenAI's own error lines, with three fields more.
 */

import { withMembers } from '../base/json-members.ts';

/** What every line of an errors file says beyond OpenAI's shape. */
export interface ErrorLineContext {
  /** Line of the request in the input, 1-based. */
  line: number;
  /** Offset of its first byte there. Absent when the input was compressed. */
  byte?: number | undefined;
  /** How many times it was tried in a batch; 0 for a request that was invalid. */
  tries: number;
}

/** An error that batchdrop states itself, because OpenAI has no line for it. */
export function statedErrorLine(
  customId: string | null,
  error: { code: string; message: string; param?: string | null },
  context: ErrorLineContext,
): Uint8Array {
  return Buffer.from(
    JSON.stringify({ id: null, custom_id: customId, response: null, error: { ...error }, ...context }),
  );
}

/**
 * OpenAI's own error line with the context added; the rest of it stays as it is, byte for byte.
 * @param line its text: a JSON object.
 */
export function openaiErrorLine(line: string, context: ErrorLineContext): Uint8Array {
  const set = Object.entries(context).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as const],
  );
  return Buffer.from(withMembers(line, { set }));
}
