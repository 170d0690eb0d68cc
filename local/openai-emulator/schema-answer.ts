import { hexOf } from './ids.ts';
import { isObject } from './json-lines.ts';

const MAX_DEPTH = 12;

/**
 * A value that conforms to a JSON schema as far as a simple generator can: types, enum, const, $ref, anyOf/oneOf/allOf,
 * required and optional properties, minItems/maxItems, minimum/maximum, minLength/maxLength and common formats. Each
 * choice is a function of `key` and the path, so the same request always gets the same value.
 * @param schema the JSON schema
 * @param key what choices are derived from: the hash of the request's input
 */
export function answerToSchema(schema: unknown, key: string): unknown {
  return generate(schema, { root: schema, key, path: '$', depth: 0 });
}

type Place = { root: unknown; key: string; path: string; depth: number };

function generate(schema: unknown, place: Place): unknown {
  if (!isObject(schema) || place.depth > MAX_DEPTH) return null;
  if ('const' in schema) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return pick(schema.enum, place);
  if (typeof schema.$ref === 'string') {
    return generate(resolveRef(place.root, schema.$ref), { ...place, depth: place.depth + 1 });
  }
  const variants = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(variants) && variants.length > 0) {
    const variant = place.depth >= MAX_DEPTH / 2 ? shallowest(variants) : pick(variants, place);
    return generate(variant, { ...place, path: `${place.path}|`, depth: place.depth + 1 });
  }
  if (Array.isArray(schema.allOf)) {
    return generate(merged(schema, schema.allOf, place.root), { ...place, depth: place.depth + 1 });
  }
  const type = Array.isArray(schema.type) ? pick(schema.type, place) : schema.type;
  switch (type ?? (isObject(schema.properties) ? 'object' : 'string')) {
    case 'object':
      return objectOf(schema, place);
    case 'array':
      return arrayOf(schema, place);
    case 'integer':
      return Math.round(numberOf(schema, place, true));
    case 'number':
      return numberOf(schema, place, false);
    case 'boolean':
      return chance(place) < 0.5;
    case 'null':
      return null;
    default:
      return stringOf(schema, place);
  }
}

function objectOf(schema: Record<string, unknown>, place: Place): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(isObject(schema.properties) ? schema.properties : {})) {
    const required = Array.isArray(schema.required) && schema.required.includes(name);
    // Past half the depth only what must be there: recursive schemas come to an end.
    if (!required && place.depth >= MAX_DEPTH / 2) continue;
    result[name] = generate(property, { ...place, path: `${place.path}.${name}`, depth: place.depth + 1 });
  }
  return result;
}

function arrayOf(schema: Record<string, unknown>, place: Place): unknown[] {
  const min = integerOr(schema.minItems, place.depth >= MAX_DEPTH / 2 ? 0 : 1);
  const max = integerOr(schema.maxItems, Math.max(min, 3));
  const count = min + Math.floor(chance(place) * (Math.min(max, min + 2) - min + 1));
  return Array.from({ length: count }, (_, i) =>
    generate(schema.items, { ...place, path: `${place.path}[${i}]`, depth: place.depth + 1 }),
  );
}

function numberOf(schema: Record<string, unknown>, place: Place, whole: boolean): number {
  const step = whole ? 1 : 0.01;
  const low =
    typeof schema.exclusiveMinimum === 'number'
      ? schema.exclusiveMinimum + step
      : numberOr(schema.minimum, 0);
  const high =
    typeof schema.exclusiveMaximum === 'number'
      ? schema.exclusiveMaximum - step
      : numberOr(schema.maximum, whole ? low + 100 : low + 1);
  if (typeof schema.multipleOf === 'number' && schema.multipleOf > 0) {
    return Math.ceil(low / schema.multipleOf) * schema.multipleOf;
  }
  const value = whole
    ? Math.ceil(low) + Math.floor(chance(place) * (Math.floor(high) - Math.ceil(low) + 1))
    : Math.round((low + chance(place) * (high - low)) * 100) / 100;
  return Math.min(high, Math.max(low, value));
}

function stringOf(schema: Record<string, unknown>, place: Place): string {
  const digest = hexOf(32, place.key, place.path);
  switch (schema.format) {
    case 'date':
      return `2026-${two(digest, 0, 12)}-${two(digest, 2, 28)}`;
    case 'date-time':
      return `2026-${two(digest, 0, 12)}-${two(digest, 2, 28)}T12:00:00Z`;
    case 'time':
      return '12:00:00Z';
    case 'duration':
      return 'PT1H';
    case 'email':
      return `emulated-${digest.slice(0, 6)}@example.com`;
    case 'uri':
      return `https://example.com/emulated/${digest.slice(0, 6)}`;
    case 'hostname':
      return 'emulated.example.com';
    case 'ipv4':
      return '192.0.2.1';
    case 'ipv6':
      return '2001:db8::1';
    case 'uuid':
      return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-4${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  }
  const text = `[emulated] ${digest.slice(0, 8)}`.padEnd(integerOr(schema.minLength, 0), '.');
  return text.slice(0, integerOr(schema.maxLength, text.length));
}

/** The number 1..max written with two digits. */
const two = (digest: string, at: number, max: number) =>
  String(1 + (Number.parseInt(digest.slice(at, at + 2), 16) % max)).padStart(2, '0');

const chance = (place: Place) => Number.parseInt(hexOf(8, place.key, place.path), 16) / 0x1_0000_0000;

const pick = (values: readonly unknown[], place: Place) => values[Math.floor(chance(place) * values.length)];

const shallowest = (variants: readonly unknown[]) =>
  variants.find((variant) => isObject(variant) && !['object', 'array'].includes(String(variant.type))) ??
  variants[0];

const integerOr = (value: unknown, otherwise: number) =>
  Number.isInteger(value) ? (value as number) : otherwise;

const numberOr = (value: unknown, otherwise: number) => (typeof value === 'number' ? value : otherwise);

function resolveRef(root: unknown, ref: string): unknown {
  let found: unknown = root;
  for (const step of ref.replace(/^#\/?/, '').split('/').filter(Boolean)) {
    found = isObject(found) ? found[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
  }
  return found;
}

function merged(schema: Record<string, unknown>, parts: readonly unknown[], root: unknown) {
  const { allOf: _, ...result } = schema;
  for (const part of parts) {
    const resolved = isObject(part) && typeof part.$ref === 'string' ? resolveRef(root, part.$ref) : part;
    if (!isObject(resolved)) continue;
    for (const [name, value] of Object.entries(resolved)) {
      const before = result[name];
      if (Array.isArray(before) && Array.isArray(value)) result[name] = [...before, ...value];
      else if (isObject(before) && isObject(value)) result[name] = { ...before, ...value };
      else result[name] = value;
    }
  }
  return result;
}
