import { asObject, type JsonObject } from '../base/json-value.ts';

/** The body of a result line, if it has one. */
export function bodyOf(line: JsonObject): JsonObject | undefined {
  return asObject(asObject(line.response)?.body);
}
