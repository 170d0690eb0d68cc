/**
 * The line scanner's inner loop, in AssemblyScript (https://www.assemblyscript.org), built into module.ts beside it by
 * `npm run build:scanner`. It goes over a block of lines once, checks the JSON grammar (RFC 8259) byte by byte or
 * sixteen bytes at a time, and writes an entry and a record for each line. A record says either "certainly valid, with
 * these values" or "ask checkLine". It must never say the first of a line that checkLine (../check-line.ts) rejects or
 * reads otherwise; everything unusual is therefore left to checkLine, and nothing is ever rejected here.
 *
 * What most lines share is said once: lines of the same endpoint and model are of one *group*, and those that agree in all
 * that the size of their answers depends on are of one *kind*.
 *
 * What it relies on: the block ends with a line feed, so that a raw control byte ends every loop over the bytes of a line;
 * readable memory follows the block, so that loads of 16 bytes may run past its end. UTF-8 is checked by the caller.
 */

// Memory, in bytes from 0. Nothing else lives in it: there is no heap and there are no static segments.
const P_FIELDS: usize = 1024; // the line's kind: see K_ below
const P_HEAD_NUMBERS: usize = 1088; // the numbers in the head, as in a kind
const P_ESCAPE: usize = 1280; // by byte: 1 if it may follow a backslash, u aside
const P_QUOTES: usize = 2048; // vectors of one byte each: V8 builds a constant anew, in three steps, wherever it is used
const P_BACKSLASHES: usize = 2064;
const P_LAST_CONTROLS: usize = 2080;
const P_NS: usize = 2096;
// The window of nested(), u64 each; here, as its loop has too few registers for what is seldom needed.
const P_ESCAPED: usize = 2112; // by byte: whether it follows the backslash of an escape and has not been gone over
const P_UNUSUAL: usize = 2120; // by escaped byte: whether it is none of `n`, quote and backslash
const P_CARRY: usize = 2128; // 1 if the byte after the window is escaped
const P_HEAD: usize = 3072; // the head of an earlier line, see Head below
const HEAD_BYTES: usize = 960;
const P_TABLE: usize = 4096; // hash table of groups: u16 slots, group + 1
const TABLE_SLOTS: u32 = 2048;
const P_GROUPS: usize = 8192; // by group: lengths of url and model, u32 each, then url and model
const GROUP_BYTES: usize = 256;
const NAME_BYTES: u32 = 120; // longest url and longest model that are kept
const MAX_GROUPS: u32 = 512;
const MAX_RECORDS: u32 = 512;
const P_ENTRIES: usize = P_GROUPS + <usize>MAX_GROUPS * GROUP_BYTES;
const ENTRY_BYTES: usize = 32; // as in a manifest (../../files/manifest.ts)
const P_HASHES: usize = P_ENTRIES + <usize>MAX_RECORDS * ENTRY_BYTES; // those of the entries again, 8 bytes each
const P_RECORDS: usize = P_HASHES + (<usize>MAX_RECORDS << 3);
const RECORD_BYTES: usize = 20;
const P_KIND_TABLE: usize = P_RECORDS + <usize>MAX_RECORDS * RECORD_BYTES; // hash table of kinds: u16 slots, kind + 1
const KIND_SLOTS: u32 = 16384;
const P_KINDS: usize = P_KIND_TABLE + (<usize>KIND_SLOTS << 1);
const KIND_BYTES: usize = 48;
/** A scan begins with room for as many new ones as it has records. */
const MAX_KINDS: u32 = 8192;
const P_HEX: usize = P_KINDS + <usize>MAX_KINDS * KIND_BYTES; // by two bytes: value of two hex digits, u16
const HEX_BYTES: usize = 0x20000;
const NOT_HEX: u32 = 0x8000;
const P_BLOCK: usize = P_HEX + HEX_BYTES;
/** Readable bytes after a block: at least a vector and the longest head, with which a line may be compared. */
const SLACK: usize = 1024;

// Words of an entry, a record and a kind. Keep them, and the layout of groups, in step with ../line-scanner.ts.
const E_LINE: usize = 0; // f64
const E_OFFSET: usize = 8; // f64
const E_LENGTH: usize = 16;
const E_TRIED: usize = 20; // left to the caller
const E_HASH0: usize = 24;
const E_HASH1: usize = 28;

const R_KIND: usize = 0;
const R_ID_OFFSET: usize = 4;
const R_ID_LENGTH: usize = 8;
const R_TEXT_BYTES: usize = 12;
const R_DATA_URL_BYTES: usize = 16;
/** In place of a kind: the line is one for checkLine. */
const NO_KIND: u32 = 0xffffffff;

const K_GROUP: usize = 0;
const K_FLAGS: usize = 4;
const K_INPUTS: usize = 8;
const K_NUMBERS: usize = 16; // eight words, by key below

const F_BASE64: u32 = 1;
const F_URL_RESPONSE: u32 = 2;
const F_ECHO: u32 = 4;
const F_TOKEN_INPUT: u32 = 8;
// That the body has a member of these names, whatever its value: see PreflightMembers in ../../ports/provider-rules.ts.
const F_TOOLS: u32 = 16;
const F_REASONING: u32 = 32;
const F_PROMPT: u32 = 64;

// Keys of the line.
const L_ID: u32 = 1;
const L_METHOD: u32 = 2;
const L_URL: u32 = 3;
const L_BODY: u32 = 4;

// Keys of the body. Up to B_DIMENSIONS, their numbers stand in the kind's word `key`: 0 absent or null, else number + 1.
const B_N: u32 = 4;
const B_BEST_OF: u32 = 5;
const B_MAX_OUTPUT_TOKENS: u32 = 6;
const B_MAX_COMPLETION_TOKENS: u32 = 7;
const B_MAX_TOKENS: u32 = 8;
const B_LOGPROBS: u32 = 9;
const B_TOP_LOGPROBS: u32 = 10;
const B_DIMENSIONS: u32 = 11;
const B_MODEL: u32 = 12;
const B_INPUT: u32 = 13;
const B_STREAM: u32 = 14;
const B_ECHO: u32 = 15;
const B_ENCODING_FORMAT: u32 = 16;
const B_RESPONSE_FORMAT: u32 = 17;
/** `"logprobs": true`. */
const LOGPROBS_TRUE: u32 = 0xffffffff;
/** Longest number that is read; longer ones go to checkLine. */
const MAX_DIGITS: u32 = 9;

