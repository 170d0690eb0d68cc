/**
 * Reads requests off a byte stream at the speed of memory: WebAssembly goes over a block of lines at a time and
 * checks and measures each without making an object of it. It vouches only for lines of which it is certain;
 * {@link ./check-line.ts checkLine}, the plain statement of the rules, judges all others. Together they give what
 * {@link ../files/lines.ts LineSplitter} and checkLine give, however the stream is cut into chunks.
 */
import { isUtf8 } from 'node:buffer';
import { BatchdropError } from '../base/errors.ts';
import { type Line, LineSplitter, type LineStart } from '../files/lines.ts';
import { RECORD_BYTES as ENTRY_BYTES } from '../files/record-file.ts';
import { MAX_LINE_BYTES } from '../model/limits.ts';
import { withOutputLimit } from '../model/output-limit.ts';
import { type PredictedOutput, withRequest } from '../model/predicted-output.ts';
import type { EndpointRules, LineRules } from '../ports/provider-rules.ts';
import { SCAN_LINES_WASM } from './scanner/module.ts';

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/**
 * Bytes of copied chunks scanned at a time, and the longest beginning of a line that is joined to the next slot.
 * Longer lines are put together in memory of their own. Measured: from 64 KB to 1 MB it makes no difference to speed.
 */
const BLOCK_BYTES = 512 * 1024;
/** Words of an entry, a record and a kind, and a group's entry; see scan-lines.as for what they mean. */
const ENTRY = { length: 4, tried: 5, hash0: 6, hash1: 7 } as const;
const ENTRY_WORDS = ENTRY_BYTES / 4;
const ENTRY_DOUBLES = ENTRY_BYTES / 8;
const RECORD = { kind: 0, idOffset: 1, idLength: 2, textBytes: 3, dataUrlBytes: 4 } as const;
const RECORD_WORDS = 5;
const MAX_RECORDS = 512;
const NO_KIND = 0xffffffff;
const KIND = {
  group: 0,
  flags: 1,
  inputs: 2,
  n: 4,
  bestOf: 5,
  maxOutputTokens: 6,
  maxCompletionTokens: 7,
  maxTokens: 8,
  logprobs: 9,
  topLogprobs: 10,
  dimensions: 11,
} as const;
const KIND_WORDS = 12;
const MAX_KINDS = 8_192;
const LOGPROBS_TRUE = 0xffffffff;
const FLAG = {
  base64: 1,
  urlResponse: 2,
  echo: 4,
  tokenInput: 8,
  tools: 16,
  reasoning: 32,
  prompt: 64,
} as const;
const GROUP_BYTES = 256;
const GROUP_HEADER_BYTES = 8;
const GROUP_NAME_BYTES = 120;

/** A valid request. One object serves all of a scanner's requests: it holds until the next one is asked for. */
export interface ScannedRequest {
  /** 1-based, blank lines counted. */
  line: number;
  /** Offset of the first byte in the source. */
  offset: number;
  /** Length in bytes, without line end and blanks around. */
  length: number;
  endpoint: string;
  model: string;
  /** Embedding inputs; 0 for other endpoints. */
  embeddingInputs: number;
  /** Bytes that the answer's output line may take. */
  predictedOutputBytes: number;
  /** See `EndpointRules.outputLimitOf`. */
  outputLimit: number | undefined;
  /** Hash of the custom_id; see {@link ../base/custom-id-hash.ts CustomIdHasher}. */
  hash0: number;
  hash1: number;
  /**
   * UTF-8 bytes of all strings in the body, escapes decoded: for the token estimate. Left out are keys, data: URLs, the
   * model, and encoding_format and response_format where they are strings. Of keys that occur twice below the body's
   * own, both values count.
   */
  textBytes: number;
  /** The same for its data: URLs, which are not text. */
  dataUrlBytes: number;
  /** The line's bytes. */
  bytes: () => Uint8Array;
  /** Copies the line's bytes to `at` of the target, without an object for them. */
  copyTo: (target: Uint8Array, at: number) => void;
  customId: () => string;
}

