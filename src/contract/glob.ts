/**
 * Globs of routes and rules, matched in time linear in the text, whatever it holds: the person who drops a file
 * chooses its key, and a key must not be able to stop the function that looks at it. (Globs as regular expressions
 * backtrack: 1,000 `_` against four stars took over 20 s.)
 *
 * The language is a subset of what shells have, with a key in place of a path:
 *
 * | written | matches |
 * |---|---|
 * | `*` | any characters but `/`; as a whole segment at least one |
 * | `**` | as a whole segment: any number of segments, none too; at the end, everything below |
 * | `?` | one character but `/` |
 * | `[a-z_]`, `[!a-z]` | one of these characters, or none of them; never `/` |
 * | `{a,b/c}` | one of these; may lie inside each other |
 * | `\*` | the character itself |
 */

/** Longest glob. Matching costs its length times that of the key. */
export const MAX_GLOB_LENGTH = 256;
/** How many globs without braces one with braces may be. */
const MAX_ALTERNATIVES = 64;

/** Whether a text matches. */
export type Matcher = (text: string) => boolean;

/** The glob is not of the language above. The message says what is wrong and what to write. */
class GlobError extends Error {
  override readonly name = 'GlobError';
}

/** Matches one code point. */
type Test = (codePoint: number) => boolean;

/** A state of the automaton: where a character leads, and which states it is at the same time. */
interface State {
  readonly edges: { readonly test: Test; readonly to: number }[];
  readonly alsoAt: number[];
}

/** What one character, or one special character, of a glob is. */
type Token = { kind: 'one'; test: Test } | { kind: 'star' } | { kind: 'slash' };

const codeOf = (character: string): number => character.codePointAt(0)!;
const SLASH = codeOf('/');
const isSlash: Test = (code) => code === SLASH;
const isNoSlash: Test = (code) => code !== SLASH;
const isAnything: Test = () => true;

/**
 * Compiles a glob.
 *
 * @param options.acrossSlashes `true`: the text is no key, so `/` is a character like any other. Default: `false`.
 * @throws {GlobError} if it is not of the language.
 */
export function compileGlob(glob: string, options: { acrossSlashes?: boolean } = {}): Matcher {
  if (glob.length > MAX_GLOB_LENGTH)
    throw new GlobError(`a glob has at most ${MAX_GLOB_LENGTH} characters, and this one has ${glob.length}`);
  const compile = options.acrossSlashes === true ? compileText : compileKey;
  const automata = alternativesOf(glob).map((alternative) => compile(tokensOf(alternative)));
  return (text) => automata.some((states) => runs(states, text));
}

/** What is wrong with a glob; `undefined`: nothing. */
export function describeGlobProblem(glob: string): string | undefined {
  try {
    compileGlob(glob);
    return undefined;
  } catch (error) {
    if (error instanceof GlobError) return error.message;
    throw error;
  }
}

/** Follows all paths at once: each character is looked at once in each state. */
function runs(states: readonly State[], text: string): boolean {
  let current = new Uint8Array(states.length);
  let next = new Uint8Array(states.length);
  enter(states, current, 0);
  for (const character of text) {
    const code = codeOf(character);
    let isAlive = false;
    for (let at = 0; at < states.length; at += 1) {
      if (current[at] === 0) continue;
      for (const { test, to } of states[at]!.edges) {
        if (!test(code)) continue;
        enter(states, next, to);
        isAlive = true;
      }
    }
    if (!isAlive) return false;
    [current, next] = [next, current];
    next.fill(0);
  }
  return current[states.length - 1] === 1;
}

function enter(states: readonly State[], at: Uint8Array, state: number): void {
  if (at[state] === 1) return;
  at[state] = 1;
  for (const other of states[state]!.alsoAt) enter(states, at, other);
}

/** States in a row; the last one accepts. */
class Automaton {
  readonly states: State[] = [{ edges: [], alsoAt: [] }];

  get end(): number {
    return this.states.length - 1;
  }

