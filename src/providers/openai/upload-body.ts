import { randomUUID } from 'node:crypto';
import { BatchdropError } from '../../core/base/errors.ts';
import type { BatchInput } from '../../core/ports/provider.ts';

/** The body of an upload did not have the length that was declared for it. */
export class UploadLengthError extends BatchdropError {}

/**
 * Frames a file as `multipart/form-data` (RFC 7578), `purpose` first.
 * `failure()` is what broke the body, if it was the body; `release()` frees it, read or not.
 */
export function frameFile(file: BatchInput & { filename: string }) {
  const boundary = `batchdrop-${randomUUID()}`;
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${escapeFilename(file.filename)}"\r\n` +
      'Content-Type: application/jsonl\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const source = file.body[Symbol.asyncIterator]();
  let isStarted = false;
  let failure: { error: unknown } | undefined;

  async function* frames(): AsyncGenerator<Uint8Array> {
    isStarted = true;
    try {
      yield head;
      let sent = 0;
      for await (const chunk of { [Symbol.asyncIterator]: () => source }) {
        sent += chunk.length;
        if (sent > file.bytes) throw lengthError(file.bytes, `at least ${sent}`);
        yield chunk;
      }
      if (sent < file.bytes) throw lengthError(file.bytes, String(sent));
      yield tail;
    } catch (error) {
      failure = { error };
      throw error;
    }
  }

  const stream = frames();
  return {
    stream,
    bytes: head.length + file.bytes + tail.length,
    contentType: `multipart/form-data; boundary=${boundary}`,
    failure: () => failure?.error,
    release: () => {
      // Not awaited: a body that hangs must not hold up the error that is on its way.
      const released = isStarted ? stream.return(undefined) : source.return?.();
      released?.catch(() => {});
    },
  };
}

function lengthError(declared: number, seen: string): UploadLengthError {
  return new UploadLengthError(
    `the body of POST /files has ${seen} bytes where ${declared} were declared; nothing was uploaded`,
  );
}

/** Source: WHATWG HTML, "multipart/form-data encoding algorithm". */
function escapeFilename(filename: string): string {
  return filename.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22');
}