/**
 * Valid requests of one endpoint and model, with no line that is not blank between them. One object serves all of a
 * scanner's spans: it holds only during the call.
 */
export interface RequestSpan {
  endpoint: string;
  model: string;
  /** Requests in it, at least one. */
  count: number;
  /** Offset of the first byte of the first one, and after the last byte of the last one. */
  start: number;
  end: number;
  /** Of all requests together; see {@link ScannedRequest}. */
  length: number;
  embeddingInputs: number;
  predictedOutputBytes: number;
  textBytes: number;
  dataUrlBytes: number;
  /** Their manifest entries ({@link ../files/manifest.ts}). */
  entries: Uint8Array;
  /** The hashes of their ids: pairs of `hash0` and `hash1`. */
  hashes: Uint32Array;
  /** One after the other. */
  requests: () => Iterable<ScannedRequest>;
}

/** What to do with lines, in their order. */
export interface LineHandlers {
  /** Takes lines that are certain to be valid requests. How they are put together depends on how the stream is cut. */
  onSpan: (span: RequestSpan) => void;
  /**
   * Takes the same requests one by one, in place of spans: where models take turns, spans are short, and what is made
   * for each span costs more than the request.
   */
  onRequest?: (request: ScannedRequest) => void;
  /** Takes any other line that is not blank: valid or not, `checkLine` knows. */
  onLine: (line: Line) => void;
}

interface ScannerExports {
  memory: { buffer: ArrayBuffer };
  begin(seed: number, blockBytes: number): number;
  entriesOffset(): number;
  hashesOffset(): number;
  recordsOffset(): number;
  kindsOffset(): number;
  groupsOffset(): number;
  timesForgotten(): number;
  scan(from: number, to: number, firstLine: number, blockOffset: number): number;
  scanned(): number;
  lines(): number;
  blanks(): number;
}

/** A pair of endpoint and model. */
interface Group {
  /** Absent if the provider does not serve the line's URL. */
  endpoint: EndpointRules | undefined;
  model: string;
}

/** What requests have in common that agree in all that the size of their answers depends on. */
interface Kind {
  group: Group;
  embeddingInputs: number;
  output: PredictedOutput;
  outputLimit: number | undefined;
  /** The word of a manifest entry that says the limit. */
  tried: number;
  /**
   * Of requests that the provider may be sure to refuse: what one of them must hold for that. Absent: it is not.
   */
  suspects: readonly string[] | undefined;
}

/** As much of it as is used here: @types/node has no values for it, and the DOM's library has too many. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: ScannerExports };
};

let compiled: object | undefined;

function instantiate(): ScannerExports {
  compiled ??= new WebAssembly.Module(Buffer.from(SCAN_LINES_WASM, 'base64'));
  return new WebAssembly.Instance(compiled).exports;
}

/**
 * Cuts a byte stream into lines and reads the requests on them, in memory that does not grow with the stream. Lines end
 * at LF; blanks around them and a byte order mark at the start of the source are dropped: see LineSplitter, which takes
 * over for lines that are longer than any request may be.
 */
export class LineScanner {
  readonly #handlers: LineHandlers;
  readonly #rules: LineRules;
  readonly #maxBytes: number;
  /** A line in a slot is not treated otherwise than one that would not fit into the block. */
  readonly #longest: number;
  readonly #wasm = instantiate();
  readonly #entryBytes: Uint8Array;
  readonly #entryWords: Uint32Array;
  readonly #entryDoubles: Float64Array;
  readonly #hashes: Uint32Array;
  readonly #records: Uint32Array;
  readonly #kindWords: Uint32Array;
  /** By their number; `null`: its lines are for `checkLine`. */
  #kinds: (Kind | null)[] = [];
  #timesForgotten: number;
  readonly #groupBytes: Buffer;
  readonly #groups: Group[] = [];
  /** What of the scanner's memory may hold lines. */
  readonly #memory: Buffer;
  readonly #blockBytes: number;
  /** Longest line, with blanks and line end, that is scanned: memory for it is taken only where there is one. */
  readonly #longBytes: number;
  /**
   * The bytes of the stream that wait: where they begin and end in memory. Whole lines, or the beginning of one more.
   */
  #from = 0;
  #to = 0;
  /** Where they begin in the source. */
  #start: LineStart;
  /** Cuts a line that is too long to be scanned. */
  #long: LineSplitter | undefined;
  readonly #span: RequestSpan;
  /** Index of the request that {@link #request} shows. */
  #requestAt = 0;
  readonly #request: ScannedRequest;
  /** Memory for bytes of the stream, from which {@link push} takes them without a copy. Used again and again. */
  readonly slots: readonly Uint8Array[];
  /** Lines that held nothing but blanks. */
  blank = 0;