// Bits of `seen`: 1 << key of the body, 1 << (24 + key of the line), and this.
const SEEN_BODY_OBJECT: u32 = 1 << 23;

let seed: u32;
let groups: u32;
let lastGroup: u32;
let kinds: u32;
let kindsForgotten: u32;
// What the last call of scan did.
let scannedTo: usize;
let lineCount: u32;
let blankCount: u32;
// What str() and the field functions tell line().
let escapeBytes: u32;
let unsure: u32;
let flags: u32;
let textBytes: u32;
// The line's strings that matter: places of their first bytes, 0 if there are none.
let id: usize;
let idLength: u32;
let method: usize;
let methodLength: u32;
let url: usize;
let urlLength: u32;
let model: usize;
let modelLength: u32;
let dataUrlBytes: u32;
/** The end of the last escape that is the first half of a surrogate pair; see escapes(). */
let highEnd: usize;

// Head: most lines of a file begin alike, but for the id, up to the first array or object in the body (`messages`, as
// a rule). These bytes of an earlier line are kept with what had been found in them: a line that has the same bytes is
// known up to there. The model may be another one, so that models may take turns. Places are relative to the quote that
// ends the id; 0 is none.
let headBefore: u32; // bytes before the id; 0 if no head is kept
let headAfter: u32; // bytes from the quote on to the first byte of the model, or to the end where there is no model
let headRest: u32; // bytes from the quote that ends the model on
let headUrl: u32;
let headUrlLength: u32;
let headMethod: u32;
let headMethodLength: u32;
let headModel: bool;
let headSeen: u32;
let headFlags: u32;
let headTextBytes: u32;
let headDataUrlBytes: u32;
/** Lines in a row that had another head. */
let headMisses: u32;
/** After so many, heads are not kept any more in this block. */
const MAX_HEAD_MISSES: u32 = 32;

/** Begins a new file. `hashSeed`: see CustomIdHasher. Gives the offset of the block, which may hold `blockBytes`. */
export function begin(hashSeed: u32, blockBytes: u32): usize {
  seed = hashSeed;
  groups = 0;
  lastGroup = 0;
  forgetKinds();
  headBefore = 0;
  const needed = P_BLOCK + <usize>blockBytes + SLACK;
  const have = <usize>memory.size() << 16;
  if (needed > have && memory.grow(<i32>((needed - have + 0xffff) >> 16)) < 0) unreachable();
  memory.fill(P_TABLE, 0, <usize>TABLE_SLOTS << 1);
  for (let at: usize = 0; at < HEX_BYTES; at += 2) store<u16>(P_HEX + at, NOT_HEX);
  for (let high: u32 = 0; high < 256; high++) {
    const digit = hexDigit(high);
    if (digit < 16) {
      for (let low: u32 = 0; low < 256; low++) {
        const next = hexDigit(low);
        if (next < 16) store<u16>(P_HEX + (<usize>((low << 8) | high) << 1), (digit << 4) | next);
      }
    }
  }
  memory.fill(P_QUOTES, 0x22, 16);
  memory.fill(P_BACKSLASHES, 0x5c, 16);
  memory.fill(P_LAST_CONTROLS, 0x1f, 16);
  memory.fill(P_NS, 0x6e, 16);
  memory.fill(P_ESCAPE, 0, 256);
  store<u8>(P_ESCAPE + 0x22, 1);
  store<u8>(P_ESCAPE + 0x5c, 1);
  store<u8>(P_ESCAPE + 0x2f, 1);
  store<u8>(P_ESCAPE + 0x62, 1);
  store<u8>(P_ESCAPE + 0x66, 1);
  store<u8>(P_ESCAPE + 0x6e, 1);
  store<u8>(P_ESCAPE + 0x72, 1);
  store<u8>(P_ESCAPE + 0x74, 1);
  return P_BLOCK;
}

export function entriesOffset(): usize {
  return P_ENTRIES;
}
export function hashesOffset(): usize {
  return P_HASHES;
}
export function recordsOffset(): usize {
  return P_RECORDS;
}
export function kindsOffset(): usize {
  return P_KINDS;
}
export function groupsOffset(): usize {
  return P_GROUPS;
}
/** How often the kinds were forgotten and begun anew; a scan does it before its first line. */
export function timesForgotten(): u32 {
  return kindsForgotten;
}
/** Offset in the block after the last line that the last scan took. */
export function scanned(): u32 {
  return <u32>(scannedTo - P_BLOCK);
}
/** Lines that the last scan took, blank ones counted. */
export function lines(): u32 {
  return lineCount;
}
/** Lines among them that held nothing but blanks; they have no entry and no record. */
export function blanks(): u32 {
  return blankCount;
}

/**
 * Scans the lines in bytes `from` to `to` of the block, the last of which must be a line feed. `firstLine` is the number
 * of the first of them, `blockOffset` where the block begins in the source. Gives the number of entries and records; if
 * there is no more room for them, it stops early, so go on from scanned().
 */
