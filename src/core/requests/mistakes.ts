/**
 * First mistakes of people who write a file of requests, and what to do about each: one text for one mistake, wherever
 * it is read. A hint quotes nothing of the line.
 */
import { type Expected, findJsonFault, type JsonFault } from './json-fault.ts';

/** What is known of a line that is no JSON. */
interface BadLine {
  text: string;
  fault: JsonFault;
  /** What is left of the line at the fault. */
  rest: string;
}

const HINTS = {
  array:
    'This looks like one JSON array of all requests: write each request on a line of its own, for instance with `jq -c ".[]" FILE`.',
  commaAfter:
    'A line has no comma at its end: remove it. Where the file is one JSON array of all requests, write each request on a line of its own, for instance with `jq -c ".[]" FILE`.',
  pretty:
    'This looks like JSON that is spread over several lines: write each request on one line, for instance with `jq -c . FILE`.',
  several: 'The line holds more than one value: begin a new line after each request.',
  nan: 'JSON has no NaN and no Infinity: write null or a number, or leave the member out.',
  python: 'This looks like Python: JSON writes true, false and null; write the line with json.dumps.',
  singleQuotes: 'JSON has double quotes only; from Python, write the line with json.dumps.',
  trailingComma: 'JSON has no comma after the last member: remove it.',
  csv: 'This looks like CSV: expected is one JSON object a line.',
  parquet: 'This is a Parquet file: export it as JSON lines.',
  utf16: 'This looks like UTF-16: save the file as UTF-8.',
  otherBatch:
    'This looks like a line for another service\'s batches ("params"): expected are "method": "POST", "url" and "body".',
  training: 'This looks like a line of training data: expected are "custom_id", "method", "url" and "body".',
  bareBody:
    'This looks like the body of a request alone: put it below "body", beside "custom_id", "method" and "url".',
} as const;

const EXPECTED: Readonly<Record<Expected, string>> = {
  value: 'a value is expected',
  name: 'a name in double quotes is expected',
  colon: 'a colon is expected',
  comma: 'a comma or a closing bracket is expected',
  string_end: 'the text in quotes has no end, or holds a control character',
  escape: 'a backslash begins no escape of JSON',
  end: 'the end of the line is expected',
};

/** Why a line is no JSON: where, what was expected, and what to do if the mistake is a known one. */
export function describeBadJson(text: string): string {
  const fault = findJsonFault(text);
  // Something that JSON.parse refuses and the search does not would be a fault of ours: say what is sure.
  if (fault === undefined) return NOT_JSON;
  const what =
    fault.at >= text.length && fault.expected !== 'string_end'
      ? 'the line ends too early'
      : EXPECTED[fault.expected];
  return withHint(
    `${NOT_JSON} Column ${fault.at + 1}: ${what}.`,
    hintForJson({ text, fault, rest: text.slice(fault.at) }),
  );
}

/** Why a line is no UTF-8. */
export function describeBadUtf8(bytes: Uint8Array): string {
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  return withHint(
    'This line is not valid UTF-8.',
    isUtf16 ? HINTS.utf16 : isParquet(bytes) ? HINTS.parquet : undefined,
  );
}

/** What to do about a JSON value that is no object. */
export function describeNoObject(what: string, isArray: boolean): string {
  return withHint(`This line is ${what}, not a JSON object.`, isArray ? HINTS.array : undefined);
}

/** What an object that lacks a member of requests looks like; `undefined`: nothing known. */
export function hintForMissing(request: Readonly<Record<string, unknown>>): string | undefined {
  const has = (name: string): boolean => Object.hasOwn(request, name);
  if (has('body')) return undefined;
  if (has('params')) return HINTS.otherBatch;
  if (has('custom_id')) return undefined;
  if (has('model')) return HINTS.bareBody;
  return has('messages') || (has('prompt') && has('completion')) ? HINTS.training : undefined;
}

/**
 * The served URL that another one means: without host, query and the slash at its end, it ends in the same words.
 * @param served URLs such as `/v1/x/y`
 */
export function urlMeant(url: string, served: Iterable<string>): string | undefined {
  const path = url
    .trim()
    .toLowerCase()
    .replace(/^[a-z]+:\/\/[^/]*/, '')
    .replace(/[?#].*$/, '')
    .replace(/\/+$/, '');
  const matching = [...served].filter((one) => {
    // The version differs or is left out; or the last letter is, as in a singular.
    const words = one.replace(/^\/v\d+/, '');
    const said = `/${path.replace(/^\/+/, '')}`;
    return said.endsWith(words) || `${said}s`.endsWith(words);
  });
  return matching.sort((one, other) => other.length - one.length)[0];
}

const NOT_JSON = 'This line is not parseable as valid JSON.';

const withHint = (message: string, hint: string | undefined): string =>
  hint === undefined ? message : `${message} ${hint}`;

function hintForJson({ text, fault, rest }: BadLine): string | undefined {
  if (text.startsWith('PAR1')) return HINTS.parquet;
  if (text.includes('\u0000')) return HINTS.utf16;
  const before = text.slice(0, fault.at).trimEnd();
  if (/^[-+]?(NaN|Infinity)\b/.test(rest)) return HINTS.nan;
  if (/^(True|False|None)\b/.test(rest)) return HINTS.python;
  if (rest.startsWith("'")) return HINTS.singleQuotes;
  if (/^[\]}]/.test(rest) && before.endsWith(',')) return HINTS.trailingComma;
  if (fault.expected === 'end') return hintForMore(text, rest);
  return hintForPart(text, fault);
}

/** Of a line whose first value is complete. */
function hintForMore(text: string, rest: string): string | undefined {
  if (/^[{[]/.test(rest) || /^,\s*[{[]/.test(rest)) return HINTS.several;
  // One member of an object, or an object of an array, on a line of its own.
  if (/^:/.test(rest) || /^,\s*$/.test(rest)) return text.startsWith('{') ? HINTS.commaAfter : HINTS.pretty;
  return /^[,;\t]/.test(rest) ? HINTS.csv : undefined;
}

/** Of a line that is part of something larger. */
function hintForPart(text: string, fault: JsonFault): string | undefined {
  if (text === '[' || text === ']') return HINTS.array;
  if (/^[{}\]],?$/.test(text)) return HINTS.pretty;
  if (text.startsWith('[') && fault.at >= text.length) return HINTS.array;
  if (text.startsWith('[') || text.startsWith('{')) return undefined;
  return fault.at === 0 && /^[^{}[\]]+[,;\t]/.test(text) ? HINTS.csv : undefined;
}

function isParquet(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 4)).toString('latin1') === 'PAR1';
}