  /**
   * @param jobId seeds the hash of ids, as it does for `CustomIdHasher`.
   * @param options.rules of the provider that the requests are to be sent to.
   * @param options.start where the stream begins in the source, which must be the start of a line.
   * @param options.blockBytes how much of copied chunks is scanned at a time. Default: 512 KB.
   * @param options.sourceBytes no line is longer: memory for longer ones is not reserved. Default: unknown.
   * @param options.slots how many {@link slots} to make, of how many bytes. With them, every chunk must be in one.
   * Default: none, and chunks are copied.
   */
  constructor(
    jobId: string,
    handlers: LineHandlers,
    options: {
      rules: LineRules;
      maxBytes?: number;
      blockBytes?: number | undefined;
      sourceBytes?: number;
      start?: LineStart;
      slots?: { count: number; bytes: number };
    },
  ) {
    this.#handlers = handlers;
    this.#rules = options.rules;
    this.#maxBytes = options.maxBytes ?? MAX_LINE_BYTES;
    this.#start = { offset: 0, line: 1, ...options.start };
    this.#blockBytes = options.blockBytes ?? BLOCK_BYTES;
    const longest = Math.min(this.#maxBytes, options.sourceBytes ?? this.#maxBytes);
    this.#longBytes = Math.max(this.#blockBytes, longest + 1);
    this.#longest = Math.min(this.#maxBytes, this.#longBytes - 1);
    const { count, bytes } = options.slots ?? { count: 0, bytes: 0 };
    // The block, as long as the longest line (pages that nothing is written to cost nothing); then slots with room
    // before each for the line that began in an earlier chunk. One byte more, for the line feed that the last line
    // may lack.
    const stride = this.#blockBytes + bytes + 1;
    const size = this.#longBytes + 1 + count * stride;
    const at = this.#wasm.begin(Number.parseInt(jobId.slice(0, 8), 16) | 0, size);
    const memory = this.#wasm.memory.buffer;
    this.#memory = Buffer.from(memory, at, size);
    this.slots = Array.from({ length: count }, (_, index) => {
      const end = size - index * stride - 1;
      return this.#memory.subarray(end - bytes, end);
    });
    const entriesAt = this.#wasm.entriesOffset();
    this.#entryBytes = new Uint8Array(memory, entriesAt, MAX_RECORDS * ENTRY_BYTES);
    this.#entryWords = new Uint32Array(memory, entriesAt, MAX_RECORDS * ENTRY_WORDS);
    this.#entryDoubles = new Float64Array(memory, entriesAt, MAX_RECORDS * ENTRY_DOUBLES);
    this.#hashes = new Uint32Array(memory, this.#wasm.hashesOffset(), MAX_RECORDS * 2);
    this.#records = new Uint32Array(memory, this.#wasm.recordsOffset(), MAX_RECORDS * RECORD_WORDS);
    this.#kindWords = new Uint32Array(memory, this.#wasm.kindsOffset(), MAX_KINDS * KIND_WORDS);
    this.#timesForgotten = this.#wasm.timesForgotten();
    this.#groupBytes = Buffer.from(memory, this.#wasm.groupsOffset());
    this.#request = this.#newRequest();
    this.#span = {
      endpoint: '',
      model: '',
      count: 0,
      start: 0,
      end: 0,
      length: 0,
      embeddingInputs: 0,
      predictedOutputBytes: 0,
      textBytes: 0,
      dataUrlBytes: 0,
      entries: this.#entryBytes,
      hashes: this.#hashes,
      requests: () => [],
    };
  }

