/**
 * A deep copy of plain data, as `structuredClone` makes it, in a fraction of its time: records are copied at each read and
 * write of a store in memory. Members that are `undefined` stay, bytes are copied, and what occurs twice is copied twice.
 *
 * @throws {TypeError} for anything that no record holds: functions, symbols, and objects of a class.
 */
export function plainCopy<Value>(value: Value): Value {
  return copyOf(value) as Value;
}

function copyOf(value: unknown): unknown {
  if (isPrimitive(value)) return value;
  if (typeof value !== 'object' || value === null) throw new TypeError(`a ${typeof value} is no plain data`);
  if (Array.isArray(value)) return value.map(copyOf);
  if (value instanceof Uint8Array) return new Uint8Array(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError(`${value.constructor.name} is no plain data`);
  const copy: Record<string, unknown> = { ...value };
  for (const key in copy) {
    const member = copy[key];
    if (!isPrimitive(member)) copy[key] = copyOf(member);
  }
  return copy;
}

function isPrimitive(value: unknown): boolean {
  const type = typeof value;
  return type === 'object' ? value === null : type !== 'function' && type !== 'symbol';
}