export function scan(from: u32, to: u32, firstLine: f64, blockOffset: f64): u32 {
  let at = P_BLOCK + from;
  const end = P_BLOCK + to;
  let entry = P_ENTRIES;
  let hash = P_HASHES;
  let record = P_RECORDS;
  const lastRecord = P_RECORDS + <usize>(MAX_RECORDS - 1) * RECORD_BYTES;
  if (kinds > MAX_KINDS - MAX_RECORDS) forgetKinds();
  lineCount = 0;
  blankCount = 0;
  headMisses = 0;
  while (at < end && record <= lastRecord) {
    const start = skipBlanks(at);
    if (load<u8>(start) == 0x0a) {
      blankCount++;
      lineCount++;
      at = start + 1;
      continue;
    }
    flags = 0;
    const zero = i32x4.splat(0);
    v128.store(P_FIELDS, zero, K_NUMBERS);
    v128.store(P_FIELDS, zero, K_NUMBERS + 16);
    let stop = line(start, entry, record);
    if (!stop) {
      const lineFeed = nextLineFeed(start);
      let last = lineFeed;
      while (isBlank(load<u8>(last - 1))) last--;
      store<u32>(entry, <u32>(last - start), E_LENGTH);
      store<u32>(record, NO_KIND, R_KIND);
      stop = lineFeed;
    }
    store<u64>(hash, load<u64>(entry, E_HASH0));
    store<f64>(entry, firstLine + <f64>lineCount, E_LINE);
    store<f64>(entry, blockOffset + <f64>(start - P_BLOCK), E_OFFSET);
    entry += ENTRY_BYTES;
    hash += 8;
    record += RECORD_BYTES;
    lineCount++;
    at = stop + 1;
  }
  scannedTo = at;
  return <u32>((record - P_RECORDS) / RECORD_BYTES);
}

/** The digit's value; 16 for other bytes. */
function hexDigit(byte: u32): u32 {
  if (isDigit(byte)) return byte - 0x30;
  const letter = (byte | 0x20) - 0x61;
  return letter < 6 ? letter + 10 : 16;
}

/** The value of two hex digits; NOT_HEX if they are none. */
// @ts-ignore: decorator
@inline
function hexPair(at: usize): u32 {
  return load<u16>(P_HEX + (<usize>load<u16>(at) << 1));
}

// @ts-ignore: decorator
@inline
function isBlank(byte: u32): bool {
  return byte == 0x20 || byte == 0x09 || byte == 0x0d;
}

// @ts-ignore: decorator
@inline
function isDigit(byte: u32): bool {
  return byte - 0x30 < 10;
}

// @ts-ignore: decorator
@inline
function skipBlanks(at: usize): usize {
  // Mostly there are none: one comparison.
  return load<u8>(at) > 0x20 ? at : blanksEnd(at);
}

/** Exported, like others below, only to keep it out of its callers, which are faster so. */
export function blanksEnd(at: usize): usize {
  while (isBlank(load<u8>(at))) at++;
  return at;
}

function nextLineFeed(at: usize): usize {
  const lineFeeds = i8x16.splat(0x0a);
  while (true) {
    const found = <u32>i8x16.bitmask(i8x16.eq(v128.load(at), lineFeeds));
    if (found) return at + ctz(found);
    at += 16;
  }
}

/** By byte: 0x22, 0x5c and control bytes end a run of plain bytes. */
// @ts-ignore: decorator
@inline
function specials(at: usize): u32 {
  const bytes = v128.load(at);
  const quotes = i8x16.eq(bytes, i8x16.splat(0x22));
  const backslashes = i8x16.eq(bytes, i8x16.splat(0x5c));
  const controls = i8x16.le_u(bytes, i8x16.splat(0x1f));
  return <u32>i8x16.bitmask(v128.or(v128.or(quotes, backslashes), controls));
}

/** Goes over a string from its first byte; gives its closing quote or 0. Sets `escapeBytes`: by how much its escapes
 * are longer than the UTF-8 that they stand for (half a surrogate pair: three bytes); 0 only if there are none. */
function str(at: usize): usize {
  let found = specials(at);
  while (!found) {
    at += 16;
    found = specials(at);
  }
  at += ctz(found);
  escapeBytes = 0;
  const byte: u32 = load<u8>(at);
  if (byte == 0x22) return at;
  return byte == 0x5c ? escapedStr(at) : 0;
}

/** The rest of a string from its first backslash on. */
export function escapedStr(at: usize): usize {
  let surplus: u32 = 0;
  let highEnd: usize = 0;
  while (true) {
    do {
      if (load<u8>(at, 1) != 0x75) {
        if (!load<u8>(P_ESCAPE + load<u8>(at, 1))) return 0;
        surplus++;
        at += 2;
      } else {
        const high = hexPair(at + 2);
        const low = hexPair(at + 4);
        if ((high | low) & NOT_HEX) return 0;
        at += 6;
        surplus += 3 + <u32>(high < 0x08) + (<u32>(high == 0) & <u32>(low < 0x80));
        if ((high & 0xf8) == 0xd8) {
          // The second half of a pair adds one byte to the three of the first.
          if (high < 0xdc) highEnd = at;
          else if (at - 6 == highEnd) surplus += 2;
        }
      }
    } while (load<u8>(at) == 0x5c);
    let found = specials(at);
    while (!found) {
      at += 16;
      found = specials(at);
    }
    at += ctz(found);
    const byte: u32 = load<u8>(at);
    if (byte == 0x22) {
      escapeBytes = surplus;
      return at;
    }
    if (byte != 0x5c) return 0;
  }
}

/** Goes over a number; gives the byte after it or 0. */
function num(at: usize): usize {
  if (load<u8>(at) == 0x2d) at++;
  if (load<u8>(at) == 0x30) at++;
  else {
    if (!isDigit(load<u8>(at))) return 0;
    do at++;
    while (isDigit(load<u8>(at)));
  }
  if (load<u8>(at) == 0x2e) {
    at++;
    if (!isDigit(load<u8>(at))) return 0;
    do at++;
    while (isDigit(load<u8>(at)));
  }
  if ((load<u8>(at) | 0x20) == 0x65) {
    at++;
    if (load<u8>(at) == 0x2b || load<u8>(at) == 0x2d) at++;
    if (!isDigit(load<u8>(at))) return 0;
    do at++;
    while (isDigit(load<u8>(at)));
  }
  return at;
}

