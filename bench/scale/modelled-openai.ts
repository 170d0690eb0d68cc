/**
 * OpenAI as the model needs it: batches that take their time and end with an answer for each request, lists in pages of
 * 100, newest first, that hold every batch there ever was. Nothing is refused and nothing goes wrong: for that there
 * are `local/openai-emulator` and the simulation.
 */
import { HOUR_MS } from '../../src/contract/time.ts';
import { BatchdropError } from '../../src/core/base/errors.ts';
import type { Ambient } from '../../src/core/ports/ambient.ts';
import type { ByteStream } from '../../src/core/ports/objects.ts';
import type { BatchApi, ByKey, RemoteBatch, RemoteFile } from '../../src/core/ports/provider.ts';
import { Random } from '../inputs/random.ts';

const BATCHES_PER_PAGE = 100;
/** Batches are checked in minutes. */
const VALIDATING_MS = 3 * 60_000;

/** How the modelled OpenAI behaves. */
export interface OpenAIModel {
  /** A batch takes between so many and so many hours; all are as likely. */
  hours: readonly [least: number, most: number];
  /** Share of the batches of more than one line that leave a line for the next round. */
  retriedShare: number;
  /** Batches in the project before the first of ours. */
  batchesBefore: number;
  /** Requests that a line of the model stands for. */
  requestsPerLine: number;
}

/** Calls, by what they are. */
export type OpenAICall =
  | 'upload'
  | 'create'
  | 'list page'
  | 'get batch'
  | 'list files'
  | 'read file'
  | 'get file'
  | 'delete file'
  | 'cancel';

interface ModelledBatch {
  inputFileId: string;
  metadata: Record<string, string>;
  createdAt: number;
  endsAt: number;
  /** Of the lines. */
  customIds: readonly string[];
  isRetried: boolean;
}

export class ModelledOpenAI implements BatchApi, ByKey<BatchApi> {
  /** Size of a result line. */
  static readonly answerBytes = answerTo('00000-00000000', 200).length;
  readonly #model: OpenAIModel;
  readonly #ambient: Pick<Ambient, 'now'>;
  readonly #startedAt: number;
  readonly #onCall: (call: OpenAICall, bytes: number) => void;
  readonly #random = new Random('scale');
  /** Oldest first; those that were there before have no entry. */
  readonly #batches: ModelledBatch[] = [];
  readonly #inputs = new Map<string, string[]>();
  #files = 0;

  /** @param onCall told of each call and of the bytes of its body, as the model has them. */
  constructor(
    model: OpenAIModel,
    ambient: Pick<Ambient, 'now'>,
    onCall: (call: OpenAICall, bytes: number) => void,
  ) {
    this.#model = model;
    this.#ambient = ambient;
    this.#startedAt = ambient.now();
    this.#onCall = onCall;
  }

  /** One project, whatever the key. */
  withKey(): this {
    return this;
  }

  /** Batches that are not ended: for the report. */
  countLive(): number {
    const now = this.#ambient.now();
    return this.#batches.reduce((count, { endsAt }) => count + (endsAt > now ? 1 : 0), 0);
  }

