/**
 * Reads requests off a byte stream at the speed of memory: WebAssembly goes over a block of lines at a time and checks
 * and measures each without making an object of it. It vouches only for lines of which it is certain; all others are
 * handed over for {@link ./check-line.ts checkLine}, the plain statement of the rules, to judge. Together they give
 * what {@link ./lines.ts LineSplitter} and checkLine give, however the stream is cut into chunks.
 */
import { isUtf8 } from 'node:buffer';
import { type Endpoint, isEndpoint } from '../endpoints.ts';
import { MAX_LINE_BYTES, OPENAI_LIMITS } from '../limits.ts';
import { outputLimitOf } from '../output-limit.ts';
import { type Line, LineSplitter, type LineStart } from './lines.ts';
import { predictOutputBytes } from './predict-output.ts';
import { SCAN_LINES_WASM } from './scanner/module.ts';

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** Bytes scanned at a time, and the longest line that is. Measured: from 64 KB to 1 MB it makes no difference to speed. */
const BLOCK_BYTES = 512 * 1024;
/** Inputs of a moderation request up to which its output is predicted here. */
const MAX_MODERATION_INPUTS = 1_000;

/** Words of a record, and of a group's entry; see scan-lines.as for what they mean. */
const RECORD = {
  offset: 0,
  length: 1,
  line: 2,
  flags: 3,
  group: 4,
  hash0: 5,
  hash1: 6,
  idOffset: 7,
  idLength: 8,
  textBytes: 9,
  dataUrlBytes: 10,
  inputs: 11,
  n: 12,
  bestOf: 13,
  maxOutputTokens: 14,
  maxCompletionTokens: 15,
  maxTokens: 16,
  logprobs: 17,
  topLogprobs: 18,
  dimensions: 19,
} as const;
const RECORD_WORDS = 20;
const MAX_RECORDS = 4_096;
const LOGPROBS_TRUE = 0xffffffff;
const FLAG = {
  certain: 1,
  numbers: 2,
  base64: 4,
  urlResponse: 8,
  echo: 16,
  tokenInput: 32,
  asLast: 64,
} as const;
const GROUP_BYTES = 256;
const GROUP_HEADER_BYTES = 8;
const GROUP_NAME_BYTES = 120;

/** A valid request. One object serves all of a scanner's requests: it holds only during the call. */
export interface ScannedRequest {
  /** 1-based, blank lines counted. */
  line: number;
  /** Offset of the first byte in the source. */
  offset: number;
  /** Length in bytes, without line end and blanks around. */
  length: number;
  endpoint: Endpoint;
  model: string;
  /** Embedding inputs; 0 for other endpoints. */
  embeddingInputs: number;
  /** Bytes that the answer's output line may take. */
  predictedOutputBytes: number;
  /** See {@link outputLimitOf}. */
  outputLimit: number | undefined;
  /** Hash of the custom_id; see {@link ../custom-id-hash.ts CustomIdHasher}. */
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
  /** The line's bytes, valid only during the call. */
  bytes: () => Uint8Array;
  customId: () => string;
}

/** What to do with lines, in their order. */
export interface LineHandlers {
  /** Takes a line that is certain to be a valid request. */
  onRequest: (request: ScannedRequest) => void;
  /** Takes any other line that is not blank: valid or not, `checkLine` knows. */
  onLine: (line: Line) => void;
}

interface ScannerExports {
  memory: { buffer: ArrayBuffer };
  begin(seed: number, blockBytes: number): number;
  recordsOffset(): number;
  groupsOffset(): number;
  scan(from: number, to: number): number;
  scanned(): number;
  lines(): number;
  blanks(): number;
}

/** A pair of endpoint and model. */
interface Group {
  /** Absent if the Batch API does not serve the line's URL. */
  endpoint: Endpoint | undefined;
  model: string;
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
 * over for lines that are longer than a block.
 */
export class LineScanner {
  readonly #handlers: LineHandlers;
  readonly #maxBytes: number;
  readonly #wasm = instantiate();
  readonly #records: Uint32Array;
  readonly #groupBytes: Buffer;
  readonly #groups: Group[] = [];
  /** The block: whole lines that wait to be scanned, and the beginning of one more. */
  readonly #block: Buffer;
  readonly #blockBytes: number;
  #filled = 0;
  /** Where the block begins in the source. */
  #start: LineStart;
  /** Cuts the line that does not fit into the block. */
  #long: LineSplitter | undefined;
  readonly #request: ScannedRequest;
  #requestAt = 0;
  /** What `predictOutputBytes` reads of a body. */
  readonly #body: Record<string, unknown> = {
    model: '',
    n: undefined,
    best_of: undefined,
    max_output_tokens: undefined,
    max_completion_tokens: undefined,
    max_tokens: undefined,
    logprobs: undefined,
    top_logprobs: undefined,
    dimensions: undefined,
    encoding_format: undefined,
    response_format: undefined,
    echo: undefined,
    input: undefined,
  };
  /** Whether `#body` is that of the last line of which the record is certain. */
  #lastBodyIsRead = false;
  /** Lines that held nothing but blanks. */
  blank = 0;