  one(test: Test): void {
    this.states[this.end]!.edges.push({ test, to: this.end + 1 });
    this.states.push({ edges: [], alsoAt: [] });
  }

  /** Any number of such characters. */
  many(test: Test): void {
    this.states[this.end]!.edges.push({ test, to: this.end });
    // A state of its own for what follows, so that nothing of it leads back into this one.
    this.states[this.end]!.alsoAt.push(this.end + 1);
    this.states.push({ edges: [], alsoAt: [] });
  }

  /** Any number of segments, each with the slash after it. */
  folders(): void {
    const start = this.end;
    this.states[start]!.edges.push({ test: isSlash, to: start }, { test: isNoSlash, to: start + 1 });
    this.states[start]!.alsoAt.push(start + 2);
    const inside = [
      { test: isNoSlash, to: start + 1 },
      { test: isSlash, to: start },
    ];
    this.states.push({ edges: inside, alsoAt: [] }, { edges: [], alsoAt: [] });
  }
}

function compileText(tokens: readonly Token[]): State[] {
  const automaton = new Automaton();
  for (const token of tokens) {
    if (token.kind === 'star') automaton.many(isAnything);
    else automaton.one(token.kind === 'one' ? token.test : isSlash);
  }
  return automaton.states;
}

function compileKey(tokens: readonly Token[]): State[] {
  const automaton = new Automaton();
  const segments = segmentsOf(tokens);
  for (const [index, segment] of segments.entries()) {
    const rest = segments.slice(index + 1);
    if (isGlobstar(segment)) {
      if (rest.length > 0) automaton.folders();
      else automaton.many(isAnything);
      continue;
    }
    compileSegment(automaton, segment);
    if (rest.length > 0) automaton.one(isSlash);
  }
  return automaton.states;
}

function compileSegment(automaton: Automaton, segment: readonly Token[]): void {
  if (segment.length === 1 && segment[0]!.kind === 'star') automaton.one(isNoSlash);
  for (const token of segment) {
    if (token.kind === 'star') automaton.many(isNoSlash);
    else if (token.kind === 'one') automaton.one(token.test);
  }
}

function segmentsOf(tokens: readonly Token[]): Token[][] {
  const segments: Token[][] = [[]];
  for (const token of tokens) {
    if (token.kind === 'slash') segments.push([]);
    else segments.at(-1)!.push(token);
  }
  for (const segment of segments) {
    const isDouble = segment.some((token, at) => token.kind === 'star' && segment[at + 1]?.kind === 'star');
    if (isDouble && !isGlobstar(segment))
      throw new GlobError('"**" must be a whole path segment, as in "**/*.jsonl"; within a name write "*"');
  }
  return segments;
}

function isGlobstar(segment: readonly Token[]): boolean {
  return segment.length === 2 && segment.every(({ kind }) => kind === 'star');
}

/** The tokens of a glob without braces. */
function tokensOf(glob: string): Token[] {
  const tokens: Token[] = [];
  const characters = [...glob];
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at]!;
    if (character === '*') tokens.push({ kind: 'star' });
    else if (character === '/') tokens.push({ kind: 'slash' });
    else if (character === '?') tokens.push({ kind: 'one', test: isNoSlash });
    else if (character === '[') {
      const { test, end } = classAt(characters, at);
      tokens.push({ kind: 'one', test });
      at = end;
    } else {
      if (character === '\\') at += 1;
      const code = codeOf(characters[at]!);
      tokens.push(code === SLASH ? { kind: 'slash' } : { kind: 'one', test: (other) => other === code });
    }
  }
  return tokens;
}