/** Which key of the line this is, or 0. */
function lineKey(at: usize, length: u32): u32 {
  switch (length) {
    case 3: // url
      return load<u16>(at) == 0x7275 && load<u8>(at, 2) == 0x6c ? L_URL : 0;
    case 4: // body
      return load<u32>(at) == 0x79646f62 ? L_BODY : 0;
    case 6: // meth od
      return load<u32>(at) == 0x6874656d && load<u16>(at, 4) == 0x646f ? L_METHOD : 0;
    case 9: // custom_i d
      return load<u64>(at) == 0x695f6d6f74737563 && load<u8>(at, 8) == 0x64 ? L_ID : 0;
  }
  return 0;
}

/** Which key of the body this is, or 0. */
function bodyKey(at: usize, length: u32): u32 {
  switch (length) {
    case 1:
      return load<u8>(at) == 0x6e ? B_N : 0;
    case 4: // echo
      return load<u32>(at) == 0x6f686365 ? B_ECHO : 0;
    case 5: // mode l, inpu t
      if (load<u32>(at) == 0x65646f6d) return load<u8>(at, 4) == 0x6c ? B_MODEL : 0;
      return load<u32>(at) == 0x75706e69 && load<u8>(at, 4) == 0x74 ? B_INPUT : 0;
    case 6: // stre am
      return load<u32>(at) == 0x65727473 && load<u16>(at, 4) == 0x6d61 ? B_STREAM : 0;
    case 7: // best_of
      return (load<u64>(at) & 0x00ffffffffffffff) == 0x00666f5f74736562 ? B_BEST_OF : 0;
    case 8: // logprobs
      return load<u64>(at) == 0x73626f7270676f6c ? B_LOGPROBS : 0;
    case 10: // max_toke ns, dimensio ns
      if (load<u16>(at, 8) != 0x736e) return 0;
      if (load<u64>(at) == 0x656b6f745f78616d) return B_MAX_TOKENS;
      return load<u64>(at) == 0x6f69736e656d6964 ? B_DIMENSIONS : 0;
    case 12: // top_logp robs
      return load<u64>(at) == 0x70676f6c5f706f74 && load<u32>(at, 8) == 0x73626f72 ? B_TOP_LOGPROBS : 0;
    case 15: // encoding _format, response _format
      if ((load<u64>(at, 8) & 0x00ffffffffffffff) != 0x0074616d726f665f) return 0;
      if (load<u64>(at) == 0x676e69646f636e65) return B_ENCODING_FORMAT;
      return load<u64>(at) == 0x65736e6f70736572 ? B_RESPONSE_FORMAT : 0;
    case 17: // max_outp ut_token s
      return load<u64>(at) == 0x7074756f5f78616d &&
        load<u64>(at, 8) == 0x6e656b6f745f7475 &&
        load<u8>(at, 16) == 0x73
        ? B_MAX_OUTPUT_TOKENS
        : 0;
    case 21: // max_comp letion_t okens
      return load<u64>(at) == 0x706d6f635f78616d &&
        load<u64>(at, 8) == 0x745f6e6f6974656c &&
        load<u32>(at, 16) == 0x6e656b6f &&
        load<u8>(at, 20) == 0x73
        ? B_MAX_COMPLETION_TOKENS
        : 0;
  }
  return 0;
}

/** Which of the members that may be refused this key of the body is, as a flag, or 0. */
function memberFlag(at: usize, length: u32): u32 {
  switch (length) {
    case 5: // tool s
      return load<u32>(at) == 0x6c6f6f74 && load<u8>(at, 4) == 0x73 ? F_TOOLS : 0;
    case 6: // prom pt
      return load<u32>(at) == 0x6d6f7270 && load<u16>(at, 4) == 0x7470 ? F_PROMPT : 0;
    case 9: // function s, reasonin g
      if (load<u64>(at) == 0x6e6f6974636e7566) return load<u8>(at, 8) == 0x73 ? F_TOOLS : 0;
      return load<u64>(at) == 0x6e696e6f73616572 && load<u8>(at, 8) == 0x67 ? F_REASONING : 0;
    case 16: // reasonin g_effort
      return load<u64>(at) == 0x6e696e6f73616572 && load<u64>(at, 8) == 0x74726f6666655f67 ? F_REASONING : 0;
  }
  return 0;
}

/** A string as the value of a key of the body other than model and input; `at` is its first byte. */
function stringField(key: u32, at: usize, length: u32): void {
  if (escapeBytes) unsure = 1;
  else if (key == B_ENCODING_FORMAT) {
    if (length == 6 && load<u32>(at) == 0x65736162 && load<u16>(at, 4) == 0x3436) flags |= F_BASE64;
  } else if (key == B_RESPONSE_FORMAT) {
    if (length == 3 && load<u16>(at) == 0x7275 && load<u8>(at, 2) == 0x6c) flags |= F_URL_RESPONSE;
  } else unsure = 1;
}

/** A number as the value of a key of the body. */
function numberField(key: u32, at: usize, length: u32): void {
  if (key == B_INPUT || key == B_RESPONSE_FORMAT) return;
  if (key > B_DIMENSIONS || length > MAX_DIGITS) {
    unsure = 1;
    return;
  }
  let value: u32 = 0;
  for (const end = at + length; at < end; at++) {
    const byte: u32 = load<u8>(at);
    if (!isDigit(byte)) {
      unsure = 1;
      return;
    }
    value = value * 10 + (byte - 0x30);
  }
  store<u32>(P_FIELDS + (<usize>key << 2), value + 1);
}

/** true, false or null (by first letter) as the value of a key of the body. */
function literalField(key: u32, letter: u32): void {
  if (key == B_INPUT || key == B_RESPONSE_FORMAT) return;
  if (letter == 0x6e) {
    // Null is as good as absent, save for the model.
    if (key == B_MODEL) unsure = 1;
  } else if (key == B_LOGPROBS) {
    if (letter == 0x74) store<u32>(P_FIELDS, LOGPROBS_TRUE, <usize>B_LOGPROBS << 2);
  } else if (key == B_ECHO) {
    if (letter == 0x74) flags |= F_ECHO;
  } else if (key != B_STREAM || letter == 0x74) unsure = 1;
}