  /**
   * @param jobId seeds the hash of ids, as it does for `CustomIdHasher`.
   * @param options.start where the stream begins in the source, which must be the start of a line.
   */
  constructor(
    jobId: string,
    handlers: LineHandlers,
    options: { maxBytes?: number; blockBytes?: number; start?: LineStart } = {},
  ) {
    this.#handlers = handlers;
    this.#maxBytes = options.maxBytes ?? MAX_LINE_BYTES;
    this.#start = { offset: 0, line: 1, ...options.start };
    this.#blockBytes = options.blockBytes ?? BLOCK_BYTES;
    // One byte more, for the line feed that the last line may lack.
    const at = this.#wasm.begin(Number.parseInt(jobId.slice(0, 8), 16) | 0, this.#blockBytes + 1);
    const memory = this.#wasm.memory.buffer;
    this.#block = Buffer.from(memory, at, this.#blockBytes + 1);
    this.#records = new Uint32Array(memory, this.#wasm.recordsOffset(), MAX_RECORDS * RECORD_WORDS);
    this.#groupBytes = Buffer.from(memory, this.#wasm.groupsOffset());
    this.#request = {
      line: 0,
      offset: 0,
      length: 0,
      endpoint: '/v1/responses',
      model: '',
      embeddingInputs: 0,
      predictedOutputBytes: 0,
      outputLimit: undefined,
      hash0: 0,
      hash1: 0,
      textBytes: 0,
      dataUrlBytes: 0,
      bytes: () => this.#bytes(this.#requestAt),
      customId: () => this.#customId(this.#requestAt),
    };
  }

  /** Where to go on: offset and number of the first line that has not been handed out. */
  get next(): LineStart {
    return { ...this.#start };
  }

  /** Takes the next bytes of the stream; hands out lines whenever a block is full. */
  push(chunk: Uint8Array): void {
    let from = 0;
    while (from < chunk.length) {
      if (this.#long !== undefined) {
        const lineFeed = chunk.indexOf(LINE_FEED, from);
        const to = lineFeed < 0 ? chunk.length : lineFeed + 1;
        this.#long.push(chunk.subarray(from, to));
        if (lineFeed >= 0) this.#endLong(this.#long);
        from = to;
        continue;
      }
      const to = Math.min(chunk.length, from + this.#blockBytes - this.#filled);
      this.#block.set(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to), this.#filled);
      this.#filled += to - from;
      from = to;
      if (this.#filled === this.#blockBytes) this.#scanWholeLines();
    }
  }

  /** Hands out what is left; the last line may end without a line feed. */
  end(): void {
    if (this.#long !== undefined) {
      this.#long.end();
      this.#endLong(this.#long);
      return;
    }
    if (this.#filled === 0) return;
    const end = this.#start.offset + this.#filled;
    if (this.#block[this.#filled - 1] !== LINE_FEED) this.#block[this.#filled++] = LINE_FEED;
    this.#scan(this.#filled);
    this.#start.offset = end;
    this.#filled = 0;
  }

  #scanWholeLines(): void {
    const to = this.#block.lastIndexOf(LINE_FEED, this.#filled - 1) + 1;
    if (to > 0) {
      this.#scan(to);
      this.#block.copyWithin(0, to, this.#filled);
      this.#start.offset += to;
      this.#filled -= to;
      return;
    }
    const from = this.#markBytes();
    const start = { offset: this.#start.offset + from, line: this.#start.line };
    this.#long = new LineSplitter((line) => this.#handlers.onLine(line), this.#maxBytes, start);
    this.#long.push(this.#block.subarray(from, this.#filled));
    this.#filled = 0;
  }

  #endLong(long: LineSplitter): void {
    this.blank += long.blank;
    this.#start = { offset: long.position, line: this.#start.line + 1 };
    this.#long = undefined;
  }

  /** Length of the byte order mark that the block begins with. */
  #markBytes(): number {
    const length = BYTE_ORDER_MARK.length;
    if (this.#start.offset > 0 || this.#filled < length) return 0;
    return BYTE_ORDER_MARK.equals(this.#block.subarray(0, length)) ? length : 0;
  }

  /** Scans the lines in the block's first bytes, the last of which is a line feed. */
  #scan(to: number): void {
    const wasm = this.#wasm;
    let from = this.#markBytes();
    const blockIsUtf8 = isUtf8(this.#block.subarray(from, to));
    while (from < to) {
      const records = wasm.scan(from, to);
      for (let at = 0; at < records * RECORD_WORDS; at += RECORD_WORDS) {
        if (!this.#readRequest(at) || !(blockIsUtf8 || isUtf8(this.#bytes(at)))) this.#handOver(at);
        else this.#handlers.onRequest(this.#request);
      }
      this.#start.line += wasm.lines();
      this.blank += wasm.blanks();
      from = wasm.scanned();
    }
  }

  /** Hands over a line that is not certain. */
  #handOver(at: number): void {
    const records = this.#records;
    const length = records[at + RECORD.length]!;
    this.#handlers.onLine({
      line: this.#start.line + records[at + RECORD.line]!,
      offset: this.#start.offset + records[at + RECORD.offset]!,
      length,
      bytes: length > this.#maxBytes ? undefined : this.#bytes(at),
    });
  }

  /** Reads the record at this word into the request; false if the line is one for `checkLine`. */
  #readRequest(at: number): boolean {
    const records = this.#records;
    const flags = records[at + RECORD.flags]!;
    const length = records[at + RECORD.length]!;
    if ((flags & FLAG.certain) === 0) return false;
    const bodyIsRead = (flags & FLAG.asLast) !== 0 && this.#lastBodyIsRead;
    this.#lastBodyIsRead = false;
    if (length > this.#maxBytes) return false;
    const group = this.#group(records[at + RECORD.group]!);
    const { endpoint } = group;
    if (endpoint === undefined) return false;
    // 0 if the input is no array, else one more than its length.
    const inputs = records[at + RECORD.inputs]!;
    let embeddingInputs = 0;
    if (endpoint === '/v1/embeddings') {
      // A text, an array of tokens, and an empty array are one input each; texts and arrays of tokens count one by one.
      embeddingInputs = inputs < 2 || (flags & FLAG.tokenInput) !== 0 ? 1 : inputs - 1;
      if (embeddingInputs > OPENAI_LIMITS.embeddingInputs) return false;
    }
    if (!bodyIsRead && !this.#readBody(at, group)) return false;
    this.#lastBodyIsRead = true;

    const request = this.#request;
    request.line = this.#start.line + records[at + RECORD.line]!;
    request.offset = this.#start.offset + records[at + RECORD.offset]!;
    request.length = length;
    request.endpoint = endpoint;
    request.model = group.model;
    request.embeddingInputs = embeddingInputs;
    // Of a chat, both depend on nothing but what was read of the body; most lines are like the one before.
    if (!bodyIsRead || endpoint !== '/v1/chat/completions') {
      request.predictedOutputBytes = predictOutputBytes(endpoint, this.#body, embeddingInputs, length);
      request.outputLimit = outputLimitOf(endpoint, this.#body);
    }
    request.hash0 = records[at + RECORD.hash0]!;
    request.hash1 = records[at + RECORD.hash1]!;
    request.textBytes = records[at + RECORD.textBytes]!;
    request.dataUrlBytes = records[at + RECORD.dataUrlBytes]!;
    this.#requestAt = at;
    return true;
  }

  /** Reads what the size of the answer depends on; false if the line is one for `checkLine`. */
  #readBody(at: number, group: Group): boolean {
    const records = this.#records;
    const flags = records[at + RECORD.flags]!;
    const inputs = records[at + RECORD.inputs]!;
    const body = this.#body;
    if ((flags & FLAG.numbers) === 0) {
      body.n = undefined;
      body.best_of = undefined;
      body.max_output_tokens = undefined;
      body.max_completion_tokens = undefined;
      body.max_tokens = undefined;
      body.logprobs = undefined;
      body.top_logprobs = undefined;
      body.dimensions = undefined;
    } else {
      const logprobs = records[at + RECORD.logprobs]!;
      body.n = numberOf(records[at + RECORD.n]!);
      body.best_of = numberOf(records[at + RECORD.bestOf]!);
      body.max_output_tokens = numberOf(records[at + RECORD.maxOutputTokens]!);
      body.max_completion_tokens = numberOf(records[at + RECORD.maxCompletionTokens]!);
      body.max_tokens = numberOf(records[at + RECORD.maxTokens]!);
      body.logprobs = logprobs === LOGPROBS_TRUE ? true : numberOf(logprobs);
      body.top_logprobs = numberOf(records[at + RECORD.topLogprobs]!);
      body.dimensions = numberOf(records[at + RECORD.dimensions]!);
    }
    body.model = group.model;
    body.encoding_format = (flags & FLAG.base64) === 0 ? undefined : 'base64';
    body.response_format = (flags & FLAG.urlResponse) === 0 ? undefined : 'url';
    body.echo = (flags & FLAG.echo) !== 0;
    if (group.endpoint === '/v1/moderations') {
      if (inputs > MAX_MODERATION_INPUTS) return false;
      body.input = inputs === 0 ? undefined : new Array(inputs - 1);
    }
    return true;
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
    const group = { endpoint: isEndpoint(url) ? url : undefined, model };
    this.#groups[index] = group;
    return group;
  }

  #bytes(at: number): Uint8Array {
    const from = this.#records[at + RECORD.offset]!;
    return this.#block.subarray(from, from + this.#records[at + RECORD.length]!);
  }

  #customId(at: number): string {
    const from = this.#records[at + RECORD.idOffset]!;
    return this.#block.toString('utf8', from, from + this.#records[at + RECORD.idLength]!);
  }
}

/** 0 stands for a field that is absent or null. */
function numberOf(word: number): number | undefined {
  return word === 0 ? undefined : word - 1;
}
