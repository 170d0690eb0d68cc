import { DEFAULT_API_KEY } from '../../../src/contract/api-key.ts';
import { BatchdropError, CreateRefusedError } from '../../../src/core/base/errors.ts';
import { isTerminal } from '../../../src/core/model/batch.ts';
import type { Ambient } from '../../../src/core/ports/ambient.ts';
import type { ByteStream } from '../../../src/core/ports/objects.ts';
import type { BatchApi, ByKey, RemoteBatch } from '../../../src/core/ports/provider.ts';
import { plainCopy } from '../plain-copy.ts';

const BATCHES_PER_PAGE = 100;

/** How a batch of {@link MemoryBatches} ends. */
export interface BatchEnd {
  status: RemoteBatch['status'];
  /** Content of the output file; none without. */
  output?: string;
  /** Content of the error file; none without. */
  errorFile?: string;
  errors?: RemoteBatch['errors'];
  progress?: RemoteBatch['progress'];
}

interface MemoryFile {
  filename: string;
  content: Uint8Array;
  createdAt: number;
}

/** What all keys together have made, so that no two ids are the same. */
interface Made {
  batches: number;
  files: number;
}

/**
 * {@link BatchApi} in memory: keeps files and batches and runs nothing; a test says how a batch ends. It is the API
 * with the stack's own key; each other key has a project to itself. For behaviour like OpenAI's there is
 * `local/openai-emulator`.
 */
export class MemoryBatches implements BatchApi, ByKey<MemoryBatches> {
  readonly #ambient: Pick<Ambient, 'now'>;
  readonly #files = new Map<string, MemoryFile>();
  /** Oldest first. */
  readonly #batches: RemoteBatch[] = [];
  readonly #made: Made;
  readonly #others = new Map<string, MemoryBatches>();

  constructor(ambient: Pick<Ambient, 'now'>, made: Made = { batches: 0, files: 0 }) {
    this.#ambient = ambient;
    this.#made = made;
  }

  withKey(name: string): MemoryBatches {
    if (name === DEFAULT_API_KEY) return this;
    const api = this.#others.get(name) ?? new MemoryBatches(this.#ambient, this.#made);
    this.#others.set(name, api);
    return api;
  }

  /** Files that are there, by id: for assertions. */
  files(): ReadonlyMap<string, { filename: string; content: Uint8Array }> {
    return this.#files;
  }

  /** Sets how a batch ended, or how far it is. */
  end(id: string, how: BatchEnd): void {
    const batch = this.#batches.find((candidate) => candidate.id === id);
    if (batch === undefined) throw new BatchdropError(`no batch ${id}`);
    batch.status = how.status;
    if (how.output !== undefined) {
      batch.outputFileId = this.#storeFile(`${id}_output.jsonl`, Buffer.from(how.output));
    }
    if (how.errorFile !== undefined) {
      batch.errorFileId = this.#storeFile(`${id}_error.jsonl`, Buffer.from(how.errorFile));
    }
    if (how.errors !== undefined) batch.errors = how.errors;
    if (how.progress !== undefined) batch.progress = how.progress;
  }

  async uploadFile(file: { filename: string; bytes: number; body: ByteStream }) {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of file.body) {
      chunks.push(chunk.slice());
      bytes += chunk.length;
      if (bytes > file.bytes) break;
    }
    if (bytes !== file.bytes) {
      throw new BatchdropError(
        `the body of ${file.filename} has ${bytes} bytes where ${file.bytes} were declared`,
      );
    }
    return { id: this.#storeFile(file.filename, Buffer.concat(chunks)), bytes };
  }

  async createBatch(batch: { inputFileId: string; endpoint: string; metadata: Record<string, string> }) {
    if (!batch.endpoint.startsWith('/v1/')) {
      throw new CreateRefusedError(
        `POST /batches was answered 400 invalid_value: ${batch.endpoint}`,
        400,
        'invalid_value',
      );
    }
    const created: RemoteBatch = {
      id: `batch_${String(++this.#made.batches).padStart(8, '0')}`,
      status: 'validating',
      inputFileId: batch.inputFileId,
      metadata: { ...batch.metadata },
      // OpenAI tells whole seconds.
      createdAt: Math.floor(this.#ambient.now() / 1000) * 1000,
    };
    this.#batches.push(created);
    return plainCopy(created);
  }

  async cancelBatch(id: string): Promise<void> {
    const batch = this.#batches.find((candidate) => candidate.id === id);
    if (batch !== undefined && !isTerminal(batch.status)) batch.status = 'cancelling';
  }

  async getBatch(id: string): Promise<RemoteBatch | undefined> {
    return plainCopy(this.#batches.find((batch) => batch.id === id));
  }

  async listBatches(after?: string): Promise<{ batches: RemoteBatch[]; next?: string }> {
    const newestFirst = this.#batches.toReversed();
    const start = after === undefined ? 0 : newestFirst.findIndex(({ id }) => id === after) + 1;
    const batches = newestFirst.slice(start, start + BATCHES_PER_PAGE);
    const hasMore = start + batches.length < newestFirst.length;
    return { batches: plainCopy(batches), ...(hasMore ? { next: batches.at(-1)!.id } : {}) };
  }

  async readFile(id: string, { from = 0 } = {}): Promise<{ body: ByteStream; bytes?: number }> {
    const file = this.#files.get(id);
    if (file === undefined) throw new BatchdropError(`GET /files/${id}/content was answered 404`);
    return {
      body: (async function* () {
        if (file.content.length > from) yield file.content.slice(from);
      })(),
      bytes: file.content.length,
    };
  }

  async listFiles(after?: string) {
    const all = [...this.#files].map(([id, { filename, createdAt }]) => ({ id, filename, createdAt }));
    const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const files = all.slice(start, start + BATCHES_PER_PAGE);
    return { files, ...(start + files.length < all.length ? { next: files.at(-1)!.id } : {}) };
  }

  async fileSize(id: string): Promise<{ bytes: number } | undefined> {
    const file = this.#files.get(id);
    return file && { bytes: file.content.length };
  }

  async deleteFile(id: string): Promise<void> {
    this.#files.delete(id);
  }

  #storeFile(filename: string, content: Uint8Array): string {
    const id = `file-${String(++this.#made.files).padStart(8, '0')}`;
    // OpenAI tells whole seconds.
    const createdAt = Math.floor(this.#ambient.now() / 1000) * 1000;
    this.#files.set(id, { filename, content, createdAt });
    return id;
  }
}