/** The characters between brackets, of which the first is at `start`. */
function classAt(characters: readonly string[], start: number): { test: Test; end: number } {
  const isNegated = characters[start + 1] === '!' || characters[start + 1] === '^';
  const ranges: { from: number; to: number }[] = [];
  let at = start + (isNegated ? 2 : 1);
  const read = (): number => {
    if (characters[at] === '\\') at += 1;
    const character = characters[at];
    if (character === undefined || character === '/' || character === '[')
      throw new GlobError(
        '"[" begins a list of characters that ends with "]" before the next "/": write "\\[" for a bracket',
      );
    at += 1;
    return codeOf(character);
  };
  while (characters[at] !== ']') {
    const from = read();
    const isRange = characters[at] === '-' && characters[at + 1] !== ']';
    if (isRange) at += 1;
    const to = isRange ? read() : from;
    if (to < from)
      throw new GlobError(
        'a range between brackets goes from the lower character to the higher, as in "[a-z]"',
      );
    ranges.push({ from, to });
  }
  if (ranges.length === 0)
    throw new GlobError(
      'brackets hold at least one character: write "[a-z]", or "\\[\\]" for the brackets themselves',
    );
  const isListed: Test = (code) => ranges.some(({ from, to }) => code >= from && code <= to);
  return { test: (code) => code !== SLASH && isListed(code) !== isNegated, end: at };
}

/** Every glob without braces that a glob with braces means. */
function alternativesOf(glob: string): string[] {
  refuseOtherSyntax(glob);
  const done: string[] = [];
  const open = [glob];
  while (open.length > 0) {
    const next = open.pop()!;
    const braces = firstBraces(next);
    if (braces === undefined) done.push(next);
    else open.push(...braces.choices.map((choice) => `${braces.before}${choice}${braces.after}`));
    if (open.length + done.length > MAX_ALTERNATIVES)
      throw new GlobError(`braces give at most ${MAX_ALTERNATIVES} alternatives: write several globs`);
  }
  return done;
}

/** What other programs have and this does not. */
function refuseOtherSyntax(glob: string): void {
  if (glob.startsWith('!'))
    throw new GlobError(
      '"!" at the beginning is not supported: put the glob into the other list, match or ignore, without it',
    );
  forEachPlain(glob, (character) => {
    if ('()|'.includes(character))
      throw new GlobError(
        `"${character}" is not supported: write "{a,b}" for alternatives, or "\\${character}" for the character`,
      );
  });
}

/** Calls for every character that is neither escaped nor between brackets. */
function forEachPlain(glob: string, see: (character: string, at: number) => void): void {
  let isInBrackets = false;
  for (let at = 0; at < glob.length; at += 1) {
    const character = glob[at]!;
    if (character === '\\') {
      if (at === glob.length - 1)
        throw new GlobError(
          '"\\" must be followed by the character to match literally: write "\\\\" for a backslash',
        );
      at += 1;
    } else if (isInBrackets) isInBrackets = character !== ']';
    else if (character === '[') isInBrackets = true;
    else see(character, at);
  }
}

/** The first braces that are not inside others. */
function firstBraces(glob: string): { before: string; choices: string[]; after: string } | undefined {
  const cuts: number[] = [];
  let depth = 0;
  let isDone = false;
  forEachPlain(glob, (character, at) => {
    if (isDone) return;
    if (character === '{') depth += 1;
    if (character === '}' && depth === 0)
      throw new GlobError('"}" has no "{" before it: write "\\}" for a brace');
    if (
      (character === '{' && depth === 1) ||
      (character === ',' && depth === 1) ||
      (character === '}' && depth === 1)
    )
      cuts.push(at);
    if (character === '}') depth -= 1;
    isDone = cuts.length > 0 && depth === 0;
  });
  if (depth > 0) throw new GlobError('"{" has no "}" after it: write "\\{" for a brace');
  if (cuts.length === 0) return undefined;
  if (cuts.length === 2)
    throw new GlobError(
      'braces hold alternatives with a comma between them, as in "{a,b}": write "\\{" for a brace',
    );
  const choices = cuts.slice(1).map((cut, index) => glob.slice(cuts[index]! + 1, cut));
  return { before: glob.slice(0, cuts[0]), choices, after: glob.slice(cuts.at(-1)! + 1) };
}
