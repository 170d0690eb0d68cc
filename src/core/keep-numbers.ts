/**
 * For `JSON.parse`: a number that JavaScript would write otherwise (`1.0`, 20 digits) stays as it was written, for
 * `JSON.stringify`.
 */
export function keepNumbers(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === 'number' && source !== undefined && String(value) !== source
    ? rawJson.rawJSON(source)
    : value;
}

/** Whether a value stands for a number that was kept. */
export function isKeptNumber(value: unknown): boolean {
  return rawJson.isRawJSON(value);
}

/** Source: TC39 "JSON.parse source text access", in V8 since 11.4; TypeScript does not declare it yet. */
const rawJson = JSON as unknown as { rawJSON(text: string): unknown; isRawJSON(value: unknown): boolean };