/** An array or object as the value of a key of the body. */
function containerField(key: u32): void {
  if (key != B_INPUT && key != B_RESPONSE_FORMAT) unsure = 1;
}

/** Whether the string from here on reads `data:…`, escapes decoded. */
function isDataUrl(at: usize): bool {
  let prefix: u64 = 0x3a61746164;
  for (; prefix; prefix >>= 8) {
    const wanted = <u32>(prefix & 0xff);
    if (load<u8>(at) == wanted) {
      at++;
      continue;
    }
    if (load<u32>(at) != 0x3030755c) return false; // \u00
    if (hexPair(at + 4) != wanted) return false;
    at += 6;
  }
  return true;
}

/** Counts a string of the body; `at` is its first byte, `length` what it has decoded. */
// @ts-ignore: decorator
@inline
function text(at: usize, length: u32): void {
  // If it is d or a backslash, eight apart.
  if (!((<u32>load<u8>(at) - 0x5c) & ~8) && isDataUrl(at)) dataUrlBytes += length;
  else textBytes += length;
}

/** The quote that ends the string from here on, if it is a string without escapes; else 0. */
function plainEnd(at: usize): usize {
  let found = specials(at);
  while (!found) {
    at += 16;
    found = specials(at);
  }
  at += ctz(found);
  return load<u8>(at) == 0x22 ? at : 0;
}

/** What escapes() gives if one of them is none. */
const NOT_ESCAPES: u32 = 0xffffffff;

/**
 * Goes over escapes of a window, in which `escaped` marks the bytes after their backslashes. Gives by how much they are
 * longer than the UTF-8 that they stand for, less one byte each; or NOT_ESCAPES.
 */
export function escapes(base: usize, escaped: u64): u32 {
  let surplus: u32 = 0;
  do {
    const at = base + <usize>ctz(escaped);
    if (load<u8>(at) == 0x75) {
      const high = hexPair(at + 1);
      const low = hexPair(at + 3);
      if ((high | low) & NOT_HEX) return NOT_ESCAPES;
      surplus += 2 + <u32>(high < 0x08) + (<u32>(high == 0) & <u32>(low < 0x80));
      if ((high & 0xf8) == 0xd8) {
        // The second half of a pair adds one byte to the three of the first.
        if (high < 0xdc) highEnd = at + 5;
        else if (at - 1 == highEnd) surplus += 2;
      }
    } else if (!load<u8>(P_ESCAPE + load<u8>(at))) return NOT_ESCAPES;
    escaped &= escaped - 1;
  } while (escaped);
  return surplus;
}

const ODD_BITS: u64 = 0xaaaaaaaaaaaaaaaa;

/** One bit for each byte of four vectors: its highest. */
// @ts-ignore: decorator
@inline
function bitmap(a: v128, b: v128, c: v128, d: v128): u64 {
  const low = <u32>i8x16.bitmask(a) | (<u32>i8x16.bitmask(b) << 16);
  const high = <u32>i8x16.bitmask(c) | (<u32>i8x16.bitmask(d) << 16);
  return <u64>low | (<u64>high << 32);
}

/**
 * Goes over an array or object of which only the grammar and the texts matter, from its bracket on. Gives the byte after
 * it, or 0; adds to `textBytes` and `dataUrlBytes`.
 *
 * The bytes that may end a string are looked for in 64 bytes at a time, the window, and then taken from a bitmap. So the
 * processor knows where a string ends long before it has checked what stands in front of it, and escapes are told from
 * each other, and counted, without a branch for each.
 */