  /** Where to continue: offset and number of the first line that has not been returned. */
  get next(): LineStart {
    return { ...this.#start };
  }

  /** Takes the next bytes of the stream; returns lines as soon as it is worth it. */
  push(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#long !== undefined || this.#to - this.#from >= this.#blockBytes) {
        const lineFeed = rest.indexOf(LINE_FEED);
        const part = rest.subarray(0, lineFeed < 0 ? rest.length : lineFeed + 1);
        this.#continueLine(part, lineFeed >= 0);
        rest = rest.subarray(part.length);
      } else if (this.slots.length > 0) {
        this.#join(rest);
        rest = rest.subarray(rest.length);
        this.#scanWholeLines();
      } else {
        const room = this.#blockBytes - this.#to;
        const part = rest.length <= room ? rest : rest.subarray(0, room);
        this.#memory.set(part, this.#to);
        this.#to += part.length;
        rest = rest.subarray(part.length);
        if (this.#to === this.#blockBytes) this.#scanWholeLines();
      }
    }
  }

  /** Hands out what is left; the last line may end without a line feed. */
  end(): void {
    if (this.#long !== undefined) {
      this.#long.end();
      this.#endLong(this.#long);
      return;
    }
    if (this.#from === this.#to) return;
    const end = this.#start.offset + this.#to - this.#from;
    if (this.#memory[this.#to - 1] !== LINE_FEED) this.#memory[this.#to++] = LINE_FEED;
    this.#scan(this.#to);
    this.#start.offset = end;
  }

  /** Takes more of a line that is longer than the block, up to its end if it `ends` there. */
  #continueLine(part: Uint8Array, ends: boolean): void {
    if (this.#long === undefined && this.#to + part.length > this.#longBytes) this.#startLong();
    if (this.#long !== undefined) {
      this.#long.push(part);
      if (ends) this.#endLong(this.#long);
      return;
    }
    this.#memory.set(part, this.#to);
    this.#to += part.length;
    if (ends) this.#scanWholeLines();
  }

  /** Hands what waits to the splitter: it is the beginning of a line that is too long to be scanned. */
  #startLong(): void {
    const mark = this.#markBytes();
    const start = { offset: this.#start.offset + mark, line: this.#start.line };
    this.#long = new LineSplitter((line) => this.#handlers.onLine(line), this.#maxBytes, start);
    this.#long.push(this.#memory.subarray(this.#from + mark, this.#to));
    this.#from = this.#to;
    this.#move(0);
  }

  /** Puts what waits before a chunk that is in a slot, where the bytes before the chunk are free. */
  #join(chunk: Uint8Array): void {
    if (chunk.buffer !== this.#memory.buffer) throw new BatchdropError('a chunk is in none of the slots');
    const at = chunk.byteOffset - this.#memory.byteOffset;
    this.#move(at - (this.#to - this.#from));
    this.#to = at + chunk.length;
  }

  /** Moves what waits. */
  #move(to: number): void {
    this.#memory.copyWithin(to, this.#from, this.#to);
    this.#to += to - this.#from;
    this.#from = to;
  }

  /** Scans what waits; the beginning of one more line stays in the block. */
  #scanWholeLines(): void {
    const to = this.#memory.subarray(this.#from, this.#to).lastIndexOf(LINE_FEED) + 1;
    if (to > 0) this.#scan(this.#from + to);
    if (this.#to - this.#from > this.#longBytes) this.#startLong();
    else this.#move(0);
  }

  #endLong(long: LineSplitter): void {
    this.blank += long.blank;
    this.#start = { offset: long.position, line: this.#start.line + 1 };
    this.#long = undefined;
  }

