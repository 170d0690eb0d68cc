import { isObject } from './json-lines.ts';

/** Composition that structured outputs do not take (OpenAI's guide "Structured Outputs", supported schemas). */
const NOT_PERMITTED = [
  'allOf',
  'oneOf',
  'not',
  'dependentRequired',
  'dependentSchemas',
  'if',
  'then',
  'else',
];

/**
 * What makes a schema no strict one, in the words that the API has for it: an object without
 * `additionalProperties: false`, a property that is not required, a keyword that is not taken; undefined when nothing
 * does. Other rules of the guide (numbers of properties and values, nesting) are not held against it.
 * @param schema nested at most as deep as a request may be
 */
export function strictSchemaError(schema: unknown): string | undefined {
  const type = isObject(schema) ? schema.type : undefined;
  if (type !== 'object') {
    const got = type === undefined ? 'None' : `"${String(type)}"`;
    return `schema must be a JSON Schema of 'type: "object"', got 'type: ${got}'.`;
  }
  return errorAt(schema, []);
}

function errorAt(schema: unknown, path: readonly string[]): string | undefined {
  if (!isObject(schema)) return undefined;
  const keyword = NOT_PERMITTED.find((name) => name in schema);
  if (keyword !== undefined) return inContext(path, `'${keyword}' is not permitted.`);
  if (isObject(schema.properties) || schema.type === 'object') {
    if (schema.additionalProperties !== false) {
      return inContext(path, "'additionalProperties' is required to be supplied and to be false.");
    }
    const required = Array.isArray(schema.required) ? schema.required : [];
    const properties = isObject(schema.properties) ? schema.properties : {};
    const missing = Object.keys(properties).find((name) => !required.includes(name));
    if (missing !== undefined) {
      const rule =
        "'required' is required to be supplied and to be an array including every key in properties.";
      return inContext(path, `${rule} Missing '${missing}'.`);
    }
  }
  for (const [child, step] of childrenOf(schema)) {
    const error = errorAt(child, [...path, ...step]);
    if (error !== undefined) return error;
  }
  return undefined;
}

/** The schemas inside a schema, each with the steps to it. */
function childrenOf(schema: Record<string, unknown>): [unknown, string[]][] {
  const named = ['properties', '$defs', 'definitions'].flatMap((holder) => {
    const members = schema[holder];
    if (!isObject(members)) return [];
    return Object.entries(members).map(([name, child]): [unknown, string[]] => [child, [holder, name]]);
  });
  const anyOf = Array.isArray(schema.anyOf) ? schema.anyOf : [];
  return [
    ...named,
    [schema.items, ['items']],
    ...anyOf.map((child, index): [unknown, string[]] => [child, ['anyOf', String(index)]]),
  ];
}

/** The path is written as the API writes it, in Python's words. */
function inContext(path: readonly string[], rule: string): string {
  const steps = path.map((step) => `'${step}'`).join(', ');
  return `In context=(${steps}${path.length === 1 ? ',' : ''}), ${rule}`;
}