export function nested(at: usize): usize {
  // Containers around, the innermost last: 1 for an object, 0 for an array. The highest bit that is set stands for none.
  let open: u64 = 1;
  let wantsKey = false;
  let base = at; // of the window
  let ends: u64 = 0; // by byte of the window from here on: whether it is a quote or a control byte, and is not escaped
  highEnd = 0;
  while (true) {
    const byte: u32 = load<u8>(at);
    if (byte == 0x22) {
      at++;
      let counted = at; // as if the string were longer by what its escapes have too much
      // The quote is the next in the window, unless that is used up or there are control bytes in between.
      if (ends && base + <usize>ctz(ends) == at - 1) ends &= ends - 1;
      else {
        base = at - 64;
        ends = 0;
        store<u64>(P_ESCAPED, 0);
        store<u64>(P_CARRY, 0);
      }
      while (true) {
        const escaped = load<u64>(P_ESCAPED);
        if (escaped) {
          // Those before the end, or all if it is not in this window.
          const mine = escaped & ((ends & -ends) - 1);
          counted += <usize>popcnt(mine);
          store<u64>(P_ESCAPED, escaped ^ mine);
          const unusual = mine & load<u64>(P_UNUSUAL);
          if (unusual) {
            const surplus = escapes(base, unusual);
            if (surplus == NOT_ESCAPES) return 0;
            counted += surplus;
          }
        }
        if (ends) break;
        base += 64;
        const a = v128.load(base);
        const b = v128.load(base, 16);
        const c = v128.load(base, 32);
        const d = v128.load(base, 48);
        const quote = v128.load(P_QUOTES);
        const aQuotes = i8x16.eq(a, quote);
        const bQuotes = i8x16.eq(b, quote);
        const cQuotes = i8x16.eq(c, quote);
        const dQuotes = i8x16.eq(d, quote);
        const lastControl = v128.load(P_LAST_CONTROLS);
        ends = bitmap(
          v128.or(aQuotes, i8x16.le_u(a, lastControl)),
          v128.or(bQuotes, i8x16.le_u(b, lastControl)),
          v128.or(cQuotes, i8x16.le_u(c, lastControl)),
          v128.or(dQuotes, i8x16.le_u(d, lastControl)),
        );
        const backslash = v128.load(P_BACKSLASHES);
        const aBackslashes = i8x16.eq(a, backslash);
        const bBackslashes = i8x16.eq(b, backslash);
        const cBackslashes = i8x16.eq(c, backslash);
        const dBackslashes = i8x16.eq(d, backslash);
        const backslashes = bitmap(aBackslashes, bBackslashes, cBackslashes, dBackslashes);
        const carry = load<u64>(P_CARRY);
        if (backslashes | carry) {
          // Every second one in a run of backslashes is escaped: found by a subtraction, as simdjson does it.
          const first = backslashes & ~carry;
          const codes = (((first << 1) | ODD_BITS) - first) ^ ODD_BITS;
          const escapedNow = codes ^ (backslashes | carry);
          const n = v128.load(P_NS);
          const usual = bitmap(
            v128.or(v128.or(aQuotes, aBackslashes), i8x16.eq(a, n)),
            v128.or(v128.or(bQuotes, bBackslashes), i8x16.eq(b, n)),
            v128.or(v128.or(cQuotes, cBackslashes), i8x16.eq(c, n)),
            v128.or(v128.or(dQuotes, dBackslashes), i8x16.eq(d, n)),
          );
          store<u64>(P_ESCAPED, escapedNow);
          store<u64>(P_UNUSUAL, escapedNow & ~usual);
          store<u64>(P_CARRY, (codes & backslashes) >> 63);
          ends &= ~escapedNow;
        }
      }
      const end = base + <usize>ctz(ends);
      ends &= ends - 1;
      const word = load<u32>(end);
      if ((word & 0xff) != 0x22) return 0;
      if (wantsKey) {
        wantsKey = false;
        // `": ` as a rule.
        if ((word & 0xffffff) == 0x203a22) at = end + 3;
        else {
          at = skipBlanks(end + 1);
          if (load<u8>(at) != 0x3a) return 0;
          at++;
        }
        continue;
      }
      text(at, <u32>(end - counted));
      at = end + 1;
      // `", ` as a rule.
      if ((word & 0xffffff) == 0x202c22) {
        at = end + 3;
        wantsKey = <bool>(open & 1);
        continue;
      }
    } else if (byte <= 0x20) {
      if (!isBlank(byte)) return 0;
      at = blanksEnd(at);
      continue;
    } else if (wantsKey) return 0;
    else if (byte == 0x7b || byte == 0x5b) {
      if (<i64>open < 0) return 0;
      open = (open << 1) | <u64>(byte == 0x7b);
      at = skipBlanks(at + 1);
      wantsKey = byte == 0x7b;
      // Its closing bracket has the code that follows but one.
      if (load<u8>(at) != byte + 2) continue;
      wantsKey = false;
    } else if (byte == 0x2d || isDigit(byte)) {
      at = num(at);
      if (!at) return 0;
    } else {
      // true, null, or f and alse
      const isFalse = byte == 0x66;
      const word = load<u32>(at + <usize>isFalse);
      if (word != (isFalse ? 0x65736c61 : byte == 0x74 ? 0x65757274 : 0x6c6c756e)) return 0;
      at += 4 + <usize>isFalse;
    }

    // A value has ended.
    while (true) {
      const word: u32 = load<u16>(at);
      if (word == 0x202c) {
        at += 2;
        break;
      }
      const next = word & 0xff;
      if (next == 0x2c) {
        at++;
        break;
      }
      if (next == (open & 1 ? 0x7d : 0x5d)) {
        at++;
        open >>= 1;
        if (open == 1) return at;
      } else if (isBlank(next)) at = blanksEnd(at);
      else return 0;
    }
    wantsKey = <bool>(open & 1);
  }
  return 0;
}

/** Keeps the head of the line that begins at `start` and reaches its first array or object in the body at `end`. */
function keepHead(start: usize, end: usize, seen: u32): void {
  if (unsure || !idLength || !(seen & SEEN_BODY_OBJECT)) return;
  const quote = id + idLength;
  headBefore = 0;
  if ((url && url < quote) || (method && method < quote) || (model && model < quote)) return;
  // What follows the model has no fixed place.
  if (model && (url > model || method > model)) return;
  if (<usize>(id - start) + (end - quote) > HEAD_BYTES) return;
  headBefore = <u32>(id - start);
  headAfter = <u32>((model ? model : end) - quote);
  headRest = model ? <u32>(end - model) - modelLength : 0;
  memory.copy(P_HEAD, start, headBefore);
  memory.copy(P_HEAD + headBefore, quote, headAfter);
  memory.copy(P_HEAD + headBefore + headAfter, end - headRest, headRest);
  headUrl = url ? <u32>(url - quote) : 0;
  headUrlLength = urlLength;
  headMethod = method ? <u32>(method - quote) : 0;
  headMethodLength = methodLength;
  headModel = model != 0;
  headSeen = seen;
  headFlags = flags;
  v128.store(P_HEAD_NUMBERS, v128.load(P_FIELDS, K_NUMBERS));
  v128.store(P_HEAD_NUMBERS, v128.load(P_FIELDS, K_NUMBERS + 16), 16);
  headTextBytes = textBytes;
  headDataUrlBytes = dataUrlBytes;
}

/**
 * Goes over one line from its first byte that is not blank. Gives its line feed and fills entry and record, but for the
 * line's place; or gives 0 if the line is one for checkLine.
 */