  /** Length of the byte order mark that what waits begins with. */
  #markBytes(): number {
    const length = BYTE_ORDER_MARK.length;
    if (this.#start.offset > 0 || this.#to - this.#from < length) return 0;
    return BYTE_ORDER_MARK.equals(this.#memory.subarray(this.#from, this.#from + length)) ? length : 0;
  }

  /** Scans the lines that wait up to here, where a line feed ends the last of them. */
  #scan(to: number): void {
    const wasm = this.#wasm;
    const firstByte = this.#start.offset - this.#from;
    let at = this.#from + this.#markBytes();
    const allIsUtf8 = isUtf8(this.#memory.subarray(at, to));
    while (at < to) {
      const count = wasm.scan(at, to, this.#start.line, firstByte);
      if (wasm.timesForgotten() !== this.#timesForgotten) {
        this.#kinds = [];
        this.#timesForgotten = wasm.timesForgotten();
      }
      if (this.#handlers.onRequest !== undefined)
        this.#handOverEach(count, allIsUtf8, this.#handlers.onRequest);
      else this.#handOverSpans(count, allIsUtf8);
      this.#start.line += wasm.lines();
      this.blank += wasm.blanks();
      at = wasm.scanned();
    }
    this.#start.offset += to - this.#from;
    this.#from = to;
  }

  #handOverSpans(count: number, allIsUtf8: boolean): void {
    for (let line = 0; line < count; ) {
      const end = this.#spanFrom(line, count, allIsUtf8);
      if (end > line) this.#handlers.onSpan(this.#span);
      else this.#handOver(line);
      line = Math.max(end, line + 1);
    }
  }

  #handOverEach(count: number, allIsUtf8: boolean, onRequest: (request: ScannedRequest) => void): void {
    for (let line = 0; line < count; line++) {
      const record = line * RECORD_WORDS;
      const kind = this.#kindAt(record);
      const length = this.#entryWords[line * ENTRY_WORDS + ENTRY.length]!;
      if (
        kind === null ||
        length > this.#longest ||
        !(allIsUtf8 || isUtf8(this.#bytes(line))) ||
        this.#isSuspect(line, kind)
      ) {
        this.#handOver(line);
      } else {
        this.#show(line, kind);
        onRequest(this.#request);
      }
    }
  }

  /** Returns a line that is not certain. */
  #handOver(at: number): void {
    const length = this.#entryWords[at * ENTRY_WORDS + ENTRY.length]!;
    this.#handlers.onLine({
      line: this.#entryDoubles[at * ENTRY_DOUBLES]!,
      offset: this.#entryDoubles[at * ENTRY_DOUBLES + 1]!,
      length,
      bytes: length > this.#maxBytes ? undefined : this.#bytes(at),
    });
  }

  /**
   * Puts requests from the line at `at` on, as many as there are, into the span; gives the line after them, which is
   * `at` if that one is for `checkLine`.
   */
  #spanFrom(at: number, count: number, allIsUtf8: boolean): number {
    const words = this.#entryWords;
    const records = this.#records;
    const kinds = this.#kinds;
    const longest = this.#longest;
    let [length, embeddingInputs, predictedOutputBytes, textBytes, dataUrlBytes] = [0, 0, 0, 0, 0];
    let group: Group | undefined;
    let end = at;
    for (; end < count; end++) {
      const entry = end * ENTRY_WORDS;
      const record = end * RECORD_WORDS;
      const lineLength = words[entry + ENTRY.length]!;
      const kind = kinds[records[record]!] ?? this.#kindAt(record);
      if (kind === null || lineLength > longest) break;
      if (group !== undefined && group !== kind.group) break;
      if (!allIsUtf8 && !isUtf8(this.#bytes(end))) break;
      if (kind.suspects !== undefined && this.#isSuspect(end, kind)) break;
      group = kind.group;
      words[entry + ENTRY.tried] = kind.tried;
      length += lineLength;
      embeddingInputs += kind.embeddingInputs;
      predictedOutputBytes += withRequest(kind.output, lineLength);
      textBytes += records[record + RECORD.textBytes]!;
      dataUrlBytes += records[record + RECORD.dataUrlBytes]!;
    }
    if (group === undefined) return at;
    const span = this.#span;
    const last = end - 1;
    span.endpoint = group.endpoint!.url;
    span.model = group.model;
    span.count = end - at;
    span.start = this.#entryDoubles[at * ENTRY_DOUBLES + 1]!;
    span.end = this.#entryDoubles[last * ENTRY_DOUBLES + 1]! + words[last * ENTRY_WORDS + ENTRY.length]!;
    span.length = length;
    span.embeddingInputs = embeddingInputs;
    span.predictedOutputBytes = predictedOutputBytes;
    span.textBytes = textBytes;
    span.dataUrlBytes = dataUrlBytes;
    span.entries = this.#entryBytes.subarray(at * ENTRY_BYTES, end * ENTRY_BYTES);
    span.hashes = this.#hashes.subarray(at * 2, end * 2);
    span.requests = () => this.#requests(at, end);
    return end;
  }

  /** Whether checkLine is to say if the provider is sure to refuse the request. */
  #isSuspect(at: number, { suspects }: Kind): boolean {
    if (suspects === undefined) return false;
    const from = this.#placeOf(at);
    const line = this.#memory.subarray(from, from + this.#entryWords[at * ENTRY_WORDS + ENTRY.length]!);
    return suspects.length === 0 || suspects.some((text) => line.includes(text));
  }

  *#requests(from: number, to: number): Generator<ScannedRequest> {
    for (let at = from; at < to; at++) {
      this.#show(at, this.#kindAt(at * RECORD_WORDS)!);
      yield this.#request;
    }
  }

  #newRequest(): ScannedRequest {
    return {
      line: 0,
      offset: 0,
      length: 0,
      endpoint: '',
      model: '',
      embeddingInputs: 0,
      predictedOutputBytes: 0,
      outputLimit: undefined,
      hash0: 0,
      hash1: 0,
      textBytes: 0,
      dataUrlBytes: 0,
      bytes: () => this.#bytes(this.#requestAt),
      copyTo: (target, at) => {
        const from = this.#placeOf(this.#requestAt);
        this.#memory.copy(target, at, from, from + this.#request.length);
      },
      customId: () => this.#customId(this.#requestAt),
    };
  }

