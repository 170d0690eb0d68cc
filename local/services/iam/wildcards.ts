/** IAM's wildcards: `*` is any run of characters, `?` one; the rest is literal. */

/** Which texts a pattern covers. Made once for each pattern: policies are few, calls many. */
export type Matches = (text: string) => boolean;

/** Parts of an ARN before its resource: `arn:partition:service:region:account:resource`. */
const PARTS_BEFORE_RESOURCE = 5;

/**
 * A pattern over a whole text.
 *
 * @param options.ignoreCase as IAM compares names of actions
 */
export function matcherOf(pattern: string, { ignoreCase = false } = {}): Matches {
  refuseVariables(pattern);
  if (pattern === '*') return () => true;
  if (!/[*?]/.test(pattern) && !ignoreCase) return (text) => text === pattern;
  const compiled = new RegExp(`^${sourceOf(pattern, '.')}$`, ignoreCase ? 'si' : 's');
  return (text) => compiled.test(text);
}

/**
 * A pattern over an ARN: a wildcard in one of its first five parts does not reach beyond that part.
 *
 * @throws for what is neither an ARN nor `*`
 */
export function arnMatcherOf(pattern: string): Matches {
  refuseVariables(pattern);
  if (pattern === '*') return () => true;
  const parts = pattern.split(':');
  if (parts.length <= PARTS_BEFORE_RESOURCE)
    throw new Error(`The policy value "${pattern}" is no ARN: it takes six parts, with ":" between, or "*".`);
  if (!/[*?]/.test(pattern)) return (arn) => arn === pattern;
  const head = parts.slice(0, PARTS_BEFORE_RESOURCE).map((part) => sourceOf(part, '[^:]'));
  const resource = parts.slice(PARTS_BEFORE_RESOURCE).join(':');
  const compiled = new RegExp(`^${[...head, sourceOf(resource, '.')].join(':')}$`, 's');
  return (arn) => compiled.test(arn);
}

function sourceOf(pattern: string, anyCharacter: string): string {
  return pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', `${anyCharacter}*`)
    .replaceAll('?', () => anyCharacter);
}

/** @throws for a policy variable, which would have to be filled in for each caller. */
function refuseVariables(pattern: string): void {
  if (!pattern.includes('${')) return;
  throw new Error(
    `The policy value "${pattern}" holds a variable, which the local stack does not fill in: spell it out, or add variables in local/services/iam/wildcards.ts.`,
  );
}
