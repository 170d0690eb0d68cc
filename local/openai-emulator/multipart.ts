import { refusal } from './api-error.ts';

/** One part of a form as its headers announce it. */
export type PartHead = { name: string; filename: string | null };

/** Takes the bytes of one part, in order; the promise is the back-pressure. */
export type PartSink = { write(bytes: Buffer): Promise<void> | void; end(): Promise<void> | void };

const MAX_HEAD_BYTES = 16_384;

/** The boundary of a `multipart/form-data` content type. @throws ApiError 400 when there is none */
export function multipartBoundary(contentType: string | undefined): string {
  const found = /^multipart\/form-data\s*;.*?boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType ?? '');
  const boundary = found?.[1] ?? found?.[2];
  if (boundary === undefined) throw refusal(400, 'Invalid Content-Type: expected multipart/form-data.');
  return boundary;
}

/**
 * Reads a `multipart/form-data` body and passes each part's bytes on as they arrive: memory holds one block and one
 * delimiter, whatever the size of the parts.
 * @param source the request body
 * @param boundary from `multipartBoundary`
 * @param openPart gives the sink for a part
 * @throws ApiError 400 when the body is not well formed or ends early
 */
export async function readMultipart(
  source: AsyncIterable<Buffer>,
  boundary: string,
  openPart: (head: PartHead) => Promise<PartSink> | PartSink,
): Promise<void> {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  // A first CRLF makes the opening delimiter look like all others.
  let rest: Buffer = Buffer.from('\r\n');
  let sink: PartSink | undefined;
  let state: 'part' | 'after-delimiter' | 'head' | 'done' = 'part';
  for await (const block of source) {
    if (state === 'done') continue;
    rest = rest.length === 0 ? block : Buffer.concat([rest, block]);
    for (;;) {
      if (state === 'part') {
        const at = rest.indexOf(delimiter);
        const taken = at === -1 ? Math.max(0, rest.length - delimiter.length + 1) : at;
        if (taken > 0) await sink?.write(rest.subarray(0, taken));
        if (at === -1) {
          rest = rest.subarray(taken);
          break;
        }
        await sink?.end();
        sink = undefined;
        rest = rest.subarray(at + delimiter.length);
        state = 'after-delimiter';
      }
      if (state === 'after-delimiter') {
        if (rest.length < 2) break;
        const mark = rest.toString('latin1', 0, 2);
        if (mark !== '\r\n' && mark !== '--') throw malformed();
        state = mark === '--' ? 'done' : 'head';
        // The CRLF stays in `rest`: with it the end of the headers is the same for any number of them.
        if (state === 'done') break;
      }
      if (state === 'head') {
        const end = rest.indexOf('\r\n\r\n');
        if (end === -1) {
          if (rest.length > MAX_HEAD_BYTES) throw malformed();
          break;
        }
        sink = await openPart(parseHead(rest.toString('utf8', 2, end)));
        rest = rest.subarray(end + 4);
        state = 'part';
      }
    }
  }
  if (state !== 'done') throw malformed();
}

function parseHead(text: string): PartHead {
  const disposition = /^content-disposition:(.*)$/im.exec(text)?.[1] ?? '';
  const name = /[;\s]name="([^"]*)"/.exec(disposition)?.[1];
  if (name === undefined) throw malformed();
  const filename = /[;\s]filename="([^"]*)"/.exec(disposition)?.[1];
  return { name: unescapeName(name), filename: filename === undefined ? null : unescapeName(filename) };
}

/** Undoes the form-data escapes of the HTML standard. */
function unescapeName(text: string): string {
  return text.replaceAll('%22', '"').replaceAll('%0D', '\r').replaceAll('%0A', '\n');
}

const malformed = () => refusal(400, 'Could not parse multipart form.');
