/** Text that others chose (keys of dropped objects, ids in lines, messages of services), made safe for a terminal. */

/**
 * What changes more on a terminal than the character's own place: control characters (an escape sequence can hide or
 * forge lines, set the title or the clipboard) and characters that turn the direction of text.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * The same text with such characters written as `\\u001b`; line feeds and tabs stay. JSON text stays the same JSON.
 */
export function withoutControls(text: string): string {
  return text.replace(CONTROLS, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Has a console print only such text, also what libraries print. */
export function makePlain(target: Pick<Console, 'log' | 'error'>): void {
  for (const name of ['log', 'error'] as const) {
    const print = target[name].bind(target);
    target[name] = (...values: unknown[]) =>
      print(...values.map((value) => (typeof value === 'string' ? withoutControls(value) : value)));
  }
}
