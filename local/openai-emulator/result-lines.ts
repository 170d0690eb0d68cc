import type { EffectOf, RawLine } from './effects.ts';
import type { Executed } from './execution.ts';
import { hexOf } from './ids.ts';
import { isObject } from './json-lines.ts';
import { patched } from './json-patch.ts';

/** A result as a line of an output or error file shows it. */
export type ResultLine = {
  id: string;
  custom_id: string;
  response: { status_code: number; request_id: string; body: unknown } | null;
  error: { code: string; message: string } | null;
};

/** The line of an executed request. The order of its keys varies, as in the real files. */
export function lineOf(key: string, customId: string, { answer, effects, requestId }: Executed): ResultLine {
  const shown = effects.find((effect) => effect.kind === 'line.foreign_id')?.custom_id ?? customId;
  const error = effects.find((effect) => effect.kind === 'line.error');
  if (error !== undefined) return resultLine(key, shown, null, { code: error.code, message: error.message });
  const request_id = answer.status === 0 ? '' : requestId;
  return resultLine(key, shown, { status_code: answer.status, request_id, body: answer.body }, null);
}

/** A line with its id, which is derived from `key`. */
export function resultLine(
  key: string,
  custom_id: string,
  response: ResultLine['response'],
  error: ResultLine['error'],
): ResultLine {
  const id = `batch_req_${hexOf(32, key, 'line')}`;
  return key < '8' ? { id, custom_id, response, error } : { id, custom_id, error, response };
}

/** The lines of a request as rules ask for them, patched and replaced; bytes are not JSON. */
export function scriptedLines(line: ResultLine, effects: readonly EffectOf<'line'>[]): (unknown | Buffer)[] {
  let lines: (unknown | Buffer)[] = [line];
  for (const effect of effects) {
    if (effect.kind === 'line.lines') lines = effect.lines.map((raw) => filledIn(raw, line));
    if (effect.kind === 'line.patch') {
      lines = lines.map((each) => (Buffer.isBuffer(each) ? each : patched(each, effect.operations)));
    }
  }
  return lines;
}

/** Lines as bytes of a file, without the last line feed. */
export const bytesOfLines = (lines: readonly (unknown | Buffer)[]): Buffer =>
  Buffer.concat(
    lines.flatMap((line, index) => [
      Buffer.from(index === 0 ? '' : '\n'),
      Buffer.isBuffer(line) ? line : Buffer.from(JSON.stringify(line)),
    ]),
  );

/**
 * What a synchronous call answers where a batch would have the scripted line: its `response`, or its error with status
 * 500; bytes are the body of a 200.
 */
export function scriptedAnswer(
  line: ResultLine,
  effects: readonly EffectOf<'line'>[],
): { status: number; body: unknown } {
  const [first] = scriptedLines(line, effects);
  if (Buffer.isBuffer(first)) return { status: 200, body: first };
  const { response, error } = isObject(first) ? first : { response: null, error: null };
  if (!isObject(response)) return { status: 500, body: { error: error ?? null } };
  return { status: Number(response.status_code), body: response.body };
}

function filledIn(raw: RawLine, line: ResultLine): unknown | Buffer {
  if ('base64' in raw && Object.keys(raw).length === 1) return Buffer.from(String(raw.base64), 'base64');
  return { id: line.id, custom_id: line.custom_id, ...raw };
}
