import { createReadStream } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { EffectOf } from './effects.ts';
import type { Reply } from './routes.ts';

/** Writes the reply, spoilt as the fault asks. What has no fault of its body is written as it is. */
export async function writeReply(
  response: ServerResponse,
  reply: Exclude<Reply, { kind: 'none' }>,
  fault: EffectOf<'http'> | undefined,
): Promise<void> {
  if (reply.kind === 'lines') {
    response.writeHead(200, { 'content-type': 'application/jsonl' });
    return pipeline(reply.lines, response);
  }
  const json = reply.kind === 'json' ? bytesOfBody(reply.body) : undefined;
  if (!response.hasHeader('content-type')) {
    response.setHeader('content-type', json === undefined ? 'application/octet-stream' : 'application/json');
  }
  if (reply.kind === 'file') {
    const filename = encodeURIComponent(reply.filename);
    response.setHeader('content-disposition', `attachment; filename="${filename}"`);
  } else for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  const status = reply.kind === 'json' ? reply.status : 200;
  const bytes = reply.kind === 'file' ? reply.bytes : json!.length;
  // An empty file is not opened: its content may be there already and not be meant to be seen.
  const content = (): Readable =>
    reply.kind === 'json' || bytes === 0
      ? Readable.from(bytes === 0 ? [] : [json!])
      : createReadStream(reply.path, { end: bytes - 1 });

  switch (fault?.kind) {
    case 'http.truncate':
      response.writeHead(status, { 'content-length': bytes });
      return fault.keep_bytes >= bytes
        ? pipeline(content(), response)
        : breakOff(response, content(), fault.keep_bytes);
    case 'http.hang':
      response.writeHead(status, { 'content-length': bytes });
      return sendBeginning(response, content(), bytes >> 1);
    case 'http.slow':
      response.writeHead(status, { 'content-length': bytes });
      return pipeline(content(), inChunks(fault.chunk_bytes, fault.pause_ms), response);
    case 'http.gzip': {
      const packed = gzipSync(await buffer(content()));
      response.setHeader('content-encoding', 'gzip');
      response.writeHead(status, fault.content_length ? { 'content-length': packed.length } : {});
      return fault.keep_bytes === undefined || fault.keep_bytes >= packed.length
        ? void response.end(packed)
        : breakOff(response, Readable.from([packed]), fault.keep_bytes);
    }
    default:
      response.writeHead(status, { 'content-length': bytes });
      return json === undefined ? pipeline(content(), response) : void response.end(json);
  }
}

/** A body as it is sent: text and bytes as they are, anything else as JSON. */
export function bytesOfBody(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : (JSON.stringify(body) ?? ''));
}

/** Sends the first bytes of a body and cuts the connection. */
async function breakOff(response: ServerResponse, content: Readable, keepBytes: number): Promise<void> {
  await sendBeginning(response, content, keepBytes);
  response.destroy();
}

/** Sends the first bytes of a body. */
async function sendBeginning(response: ServerResponse, content: Readable, keepBytes: number): Promise<void> {
  let left = keepBytes;
  for await (const block of content as AsyncIterable<Buffer>) {
    await new Promise<void>((resolve) => response.write(block.subarray(0, left), () => resolve()));
    left -= block.length;
    if (left <= 0) break;
  }
  // Headers go out even when no byte of the body does.
  response.flushHeaders();
}

/** Lets a body through in small pieces, each after a pause. */
function inChunks(bytes: number, pauseMs: number) {
  return async function* (blocks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const block of blocks) {
      for (let start = 0; start < block.length; start += bytes) {
        await setTimeout(pauseMs);
        yield block.subarray(start, start + bytes);
      }
    }
  };
}
