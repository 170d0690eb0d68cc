/**
 * Changes members of a JSON object in its text. What is parsed and written again comes out otherwise: JavaScript puts
 * keys that look like array indexes first, and OpenAI writes structured outputs in the order of their schema's keys.
 */

/** A member of an object, and where its value is in the text: `end` is exclusive. */
export interface JsonMember {
  name: string;
  /** Where its name begins. */
  nameStart: number;
  start: number;
  end: number;
}

/** What is to be changed: JSON texts of values by name. */
export interface MemberChanges {
  /** Put first, in this order, where the object does not have them. */
  defaults?: readonly (readonly [name: string, json: string])[];
  /** Take the place of the values that the object has, or are put last. */
  set?: readonly (readonly [name: string, json: string])[];
}

/**
 * The members of an object, in the order of the text; a name may occur twice, and the last one counts.
 * @param text valid JSON with an object at its outermost level. What else it may be is not noticed.
 */
export function membersOf(text: string): JsonMember[] {
  const members: JsonMember[] = [];
  let at = skipBlanks(text, text.indexOf('{') + 1);
  while (text[at] === '"') {
    const nameEnd = endOfString(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const start = skipBlanks(text, text.indexOf(':', nameEnd) + 1);
    const end = endOfValue(text, start);
    members.push({ name, nameStart: at, start, end });
    at = skipBlanks(text, end);
    if (text[at] === ',') at = skipBlanks(text, at + 1);
  }
  return members;
}

/**
 * The text of a member's value; of several of the name, the last one's, as `JSON.parse` has it. See
 * {@link membersOf}.
 */
export function memberText(text: string, name: string): string | undefined {
  const member = membersOf(text).findLast((each) => each.name === name);
  return member === undefined ? undefined : text.slice(member.start, member.end);
}

/** The object with its members changed; everything else stays as it is, byte for byte. See {@link membersOf}. */
export function withMembers(text: string, { defaults = [], set = [] }: MemberChanges): string {
  const members = membersOf(text);
  const names = new Set(members.map(({ name }) => name));
  const first = defaults.filter(([name]) => !names.has(name));
  const last = set.filter(([name]) => !names.has(name));
  const replaced = new Map(set);
  const begin = text.indexOf('{') + 1;
  const close = text.lastIndexOf('}');
  const pieces = [text.slice(0, begin), first.map(memberJson).join(',')];
  if (first.length > 0 && members.length + last.length > 0) pieces.push(',');
  let at = begin;
  for (const { name, start, end } of members) {
    const json = replaced.get(name);
    if (json === undefined) continue;
    pieces.push(text.slice(at, start), json);
    at = end;
  }
  pieces.push(text.slice(at, close));
  if (last.length > 0 && members.length > 0) pieces.push(',');
  pieces.push(last.map(memberJson).join(','), text.slice(close));
  return pieces.join('');
}

/** The object without members of these names; the others stay as they are. See {@link membersOf}. */
export function withoutMembers(text: string, names: readonly string[]): string {
  const members = membersOf(text);
  const kept = members.filter(({ name }) => !names.includes(name));
  if (kept.length === members.length) return text;
  return `{${kept.map(({ nameStart, end }) => text.slice(nameStart, end)).join(',')}}`;
}

function memberJson([name, json]: readonly [string, string]): string {
  return `${JSON.stringify(name)}:${json}`;
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

/** @param from where its first quote is. @returns the place behind its last one. */
function endOfString(text: string, from: number): number {
  for (let at = from + 1; ; at++) {
    at = text.indexOf('"', at);
    if (at < 0) return text.length;
    let backslashes = 0;
    while (text[at - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return at + 1;
  }
}

/** Without recursion, so that no nesting is too deep. */
function endOfValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const char = text[at]!;
    if (char === '"') at = endOfString(text, at);
    else if (char === '{' || char === '[') {
      depth++;
      at++;
    } else if (char === '}' || char === ']') {
      if (depth === 0) return at;
      depth--;
      at++;
    } else if (depth === 0 && (char === ',' || char <= ' ')) return at;
    else {
      at++;
      continue;
    }
    if (depth === 0) return at;
  }
  return at;
}
