/** Where a text stops being JSON, and what was expected there: without a word of the text. */

/** The first fault of a text. */
export interface JsonFault {
  /** Index of the character at fault; the length of the text if it ends too early. */
  at: number;
  expected: Expected;
}

/** What was expected at a place. */
export type Expected =
  | 'value'
  | 'name'
  | 'colon'
  | 'comma'
  | 'string_end'
  | 'escape'
  /** The value is complete: nothing more may follow. */
  | 'end';

/** What may come next: `first` right after `[` or `{`, where it may close at once. */
type Next = 'value' | 'first_value' | 'name' | 'first_name' | 'colon' | 'comma' | 'end';

const BLANK = /[ \t\r\n]*/y;
const NUMBER = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a string may not hold
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** Finds the fault; `undefined` if the text is JSON. Takes time linear in the text, and no call for each level. */
export function findJsonFault(text: string): JsonFault | undefined {
  const scanner = new Scanner(text);
  while (!scanner.isDone) {
    const fault = scanner.step();
    if (fault !== undefined) return fault;
  }
  return undefined;
}

class Scanner {
  readonly #text: string;
  #at = 0;
  #next: Next = 'value';
  /** The brackets that are open. */
  readonly #open: ('[' | '{')[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  get isDone(): boolean {
    this.#skip(BLANK);
    return this.#next === 'end' && this.#at === this.#text.length;
  }

  /** Takes one token. */
  step(): JsonFault | undefined {
    const char = this.#text[this.#at] ?? '';
    switch (this.#next) {
      case 'value':
      case 'first_value':
        return char === ']' && this.#next === 'first_value' ? this.#close() : this.#value(char);
      case 'name':
      case 'first_name':
        if (char === '}' && this.#next === 'first_name') return this.#close();
        return char === '"' ? this.#string('colon') : this.#fault('name');
      case 'colon':
        return char === ':' ? this.#take('value') : this.#fault('colon');
      case 'comma':
        return this.#separator(char);
      case 'end':
        return this.#fault('end');
    }
  }

  #value(char: string): JsonFault | undefined {
    if (char === '"') return this.#string(this.#afterValue());
    if (char === '[' || char === '{') {
      this.#open.push(char);
      return this.#take(char === '[' ? 'first_value' : 'first_name');
    }
    if (!this.#skip(NUMBER) && !this.#skip(WORD)) return this.#fault('value');
    this.#next = this.#afterValue();
    return undefined;
  }

  #separator(char: string): JsonFault | undefined {
    const isArray = this.#open.at(-1) === '[';
    if (char === ',') return this.#take(isArray ? 'value' : 'name');
    return char === (isArray ? ']' : '}') ? this.#close() : this.#fault('comma');
  }

  #string(next: Next): JsonFault | undefined {
    this.#at++;
    for (;;) {
      this.#skip(PLAIN);
      const char = this.#text[this.#at];
      if (char === '"') return this.#take(next);
      if (char !== '\\') return this.#fault('string_end');
      if (!this.#skip(ESCAPE)) return this.#fault('escape');
    }
  }

  #close(): undefined {
    this.#open.pop();
    return this.#take(this.#afterValue());
  }

  #afterValue(): Next {
    return this.#open.length === 0 ? 'end' : 'comma';
  }

  #take(next: Next): undefined {
    this.#at++;
    this.#next = next;
    return undefined;
  }

  /** @returns whether there was anything to skip. */
  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const before = this.#at;
    if (pattern.test(this.#text)) this.#at = pattern.lastIndex;
    return this.#at > before;
  }

  #fault(expected: Expected): JsonFault {
    return { at: this.#at, expected };
  }
}