function line(start: usize, entry: usize, record: usize): usize {
  let at = start;
  let depth: u32 = 0; // 1 in the line, 2 in its body, 3 in an array of inputs; nested() goes over all else
  let key: u32 = 0; // of the line
  let field: u32 = 0; // of the body
  let seen: u32 = 0;
  let inputs: u32 = 0;
  id = 0;
  idLength = 0;
  method = 0;
  methodLength = 0;
  url = 0;
  urlLength = 0;
  model = 0;
  modelLength = 0;
  unsure = 0;
  textBytes = 0;
  dataUrlBytes = 0;
  if (load<u8>(at) != 0x7b) return 0;
  let keepsHead = false;
  if (headBefore && isEqual(start, P_HEAD, headBefore)) {
    id = start + headBefore;
    const quote = plainEnd(id);
    let end: usize = 0;
    if (quote && isEqual(quote, P_HEAD + headBefore, headAfter)) {
      end = quote + headAfter;
      if (headModel) {
        model = end;
        end = plainEnd(model);
        modelLength = <u32>(end - model);
        if (end && !isEqual(end, P_HEAD + headBefore + headAfter, headRest)) end = 0;
        end += end ? headRest : 0;
      }
    }
    if (end) {
      idLength = <u32>(quote - id);
      if (headUrl) url = quote + headUrl;
      urlLength = headUrlLength;
      if (headMethod) method = quote + headMethod;
      methodLength = headMethodLength;
      seen = headSeen;
      flags = headFlags;
      v128.store(P_FIELDS, v128.load(P_HEAD_NUMBERS), K_NUMBERS);
      v128.store(P_FIELDS, v128.load(P_HEAD_NUMBERS, 16), K_NUMBERS + 16);
      textBytes = headTextBytes;
      dataUrlBytes = headDataUrlBytes;
      key = L_BODY;
      depth = 2;
      at = end;
      headMisses = 0;
    } else {
      id = 0;
      model = 0;
      modelLength = 0;
    }
  }
  if (!depth && headMisses < MAX_HEAD_MISSES) {
    headMisses++;
    keepsHead = true;
  }
  while (true) {
    // A value begins here.
    const byte: u32 = load<u8>(at);
    let wantsKey = false;
    if (byte == 0x22) {
      const first = at + 1;
      at = str(first);
      if (!at) return 0;
      const length = <u32>(at - first);
      at++;
      if (depth > 2 || !(depth == 1 ? key : field)) {
        if (key == L_BODY) text(first, length - escapeBytes);
      } else if (depth == 2) {
        if (field == B_MODEL) {
          unsure |= escapeBytes;
          model = first;
          modelLength = length;
        } else if (field == B_INPUT) text(first, length - escapeBytes);
        else stringField(field, first, length);
      } else {
        unsure |= escapeBytes;
        if (key == L_ID) {
          id = first;
          idLength = length;
        } else if (key == L_URL) {
          url = first;
          urlLength = length;
        } else if (key == L_METHOD) {
          method = first;
          methodLength = length;
        }
      }
    } else if (byte == 0x7b || byte == 0x5b) {
      const isObject = byte == 0x7b;
      if (depth == 2) {
        if (field) containerField(field);
        else if (keepsHead && key == L_BODY) {
          keepsHead = false;
          if (!inputs) keepHead(start, at, seen);
        }
      }
      if (!depth || (depth == 1 && key == L_BODY)) {
        if (!isObject) return 0;
        if (depth) seen |= SEEN_BODY_OBJECT;
        depth++;
        at = skipBlanks(at + 1);
        if (load<u8>(at) == 0x7d) {
          at++;
          depth--;
        } else wantsKey = true;
      } else if (depth == 2 && field == B_INPUT && !isObject) {
        at = skipBlanks(at + 1);
        const next: u32 = load<u8>(at);
        if (next == 0x5d) {
          inputs = 1;
          at++;
        } else {
          inputs = 2;
          if (next == 0x2d || isDigit(next)) flags |= F_TOKEN_INPUT;
          depth = 3;
          continue;
        }
      } else {
        const textBefore = textBytes;
        const dataUrlBefore = dataUrlBytes;
        at = nested(at);
        if (!at) return 0;
        if (key != L_BODY) {
          textBytes = textBefore;
          dataUrlBytes = dataUrlBefore;
        }
      }
    } else if (byte == 0x2d || isDigit(byte)) {
      const first = at;
      at = num(first);
      if (!at) return 0;
      if (depth == 2 && field) numberField(field, first, <u32>(at - first));
    } else {
      if (byte == 0x74) {
        if (load<u32>(at) != 0x65757274) return 0;
        at += 4;
      } else if (byte == 0x6e) {
        if (load<u32>(at) != 0x6c6c756e) return 0;
        at += 4;
      } else if (byte == 0x66) {
        if (load<u32>(at, 1) != 0x65736c61) return 0;
        at += 5;
      } else return 0;
      if (depth == 2 && field) literalField(field, byte);
    }

    // A value has ended.
    while (!wantsKey) {
      if (!depth) {
        const end = skipBlanks(at);
        if (load<u8>(end) != 0x0a || unsure) return 0;
        if (!idLength || !modelLength || !urlLength || !(seen & SEEN_BODY_OBJECT)) return 0;
        if (methodLength != 4 || load<u32>(method) != 0x54534f50) return 0; // POST
        const group = groupOf();
        if (group == MAX_GROUPS) return 0;
        store<u32>(entry, <u32>(at - start), E_LENGTH);
        hashId(entry);
        store<u32>(record, kindOf(group, inputs), R_KIND);
        store<u32>(record, <u32>(id - P_BLOCK), R_ID_OFFSET);
        store<u32>(record, idLength, R_ID_LENGTH);
        store<u32>(record, textBytes, R_TEXT_BYTES);
        store<u32>(record, dataUrlBytes, R_DATA_URL_BYTES);
        return end;
      }
      let next: u32 = load<u8>(at);
      if (next <= 0x20) {
        at = skipBlanks(at);
        next = load<u8>(at);
      }
      if (next == 0x2c) {
        at = skipBlanks(at + 1);
        if (depth == 3) inputs++;
        else wantsKey = true;
        break;
      }
      if (next != (depth == 3 ? 0x5d : 0x7d)) return 0;
      at++;
      depth--;
    }

    if (wantsKey) {
      if (load<u8>(at) != 0x22) return 0;
      const first = at + 1;
      at = str(first);
      if (!at) return 0;
      if (depth == 1) {
        if (escapeBytes) return 0;
        key = lineKey(first, <u32>(at - first));
        field = 0;
        if (key) {
          const bit: u32 = 1 << (24 + key);
          if (seen & bit) return 0;
          seen |= bit;
        }
      } else if (depth == 2 && key == L_BODY) {
        if (escapeBytes) return 0;
        field = bodyKey(first, <u32>(at - first));
        if (field) {
          const bit: u32 = 1 << field;
          if (seen & bit) return 0;
          seen |= bit;
        } else flags |= memberFlag(first, <u32>(at - first));
      }
      at++;
      if (load<u8>(at) != 0x3a) {
        at = skipBlanks(at);
        if (load<u8>(at) != 0x3a) return 0;
      }
      at = skipBlanks(at + 1);
    }
  }
  return 0;
}