  /** Makes {@link #request} the one at `at`. */
  #show(at: number, { group, embeddingInputs, output, outputLimit }: Kind): void {
    const entry = at * ENTRY_WORDS;
    const record = at * RECORD_WORDS;
    const length = this.#entryWords[entry + ENTRY.length]!;
    const request = this.#request;
    this.#requestAt = at;
    request.line = this.#entryDoubles[at * ENTRY_DOUBLES]!;
    request.offset = this.#entryDoubles[at * ENTRY_DOUBLES + 1]!;
    request.length = length;
    request.endpoint = group.endpoint!.url;
    request.model = group.model;
    request.embeddingInputs = embeddingInputs;
    request.predictedOutputBytes = withRequest(output, length);
    request.outputLimit = outputLimit;
    request.hash0 = this.#entryWords[entry + ENTRY.hash0]!;
    request.hash1 = this.#entryWords[entry + ENTRY.hash1]!;
    request.textBytes = this.#records[record + RECORD.textBytes]!;
    request.dataUrlBytes = this.#records[record + RECORD.dataUrlBytes]!;
  }

  /** The kind of the line with this record; `null` if the line is one for `checkLine`. */
  #kindAt(record: number): Kind | null {
    const index = this.#records[record + RECORD.kind]!;
    if (index === NO_KIND) return null;
    const known = this.#kinds[index];
    if (known !== undefined) return known;
    const kind = this.#readKind(index * KIND_WORDS);
    this.#kinds[index] = kind;
    return kind;
  }

  #readKind(at: number): Kind | null {
    const words = this.#kindWords;
    const group = this.#group(words[at + KIND.group]!);
    const { endpoint, model } = group;
    if (endpoint === undefined) return null;
    const flags = words[at + KIND.flags]!;
    // 0 if the input is no array, else one more than its length.
    const inputs = words[at + KIND.inputs]!;
    const { limits } = this.#rules;
    if (endpoint.readsInputs && inputs - 1 > limits.embeddingInputs) return null;
    const logprobs = words[at + KIND.logprobs]!;
    const body = {
      model,
      n: numberOf(words[at + KIND.n]!),
      best_of: numberOf(words[at + KIND.bestOf]!),
      max_output_tokens: numberOf(words[at + KIND.maxOutputTokens]!),
      max_completion_tokens: numberOf(words[at + KIND.maxCompletionTokens]!),
      max_tokens: numberOf(words[at + KIND.maxTokens]!),
      logprobs: logprobs === LOGPROBS_TRUE ? true : numberOf(logprobs),
      top_logprobs: numberOf(words[at + KIND.topLogprobs]!),
      dimensions: numberOf(words[at + KIND.dimensions]!),
      encoding_format: (flags & FLAG.base64) === 0 ? undefined : 'base64',
      response_format: (flags & FLAG.urlResponse) === 0 ? undefined : 'url',
      echo: (flags & FLAG.echo) !== 0,
      input: endpoint.readsInputs ? inputOf(inputs, (flags & FLAG.tokenInput) !== 0) : undefined,
    };
    const embeddingInputs = endpoint.countInputs?.(body) ?? 0;
    if (embeddingInputs > limits.embeddingInputs) return null;
    const outputLimit = endpoint.outputLimitOf(body);
    return {
      group,
      embeddingInputs,
      output: endpoint.predictOutput(body, embeddingInputs),
      outputLimit,
      tried: withOutputLimit(0, outputLimit),
      suspects: this.#rules.preflight.suspectsOf(endpoint.url, model, {
        tools: (flags & FLAG.tools) !== 0,
        reasoning: (flags & FLAG.reasoning) !== 0,
        prompt: (flags & FLAG.prompt) !== 0,
        maxTokens: body.max_tokens !== undefined,
      }),
    };
  }

  #group(index: number): Group {
    const known = this.#groups[index];
    if (known !== undefined) return known;
    const bytes = this.#groupBytes;
    const at = index * GROUP_BYTES;
    const urlAt = at + GROUP_HEADER_BYTES;
    const modelAt = urlAt + GROUP_NAME_BYTES;
    const url = bytes.toString('utf8', urlAt, urlAt + bytes.readUInt32LE(at));
    const model = bytes.toString('utf8', modelAt, modelAt + bytes.readUInt32LE(at + 4));
    const group = { endpoint: this.#rules.endpoints.get(url), model };
    this.#groups[index] = group;
    return group;
  }

  #bytes(at: number): Uint8Array {
    const from = this.#placeOf(at);
    return this.#memory.subarray(from, from + this.#entryWords[at * ENTRY_WORDS + ENTRY.length]!);
  }

  /** Where a line is in memory. */
  #placeOf(at: number): number {
    return this.#from + this.#entryDoubles[at * ENTRY_DOUBLES + 1]! - this.#start.offset;
  }

  #customId(at: number): string {
    const from = this.#records[at * RECORD_WORDS + RECORD.idOffset]!;
    return this.#memory.toString('utf8', from, from + this.#records[at * RECORD_WORDS + RECORD.idLength]!);
  }
}

/** As many items as `body.input` has, one less than the word says; only the first shows whether they are tokens. */
function inputOf(word: number, isTokens: boolean): unknown[] | undefined {
  if (word === 0) return undefined;
  const input = new Array<unknown>(word - 1);
  if (isTokens) input[0] = 0;
  return input;
}

/** 0 means a field that is absent or null. */
function numberOf(word: number): number | undefined {
  return word === 0 ? undefined : word - 1;
}