  async uploadFile({ body }: { filename: string; bytes: number; body: ByteStream }) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk.slice());
    const text = Buffer.concat(chunks).toString('utf8');
    this.#onCall('upload', text.length);
    const id = `file-input-${this.#files++}`;
    this.#inputs.set(
      id,
      text
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { custom_id: string }).custom_id),
    );
    return { id, bytes: text.length };
  }

  async createBatch({ inputFileId, metadata }: { inputFileId: string; metadata: Record<string, string> }) {
    this.#onCall('create', 0);
    const [least, most] = this.#model.hours;
    const createdAt = Math.floor(this.#ambient.now() / 1000) * 1000;
    const customIds = this.#inputs.get(inputFileId)!;
    const isRetried = this.#random.chance(this.#model.retriedShare) && customIds.length > 1;
    const endsAt = createdAt + this.#random.between(least * HOUR_MS, most * HOUR_MS);
    this.#batches.push({ inputFileId, metadata, createdAt, endsAt, customIds, isRetried });
    return this.#view(this.#batches.length - 1);
  }

  async cancelBatch(): Promise<void> {
    this.#onCall('cancel', 0);
  }

  async getBatch(id: string): Promise<RemoteBatch | undefined> {
    this.#onCall('get batch', 0);
    return this.#view(numberOf(id) - this.#model.batchesBefore);
  }

  async listBatches(after?: string): Promise<{ batches: RemoteBatch[]; next?: string }> {
    this.#onCall('list page', 0);
    const { batchesBefore } = this.#model;
    const newest = after === undefined ? this.#batches.length + batchesBefore - 1 : numberOf(after) - 1;
    const batches: RemoteBatch[] = [];
    for (let place = newest; place >= 0 && batches.length < BATCHES_PER_PAGE; place--)
      batches.push(this.#view(place - batchesBefore));
    const last = newest - batches.length + 1;
    return { batches, ...(last > 0 ? { next: idOf(last) } : {}) };
  }

  async fileSize(id: string): Promise<{ bytes?: number }> {
    this.#onCall('get file', 0);
    const { bytes } = await this.readFile(id);
    return bytes === undefined ? {} : { bytes };
  }

  async readFile(id: string, { from = 0 } = {}): Promise<{ body: ByteStream; bytes?: number }> {
    const [, kind, place] = id.split('-') as [string, 'output' | 'error', string];
    const { customIds, isRetried } = this.#batches[Number(place)]!;
    const [first, ...others] = customIds;
    const lines =
      kind === 'error'
        ? [answerTo(first!, 500)]
        : (isRetried ? others : customIds).map((customId) => answerTo(customId, 200));
    const content = Buffer.from(lines.join(''));
    this.#onCall('read file', content.length - from);
    return {
      body: (async function* () {
        yield content.subarray(from);
      })(),
      bytes: content.length,
    };
  }

  /** None: what is left over is no part of what many batches cost. */
  async listFiles(): Promise<{ files: RemoteFile[] }> {
    this.#onCall('list files', 0);
    return { files: [] };
  }

  async deleteFile(id: string): Promise<void> {
    this.#onCall('delete file', 0);
    this.#inputs.delete(id);
  }

  /** @param place among our batches; below 0: one of those before. */
  #view(place: number): RemoteBatch {
    const id = idOf(place + this.#model.batchesBefore);
    if (place < 0) {
      const createdAt = this.#startedAt + place * 60_000;
      return { id, status: 'completed', inputFileId: 'file-before', metadata: {}, createdAt };
    }
    const batch = this.#batches[place];
    if (batch === undefined) throw new BatchdropError(`the model has no batch ${place}`);
    const { inputFileId, metadata, createdAt, endsAt, customIds, isRetried } = batch;
    const now = this.#ambient.now();
    const beganAt = createdAt + VALIDATING_MS;
    const isEnded = now >= endsAt;
    const share = Math.min(1, Math.max(0, (now - beganAt) / (endsAt - beganAt)));
    const total = customIds.length * this.#model.requestsPerLine;
    const failed = isEnded && isRetried ? this.#model.requestsPerLine : 0;
    const completed = isEnded ? total - failed : Math.floor(share * total);
    return {
      id,
      status: isEnded ? 'completed' : now < beganAt ? 'validating' : 'in_progress',
      inputFileId,
      ...(isEnded ? { outputFileId: `file-output-${place}` } : {}),
      ...(failed > 0 ? { errorFileId: `file-error-${place}` } : {}),
      progress: { total, completed, failed },
      metadata,
      createdAt,
      expiresAt: createdAt + 24 * HOUR_MS,
    };
  }
}

function idOf(place: number): string {
  return `batch_${String(place).padStart(24, '0')}`;
}

function numberOf(id: string): number {
  return Number(id.slice('batch_'.length));
}

function answerTo(customId: string, status: number): string {
  const body = {
    usage: { prompt_tokens: 300, completion_tokens: 200 },
    choices: [{ finish_reason: 'stop', message: { content: 'yes' } }],
  };
  const response = { status_code: status, request_id: 'req', body: status === 200 ? body : {} };
  return `${JSON.stringify({ id: 'batch_req', custom_id: customId, response, error: null })}\n`;
}