function forgetKinds(): void {
  kinds = 0;
  kindsForgotten++;
  memory.fill(P_KIND_TABLE, 0, <usize>KIND_SLOTS << 1);
}

/** The number of the line's kind, from 0 in the order of their first lines since kinds were forgotten. */
function kindOf(group: u32, inputs: u32): u32 {
  store<u32>(P_FIELDS, group, K_GROUP);
  store<u32>(P_FIELDS, flags, K_FLAGS);
  store<u32>(P_FIELDS, inputs, K_INPUTS);
  const fields0 = v128.load(P_FIELDS);
  const fields1 = v128.load(P_FIELDS, 16);
  const fields2 = v128.load(P_FIELDS, 32);
  let hash: u64 = 0;
  for (let at: usize = 0; at < KIND_BYTES; at += 8)
    hash = (rotl<u64>(hash, 29) ^ load<u64>(P_FIELDS + at)) * 0x9e3779b97f4a7c15;
  let slot = <u32>(hash >> 32) & (KIND_SLOTS - 1);
  while (true) {
    const held: u32 = load<u16>(P_KIND_TABLE + (<usize>slot << 1));
    if (!held) break;
    const kind = P_KINDS + <usize>(held - 1) * KIND_BYTES;
    const differing = v128.or(
      v128.xor(fields0, v128.load(kind)),
      v128.or(v128.xor(fields1, v128.load(kind, 16)), v128.xor(fields2, v128.load(kind, 32))),
    );
    if (!v128.any_true(differing)) return held - 1;
    slot = (slot + 1) & (KIND_SLOTS - 1);
  }
  const kind = P_KINDS + <usize>kinds * KIND_BYTES;
  v128.store(kind, fields0);
  v128.store(kind, fields1, 16);
  v128.store(kind, fields2, 32);
  store<u16>(P_KIND_TABLE + (<usize>slot << 1), <u16>(kinds + 1));
  return kinds++;
}

/** CustomIdHasher.hash (../../base/custom-id-hash.ts), bit for bit. */
function hashId(entry: usize): void {
  let at = id;
  let a: u32 = seed ^ idLength;
  let b: u32 = (seed * 0x85ebca6b) ^ 0x1b873593;
  let left = idLength;
  while (left >= 4) {
    const word = load<u32>(at);
    a = (a ^ word) * 0x9e3779b1;
    a ^= a >> 15;
    b = rotl<u32>((b + word) * 0x85ebca77, 13);
    at += 4;
    left -= 4;
  }
  while (left) {
    const byte: u32 = load<u8>(at);
    a = (a ^ byte) * 0x01000193;
    b = (b ^ byte) * 0xc2b2ae3d;
    b ^= b >> 13;
    at++;
    left--;
  }
  a ^= b;
  a ^= a >> 16;
  a *= 0x85ebca6b;
  a ^= a >> 13;
  a *= 0xc2b2ae35;
  a ^= a >> 16;
  b = (b ^ (b >> 15) ^ a) * 0x2c1b3c6d;
  b ^= b >> 12;
  store<u32>(entry, a, E_HASH0);
  store<u32>(entry, b | 1, E_HASH1);
}

function isEqual(one: usize, other: usize, length: u32): bool {
  while (length >= 16) {
    if (v128.any_true(v128.xor(v128.load(one), v128.load(other)))) return false;
    one += 16;
    other += 16;
    length -= 16;
  }
  if (length >= 8) {
    if (load<u64>(one) != load<u64>(other)) return false;
    one += 8;
    other += 8;
    length -= 8;
  }
  if (!length) return true;
  return !((load<u64>(one) ^ load<u64>(other)) & (~(<u64>0) >> (64 - 8 * <u64>length)));
}

/** Whether the line is of this group. */
function isGroup(group: u32): bool {
  const entry = P_GROUPS + <usize>group * GROUP_BYTES;
  return (
    load<u32>(entry) == urlLength &&
    load<u32>(entry, 4) == modelLength &&
    isEqual(entry + 8, url, urlLength) &&
    isEqual(entry + 8 + NAME_BYTES, model, modelLength)
  );
}

/** The number of the line's pair of url and model, from 0 in the order of their first lines; MAX_GROUPS if it has none. */
function groupOf(): u32 {
  if (groups && isGroup(lastGroup)) return lastGroup;
  let hash: u32 = urlLength;
  for (let at: u32 = 0; at < urlLength; at++) hash = (hash ^ load<u8>(url + at)) * 0x01000193;
  for (let at: u32 = 0; at < modelLength; at++) hash = (hash ^ load<u8>(model + at)) * 0x01000193;
  let slot = (hash ^ (hash >> 15)) & (TABLE_SLOTS - 1);
  while (true) {
    const held: u32 = load<u16>(P_TABLE + (<usize>slot << 1));
    if (!held) break;
    if (isGroup(held - 1)) {
      lastGroup = held - 1;
      return lastGroup;
    }
    slot = (slot + 1) & (TABLE_SLOTS - 1);
  }
  if (groups == MAX_GROUPS || urlLength > NAME_BYTES || modelLength > NAME_BYTES) return MAX_GROUPS;
  const entry = P_GROUPS + <usize>groups * GROUP_BYTES;
  store<u32>(entry, urlLength);
  store<u32>(entry, modelLength, 4);
  memory.copy(entry + 8, url, urlLength);
  memory.copy(entry + 8 + NAME_BYTES, model, modelLength);
  lastGroup = groups++;
  store<u16>(P_TABLE + (<usize>slot << 1), <u16>groups);
  return lastGroup;
}
