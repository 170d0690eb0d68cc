/**
 * Lines of `errors/`: the shape of OpenAI's own error lines, with three fields more.
 */

/** What every line of an errors file says beyond OpenAI's shape. */
export interface ErrorLineContext {
  /** Line of the request in the input, 1-based. */
  line: number;
  /** Offset of its first byte there. Absent when the input was compressed. */
  byte?: number;
  /** How many times it was tried in a batch; 0 for a request that was invalid. */
  rounds: number;
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

/** OpenAI's own error line, as parsed, with the context added. */
export function openaiErrorLine(line: Record<string, unknown>, context: ErrorLineContext): Uint8Array {
  return Buffer.from(JSON.stringify({ ...line, ...context }));
}
