/** EventBridge's event patterns: which events a rule is for. */
/** A pattern as a rule has it: the event's own shape, with lists of what each value may be at the leaves. */
export type EventPattern = { readonly [field: string]: EventPattern | readonly unknown[] };

type Comparison = (expected: never, actual: unknown) => boolean;

/** Comparison operators by name; `exists` alone also sees values that are not there. */
const COMPARISONS: Record<string, Comparison> = {
  prefix: (expected: string, actual) => typeof actual === 'string' && actual.startsWith(expected),
  suffix: (expected: string, actual) => typeof actual === 'string' && actual.endsWith(expected),
  wildcard: (expected: string, actual) => typeof actual === 'string' && matchesStars(expected, actual),
  'equals-ignore-case': (expected: string, actual) =>
    typeof actual === 'string' && actual.toLowerCase() === expected.toLowerCase(),
  'anything-but': (expected: unknown, actual) =>
    actual !== undefined && !toList(expected).some((item) => matchesLeaf(item, actual)),
  exists: (expected: boolean, actual) => (actual !== undefined) === expected,
};

/**
 * True if the event is one that the pattern is for.
 *
 * @throws when the pattern uses an operator that is not known here, see {@link requireKnownOperators}
 */
export function matchesPattern(pattern: EventPattern, event: unknown): boolean {
  return Object.entries(pattern).every(([field, expected]) => {
    const actual =
      typeof event === 'object' && event !== null ? (event as Record<string, unknown>)[field] : undefined;
    if (!Array.isArray(expected)) return matchesPattern(expected as EventPattern, actual);
    // A list in the event matches if one of its items does.
    const candidates = Array.isArray(actual) ? actual : [actual];
    return expected.some((item) => candidates.some((candidate) => matchesLeaf(item, candidate)));
  });
}

/** @throws when the pattern uses an operator that AWS has and this does not, naming it */
export function requireKnownOperators(pattern: EventPattern, ruleName: string): void {
  for (const [field, expected] of Object.entries(pattern)) {
    if (!Array.isArray(expected)) {
      requireKnownOperators(expected as EventPattern, ruleName);
      continue;
    }
    for (const item of expected) {
      const operator = operatorOf(item);
      const isKnown = operator === undefined || Object.hasOwn(COMPARISONS, operator);
      if (!isKnown || field === '$or') {
        throw new Error(
          `Rule "${ruleName}": the local stack does not know the pattern operator "${isKnown ? field : operator}" ` +
            `(known: exact values, ${Object.keys(COMPARISONS).join(', ')}). Add it in local/services/eventbridge/event-pattern.ts.`,
        );
      }
    }
  }
}

function matchesLeaf(expected: unknown, actual: unknown): boolean {
  const operator = operatorOf(expected);
  if (operator === undefined) return expected === actual;
  const comparison = COMPARISONS[operator];
  if (comparison === undefined) throw new Error(`The pattern operator "${operator}" is not known here.`);
  return comparison((expected as Record<string, never>)[operator] as never, actual);
}

/** `*` is any run of characters, the rest is literal. */
function matchesStars(pattern: string, text: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(text);
}

function operatorOf(item: unknown): string | undefined {
  return typeof item === 'object' && item !== null ? Object.keys(item)[0] : undefined;
}

function toList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}
