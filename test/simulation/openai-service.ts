/**
 * OpenAI's Files and Batch API as a model: no HTTP, its time is the simulation's, and it keeps a ledger of what it has
 * executed. It follows the observed contract: what a batch goes through, what its files hold and lack, and the quirks
 * Q1 to Q20 that clients have reported (docs/reliability.md lists them). Ports get what the real adapter would give.
 */
import { OpenAIRequestError } from '../../src/adapters/openai-batches.ts';
import { DEFAULT_API_KEY } from '../../src/contract/api-key.ts';
import {
  ApiKeyMissingError,
  CreateRefusedError,
  IncompleteDownloadError,
  KeyUnusableError,
  UploadRefusedError,
} from '../../src/core/errors.ts';
import type { BatchLevelError, OpenAIBatchStatus } from '../../src/core/model.ts';
import { inputFileOf } from '../../src/core/ownership.ts';
import type { BatchApi, ByteStream, RemoteBatch, RemoteFile } from '../../src/core/ports.ts';
import { SimulatedCalls } from './openai-calls.ts';
import type { Random } from './random.ts';
import { type OpenAIScenario, START_MS, type Trouble, type Weather } from './scenario.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** OpenAI gives up on a batch after 24 hours. */
const WINDOW_MS = 24 * HOUR_MS;

/** What the service needs of the simulation. */
export interface ServiceWorld {
  now(): number;
  /** Whether anything may still go wrong. */
  isStormy(): boolean;
  /** Counts something that was seen to happen. */
  note(what: string): void;
  /** Reports a broken promise. */
  violation(text: string): void;
  /** Runs something later. */
  after(delayMs: number, what: string, run: () => void): void;
  /** A batch is gone for good. */
  lost(batch: ServiceBatch): void;
  /** Whether two jobs were dropped with the same content. */
  areSameContent(jobId: string, other: string): boolean;
  /** The API key that a job is to be sent with; `undefined` if nobody knows the job. */
  apiKeyOfJob(jobId: string): string | undefined;
  /** The same of the line with this marker. */
  apiKeyOfLine(marker: string): string | undefined;
  /** Whether the line with this marker was dropped more than once. */
  isDroppedAgain(marker: string): boolean;
}

/** Errors of single lines that are not the lines' fault, with the status that they come with. */
const OPERATOR_ERRORS: readonly [status: number, code: string][] = [
  [429, 'insufficient_quota'],
  [400, 'billing_hard_limit_reached'],
  [401, 'invalid_api_key'],
  [404, 'model_not_found'],
];

const TROUBLE_STATUS: Readonly<Record<Exclude<Trouble['code'], 'api_key_missing'>, number>> = {
  invalid_api_key: 401,
  insufficient_quota: 429,
  billing_hard_limit_reached: 400,
  model_not_found: 403,
};

/** What a batch that is refused as a whole may be told, though nothing is wrong with any line of it. */
const BATCH_ERRORS: readonly BatchLevelError[] = [
  { code: 'server_error', message: 'The batch could not be processed.' },
  { code: 'billing_hard_limit_reached', message: 'Billing hard limit has been reached.' },
  {
    code: 'model_not_found',
    message: 'The provided model is not supported by the Batch API.',
    param: 'body.model',
  },
  { code: 'input_modified', message: 'The input file was modified.' },
  { code: 'never_heard_of', message: 'Something new.' },
];

/** What became of one request in one batch. */
export type Execution = {
  marker: string;
  customId: string;
  stackId: string;
  /** Of a call, itself alone. */
  batch: { id: string; executions: Execution[] };
  /** When it was executed, or given up. */
  at: number;
  /** Whether OpenAI charges for it. */
  isBilled: boolean;
  /**
   * - `answered`: its line stands in the output file.
   * - `final`: an error that stays the same.
   * - `transient`: an error that another try may not meet.
   * - `unexecuted`: not run, because the batch expired or was cancelled.
   * - `operator`: an error that is not the request's: a quota, a key, a model.
   * - `lost`: executed and charged, but its answer is nowhere.
   */
  result: 'answered' | 'final' | 'transient' | 'unexecuted' | 'operator' | 'lost';
  /** Of the error that its line states; absent for answers and lines that are nowhere. */
  code?: string;
  /** The line that stands for it: the first answer where there are several. */
  line?: string;
};

/** One request of an uploaded file, as the service reads it. */
interface ServiceRequest {
  customId: string;
  model: string;
  marker: string;
  kind: string;
  tokens: number;
}

interface ServiceFile {
  id: string;
  /** See {@link projectOf}. */
  project: string;
  /** Whose it is: a stack, or `foreign`. */
  owner: string;
  /** Of result files, whose results. */
  batch?: ServiceBatch;
  content: Uint8Array;
  /** Of input files. */
  filename?: string;
  /** By our clock. */
  createdAt: number;
  /** 404 or empty until then. */
  lateUntil?: number;
  lateLooks?: 'missing' | 'empty';
  /** 5xx until then. */
  unreadableUntil?: number;
  isDeleted: boolean;
}

/** How a batch goes, drawn when it is created. */
type Fate =
  | 'normal'
  | 'all_failed'
  | 'stuck'
  | 'slow_validation'
  | 'slow_finalizing'
  | 'expired'
  | 'cancelled'
  | 'refused_blindly'
  | 'no_room';

export interface ServiceBatch {
  id: string;
  /** See {@link projectOf}. */
  project: string;
  owner: string;
  jobId: string;
  batchId: string;
  nonce: string;
  inputFileId: string;
  endpoint: string;
  metadata: Record<string, string>;
  /** By our clock. */
  createdAt: number;
  endedAt?: number;
  status: OpenAIBatchStatus;
  requests: ServiceRequest[];
  fate: Fate;
  /** Whether it was made while things could go wrong. */
  isStormy: boolean;
  /** Whether it arrived after its client had given up. */
  isLate: boolean;
  isCancelledUnbegun?: boolean;
  steps: { at: number; to: OpenAIBatchStatus }[];
  errors?: BatchLevelError[];
  output?: ServiceFile;
  errorFile?: ServiceFile;
  /** File ids are absent until then. */
  namedAt: number;
  listedAt: number;
  /** 404 in this time. */
  vanished?: { from: number; until: number };
  /** 404 from now on, for ever. */
  isGone?: boolean;
  progress: { total: number; completed: number; failed: number };
  /** Tokens still count as enqueued until then, though the batch has ended. */
  leakedUntil?: number;
  executions: Execution[];
}

export class SimulatedOpenAI {
  readonly batches: ServiceBatch[] = [];
  readonly files = new Map<string, ServiceFile>();
  /** Ids of batches that stand in the record of their owner, and of those that have ended there. */
  readonly recorded = new Set<string>();
  readonly ended = new Set<string>();
  /** The endpoints that answer at once. */
  readonly calls: SimulatedCalls;
  readonly #world: ServiceWorld;
  readonly #random: Random;
  readonly #scenario: OpenAIScenario;
  readonly #weather: Weather;
  /** Where a batch stands in a list of any order. */
  readonly #places = new Map<string, number>();
  #made = 0;

  constructor(world: ServiceWorld, random: Random, scenario: OpenAIScenario, weather: Weather) {
    this.#world = world;
    this.#random = random;
    this.#scenario = scenario;
    this.#weather = weather;
    this.calls = new SimulatedCalls(world, random.fork('calls'), weather, (marker) =>
      this.#checkNotTwice({ id: 'a call' }, [marker]),
    );
    for (let index = 0; index < scenario.foreignBatches; index++) this.#addForeign();
  }

  /** Every execution of every batch, oldest batch first. */
  executions(): Execution[] {
    this.#advance();
    return [...this.batches.flatMap(({ executions }) => executions), ...this.calls.executions()].sort(
      (one, other) => one.at - other.at,
    );
  }

  /** The service as one stack sees it with one of its keys: that of a project that others use as well. */
  apiFor(stackId: string, apiKey: string): BatchApi {
    const current = (): string => this.#keyVersion(apiKey);
    const seen = (id: string, keyVersion: string | undefined): string => this.#seen(id, apiKey, keyVersion);
    return {
      uploadFile: async (file) => ({
        ...(await this.#upload(stackId, apiKey, file)),
        keyVersion: current(),
      }),
      createBatch: (batch) => this.#create(stackId, apiKey, batch),
      cancelBatch: async (id, keyVersion) => this.#cancel(stackId, apiKey, seen(id, keyVersion)),
      getBatch: async (id, keyVersion) => this.#get(apiKey, seen(id, keyVersion)),
      listBatches: async (after, keyVersion = current()) => ({
        ...this.#list(apiKey, after, projectOf(apiKey, keyVersion)),
        keyVersion,
      }),
      readFile: async (id, options) => this.#read(apiKey, seen(id, options?.keyVersion), options?.from ?? 0),
      listFiles: async (_, keyVersion = current()) => ({
        ...this.#listFiles(apiKey, projectOf(apiKey, keyVersion)),
        keyVersion,
      }),
      hasFile: async (id) => this.files.get(seen(id, undefined))?.isDeleted === false,
      deleteFile: async (id, keyVersion) => this.#delete(stackId, apiKey, seen(id, keyVersion)),
    };
  }

  /** The version of a key that is current; each is of a project of its own, and all go on to be valid. */
  #keyVersion(apiKey: string): string {
    const { keyReplaced } = this.#scenario;
    const isNew = keyReplaced?.apiKey === apiKey && this.#world.now() >= START_MS + keyReplaced.at;
    if (isNew) this.#world.note('fault:key of another project');
    return isNew ? 'second' : 'first';
  }

  #currentProject(apiKey: string): string {
    return projectOf(apiKey, this.#keyVersion(apiKey));
  }

  /** The id, if a version of the key, or the current one, sees what it names; else one that names nothing. */
  #seen(id: string, apiKey: string, keyVersion: string | undefined): string {
    const { project } = this.files.get(id) ?? this.batches.find((batch) => batch.id === id) ?? {};
    const isOfVersion = keyVersion !== undefined && project === projectOf(apiKey, keyVersion);
    return isOfVersion || project === this.#currentProject(apiKey) ? id : 'unseen';
  }

  /** Never is anything of a job sent with the key of another one. */
  #checkKey(apiKey: string, jobId: string | undefined, what: string): void {
    const own = jobId === undefined ? undefined : this.#world.apiKeyOfJob(jobId);
    if (own !== undefined && own !== apiKey)
      this.#world.violation(`${what} of job ${jobId} went out with the key "${apiKey}", not with "${own}"`);
  }

  /** Input files of an owner that are still there, in the project of a current key; others expire. */
  inputFilesLeft(owner: string): number {
    const projects = this.#scenario.apiKeys.map((apiKey) => this.#currentProject(apiKey));
    const isInput = (file: ServiceFile): boolean =>
      file.batch === undefined && projects.includes(file.project);
    const files = [...this.files.values()].filter((file) => file.owner === owner && !file.isDeleted);
    return files.filter(isInput).length;
  }

  /** Called with each file of results that a stack deletes. */
  onResultDeleted: (file: { batch: ServiceBatch }) => void = () => {};

  async #upload(
    stackId: string,
    apiKey: string,
    { filename, bytes, body }: { filename: string; bytes: number; body: ByteStream },
  ): Promise<{ id: string; bytes: number }> {
    this.#checkKey(apiKey, inputFileOf(stackId, filename)?.jobId, 'a file');
    const refusal = this.#refusalOf('upload', apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = this.#draw('upload');
    if (failure?.when === 'before') throw failure.error;
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk.slice());
    const content = Buffer.concat(chunks);
    if (content.length !== bytes) throw new OpenAIRequestError('POST /files: wrong length');
    if (!filename.startsWith(`batchdrop-${stackId}-`)) {
      this.#world.violation(`uploaded ${filename}, which does not carry the mark of ${stackId}`);
    }
    // Not all that was sent, as seen once in a while behind proxies: only the size tells.
    const isCut = this.#chance(this.#weather.fileFault * 0.1);
    const kept = isCut
      ? content.subarray(0, content.length - this.#random.whole(1, content.length - 1))
      : content;
    if (isCut) this.#world.note('fault:short upload');
    const file = this.#store(stackId, kept, this.#currentProject(apiKey), filename);
    if (failure !== undefined) throw failure.error;
    return { id: file.id, bytes: kept.length };
  }

  async #create(
    stackId: string,
    apiKey: string,
    {
      inputFileId,
      endpoint,
      metadata,
      keyVersion = this.#keyVersion(apiKey),
    }: { inputFileId: string; endpoint: string; metadata: Record<string, string>; keyVersion?: string },
  ): Promise<RemoteBatch> {
    const file = this.files.get(inputFileId);
    this.#checkKey(apiKey, metadata.batchdrop_job, 'a batch');
    if (file !== undefined && file.project !== projectOf(apiKey, keyVersion))
      this.#world.violation(`a batch over ${inputFileId} was made with the key of another project`);
    const [first] = file === undefined ? [] : readRequests(file.content);
    const refusal = this.#refusalOf('create', apiKey, first?.model);
    if (refusal !== undefined) throw refusal;
    const kind = this.#world.isStormy()
      ? this.#random.weighted({
          made: 1,
          refused: 1.3 * this.#weather.openaiError,
          unanswered: this.#weather.openaiError,
          failed: this.#weather.openaiError,
          late: this.#weather.openaiError,
        })
      : 'made';
    const unknown = (): OpenAIRequestError => {
      const code = this.#random.pick(['ECONNRESET', 'ETIMEDOUT', undefined]);
      return code === undefined
        ? new OpenAIRequestError(
            'POST /batches was answered 500',
            this.#random.pick([500, 502, 503, 408, 409]),
          )
        : new OpenAIRequestError('POST /batches got no answer', undefined, code);
    };
    if (kind === 'refused') {
      const [status, code] = this.#random.pick<[number, string | undefined]>([
        [429, 'rate_limit_exceeded'],
        [429, undefined],
        [400, 'invalid_value'],
        [400, undefined],
        [403, undefined],
        [403, undefined],
      ]);
      this.#world.note(`error:create ${status}`);
      throw new CreateRefusedError(`POST /batches was answered ${status}`, status, code);
    }
    if (kind === 'failed') throw unknown();
    const project = projectOf(apiKey, keyVersion);
    const make = (): ServiceBatch =>
      this.#make(stackId, project, inputFileId, endpoint, metadata, kind === 'late');
    if (kind === 'late') {
      // On its way when the client gave up.
      this.#world.note('Q19');
      this.#world.after(this.#random.spread(SECOND_MS, 40 * MINUTE_MS), 'a late create arrives', () =>
        make(),
      );
      throw unknown();
    }
    const batch = make();
    if (kind === 'unanswered') {
      this.#world.note('Q19');
      throw unknown();
    }
    return this.#view(batch);
  }

  #make(
    stackId: string,
    project: string,
    inputFileId: string,
    endpoint: string,
    metadata: Record<string, string>,
    isLate: boolean,
  ): ServiceBatch {
    const now = this.#world.now();
    const file = this.files.get(inputFileId);
    const isStormy = this.#world.isStormy();
    const hasFile = file !== undefined && !file.isDeleted;
    const requests = hasFile ? readRequests(file.content) : [];
    const fate: Fate = this.#chance(this.#weather.batchFate)
      ? this.#random.weighted({
          normal: 0,
          all_failed: 1,
          stuck: 1,
          slow_validation: 1,
          slow_finalizing: 1,
          expired: 2,
          cancelled: 2,
          refused_blindly: 6,
          no_room: 1,
        })
      : 'normal';
    const lag = isStormy && this.#random.chance(0.5) ? this.#random.whole(0, this.#scenario.listLagMs) : 0;
    const batch: ServiceBatch = {
      id: `batch_${String(this.batches.length).padStart(4, '0')}`,
      project,
      owner: metadata.batchdrop_stack ?? 'foreign',
      jobId: metadata.batchdrop_job ?? '',
      batchId: metadata.batchdrop_batch ?? '',
      nonce: metadata.batchdrop_nonce ?? '',
      inputFileId,
      endpoint,
      metadata: { ...metadata },
      createdAt: now,
      status: 'validating',
      requests,
      fate,
      isStormy,
      isLate,
      steps: this.#drawSteps(now, fate),
      namedAt: 0,
      listedAt: now + lag,
      progress: { total: 0, completed: 0, failed: 0 },
      executions: [],
    };
    if (!hasFile) {
      batch.errors = [
        { code: 'invalid_request', message: `Cannot find file ${inputFileId}.`, param: 'file_id' },
      ];
    }
    if (stackId !== batch.owner)
      this.#world.violation(`${stackId} made a batch with the mark of ${batch.owner}`);
    if (this.#chance(this.#weather.batchFate * 0.15)) {
      const from = now + this.#random.spread(MINUTE_MS, 6 * HOUR_MS);
      batch.vanished = { from, until: from + this.#random.spread(MINUTE_MS, 8 * HOUR_MS) };
    }
    if (this.#scenario.losesBatches && this.#chance(this.#weather.batchFate * 0.3)) this.#loseLater(batch);
    for (const other of this.batches) {
      if (other.nonce !== '' && other.nonce === batch.nonce) {
        this.#world.violation(`${batch.id} and ${other.id} were both made for attempt ${batch.nonce}`);
      }
    }
    const { id, jobId } = batch;
    this.#checkNotTwice(
      { id, jobId },
      batch.requests.map(({ marker }) => marker),
    );
    this.batches.push(batch);
    this.#places.set(batch.id, this.#random.fraction());
    return batch;
  }

  /** While its owner still waits for it, a batch goes, with whatever it has executed. */
  #loseLater(batch: ServiceBatch): void {
    this.#world.after(this.#random.spread(MINUTE_MS, 6 * HOUR_MS), '', () => {
      if (!this.#world.isStormy() || !this.recorded.has(batch.id) || this.ended.has(batch.id)) return;
      batch.isGone = true;
      this.#world.note('fault:a batch lost for good');
      this.#world.lost(batch);
    });
  }

  /**
   * Never pay twice: what goes out in `id` must not be running, nor its answer to be had.
   * @param of of a call, no job is known: what was dropped twice may then be of either.
   */
  #checkNotTwice({ id, jobId }: { id: string; jobId?: string }, markers: readonly string[]): void {
    this.#advance();
    const mayBeOfAnother = (marker: string, other: string): boolean =>
      jobId === undefined
        ? this.#world.isDroppedAgain(marker)
        : jobId !== other && this.#world.areSameContent(jobId, other);
    for (const marker of markers) {
      for (const call of this.calls.executions()) {
        if (call.marker !== marker || this.#world.isDroppedAgain(marker)) continue;
        if (call.result === 'answered' || call.result === 'final')
          this.#world.violation(
            `request ${marker} goes out in ${id}; ${call.batch.id} gave it ${call.code ?? 'an answer that is kept'}`,
          );
      }
      for (const other of this.batches) {
        if (!other.requests.some((request) => request.marker === marker)) continue;
        if (other.status === 'failed') continue;
        if (mayBeOfAnother(marker, other.jobId)) continue;
        // Nobody can have its results, and it must have ended by now.
        if (other.isGone && this.#world.now() >= other.createdAt + WINDOW_MS) {
          this.#world.note('fault:a lost request run again');
          continue;
        }
        const execution = other.executions.find((candidate) => candidate.marker === marker);
        if (other.endedAt === undefined) {
          this.#world.violation(`request ${marker} goes out in ${id} while ${other.id} is ${other.status}`);
        } else if (execution?.result === 'answered') {
          this.#world.violation(
            `request ${marker} goes out in ${id}; its answer is in the output of ${other.id}`,
          );
        } else if (execution?.result === 'final') {
          this.#world.violation(
            `request ${marker} goes out in ${id}; ${other.id} gave it ${execution.code}, which stays`,
          );
        }
      }
    }
  }

  #drawSteps(now: number, fate: Fate): ServiceBatch['steps'] {
    const random = this.#random;
    const validated =
      now +
      (fate === 'slow_validation'
        ? random.spread(HOUR_MS, 20 * HOUR_MS)
        : random.spread(SECOND_MS, 10 * MINUTE_MS));
    const done = validated + random.spread(MINUTE_MS, random.chance(0.1) ? 20 * HOUR_MS : 2 * HOUR_MS);
    const ended =
      done +
      (fate === 'slow_finalizing'
        ? random.spread(HOUR_MS, 12 * HOUR_MS)
        : random.spread(SECOND_MS, 20 * MINUTE_MS));
    const expires = now + WINDOW_MS;
    if (fate === 'slow_validation') this.#world.note('Q2');
    if (fate === 'slow_finalizing') this.#world.note('Q2');
    if (fate === 'stuck') {
      this.#world.note('Q1');
      return [
        { at: validated, to: 'in_progress' },
        { at: expires, to: 'expired' },
      ];
    }
    if (fate === 'expired') {
      this.#world.note('Q14');
      // Sometimes before its time.
      const at = random.chance(0.3) ? now + random.spread(HOUR_MS, WINDOW_MS) : expires;
      return [
        { at: Math.min(validated, at), to: 'in_progress' },
        { at, to: 'expired' },
      ];
    }
    if (fate === 'cancelled') {
      this.#world.note('Q12');
      return [
        { at: validated, to: 'in_progress' },
        { at: done, to: 'cancelling' },
        { at: done + random.spread(SECOND_MS, 10 * MINUTE_MS), to: 'cancelled' },
      ];
    }
    if (ended > expires) {
      // Done in the last moment, or not done.
      if (random.chance(0.5)) this.#world.note('Q14');
      return [
        { at: validated, to: 'in_progress' },
        {
          at: random.chance(0.5) ? expires + 5 * MINUTE_MS : expires,
          to: random.chance(0.5) ? 'completed' : 'expired',
        },
      ];
    }
    return [
      { at: validated, to: 'in_progress' },
      { at: done, to: 'finalizing' },
      { at: ended, to: 'completed' },
    ];
  }

  /** Lets every batch come to where it is by now. */
  #advance(): void {
    const now = this.#world.now();
    for (const batch of this.batches) {
      for (let step = batch.steps[0]; step !== undefined && step.at <= now; step = batch.steps[0]) {
        batch.steps.shift();
        this.#step(batch, step.to, step.at);
      }
    }
  }

  #step(batch: ServiceBatch, to: OpenAIBatchStatus, at: number): void {
    if (to === 'in_progress') {
      const errors = batch.errors ?? this.#validate(batch, at);
      if (errors !== undefined) {
        batch.status = 'failed';
        batch.errors = errors;
        batch.endedAt = at;
        batch.steps = [];
        return;
      }
      batch.progress = { total: batch.requests.length, completed: 0, failed: 0 };
    }
    batch.status = to;
    if (to === 'completed' || to === 'expired' || to === 'cancelled') {
      batch.endedAt = at;
      this.#end(batch, to, at);
    }
  }

  #validate(batch: ServiceBatch, at: number): BatchLevelError[] | undefined {
    if (batch.fate === 'refused_blindly') {
      const error = this.#random.pick(BATCH_ERRORS);
      this.#world.note(`error:batch ${error.code}`);
      return [error];
    }
    const model = batch.requests[0]?.model;
    const size = tokensOf(batch);
    const enqueued = this.batches
      .filter((other) => other !== batch && other.requests[0]?.model === model && this.#counts(other, at))
      .reduce((sum, other) => sum + tokensOf(other), 0);
    const limit = Math.ceil(this.#scenario.tokenLimit);
    const isFull = enqueued + size > limit;
    if (isFull || batch.fate === 'no_room') {
      this.#world.note(isFull ? 'fault:token_limit_exceeded' : 'Q17');
      const told = Number.isFinite(limit) ? limit : 2_000_000;
      return [
        {
          code: 'token_limit_exceeded',
          message: `Enqueued token limit reached for ${model} in organization org-1. Limit: ${told.toLocaleString('en-US')} enqueued tokens. Please try again once some in_progress batches have been completed.`,
        },
      ];
    }
    const poison = batch.requests.flatMap(({ kind }, index): BatchLevelError[] =>
      kind === 'poison'
        ? [
            {
              code: 'invalid_request',
              message: 'Messages parameter is required.',
              param: 'body.messages',
              line: index + 1,
            },
          ]
        : [],
    );
    if (poison.length === 0) return undefined;
    this.#world.note('fault:poison line');
    const { tellsOfBadLines } = this.#scenario;
    if (tellsOfBadLines === 'all') return poison;
    const [{ line, ...unnamed }] = poison as [BatchLevelError];
    return [tellsOfBadLines === 'the first' ? { ...unnamed, line: line! } : unnamed];
  }

  #counts(batch: ServiceBatch, at: number): boolean {
    if (batch.status === 'validating') return false;
    if (batch.endedAt === undefined) return true;
    if ((batch.leakedUntil ?? 0) <= at) return false;
    this.#world.note('Q11');
    return true;
  }

  /** Executes what is executed, and writes the files. */
  #end(batch: ServiceBatch, status: OpenAIBatchStatus, at: number): void {
    const random = this.#random;
    const isStormy = batch.isStormy;
    const lineFault = isStormy ? this.#weather.lineFault : 0;
    // A stuck batch has nothing to show.
    const hasNothing = batch.fate === 'stuck' || batch.isCancelledUnbegun === true;
    const executed = status === 'completed' ? 1 : hasNothing ? 0 : random.fraction();
    const outage = this.#scenario.outage;
    const isOut =
      outage !== undefined &&
      outage.model === batch.requests[0]?.model &&
      at >= START_MS + outage.from &&
      at < START_MS + outage.until;
    if (isOut) this.#world.note('Q18');
    const outputLines: string[] = [];
    const errorLines: string[] = [];
    let lostAsCompleted = 0;
    for (const request of batch.requests) {
      const execution: Execution = {
        marker: request.marker,
        customId: request.customId,
        stackId: batch.owner,
        batch,
        at,
        isBilled: false,
        result: 'transient',
      };
      batch.executions.push(execution);
      if (random.fraction() >= executed) {
        execution.result = 'unexecuted';
        execution.code = status === 'expired' ? 'batch_expired' : 'batch_cancelled';
        this.#world.note(`error:line ${execution.code}`);
        errorLines.push(
          this.#line(request, { code: execution.code, message: 'This request could not be executed.' }),
        );
        continue;
      }
      if (isOut || batch.fate === 'all_failed') {
        const httpStatus = random.pick([429, 500, 503]);
        this.#fail(execution, request, httpStatus, 'transient', errorLines);
        continue;
      }
      if (random.chance(lineFault)) {
        const fault = random.weighted({
          transient: 4,
          operator: 4,
          zombie: 2,
          missing: 2,
          timeout: 1,
          no_response: 1,
        });
        if (fault === 'transient') {
          this.#fail(
            execution,
            request,
            random.pick([408, 408, 409, 409, 429, 500, 502, 502, 503, 504, 504]),
            'transient',
            errorLines,
          );
        } else if (fault === 'operator') {
          const [httpStatus, code] = random.pick(OPERATOR_ERRORS);
          this.#fail(execution, request, httpStatus, 'operator', errorLines, code);
        } else if (fault === 'zombie') {
          this.#world.note('Q7');
          this.#world.note('error:line 0');
          lostAsCompleted++;
          Object.assign(execution, { isBilled: true, result: 'lost', code: 'status_0' });
          const response = { status_code: 0, request_id: '', body: {} };
          errorLines.push(
            JSON.stringify({ id: this.#id('batch_req'), custom_id: request.customId, response, error: null }),
          );
        } else if (fault === 'missing') {
          this.#world.note('error:line missing');
          this.#world.note(status === 'completed' ? 'Q5' : 'Q12');
          Object.assign(execution, { isBilled: true, result: 'lost' });
        } else if (fault === 'timeout') {
          this.#world.note('error:line request_timeout');
          Object.assign(execution, { isBilled: true, result: 'lost', code: 'request_timeout' });
          errorLines.push(this.#line(request, { code: 'request_timeout', message: 'Timed out.' }));
        } else {
          this.#world.note('error:line no_response');
          Object.assign(execution, { isBilled: true, result: 'lost', code: 'no_response' });
          errorLines.push(
            JSON.stringify({
              id: this.#id('batch_req'),
              custom_id: request.customId,
              response: null,
              error: null,
            }),
          );
        }
        continue;
      }
      if (request.kind === 'refused') {
        this.#fail(execution, request, random.pick([400, 422]), 'final', errorLines);
        continue;
      }
      execution.isBilled = true;
      execution.result = 'answered';
      execution.line = this.#answer(request, '');
      outputLines.push(execution.line);
      if (random.chance(lineFault * 0.3)) {
        this.#world.note('Q15');
        outputLines.push(this.#answer(request, ' (again)'));
      }
    }
    if (batch.requests.length > 0 && random.chance(lineFault * 0.2)) {
      this.#world.note('fault:foreign custom_id');
      outputLines.push(this.#answer({ ...batch.requests[0]!, customId: 'nobody' }, ''));
    }
    const answered = batch.executions.filter(({ result }) => result === 'answered').length;
    batch.progress = {
      total: batch.requests.length,
      completed: answered + lostAsCompleted,
      failed: status === 'completed' ? batch.requests.length - answered - lostAsCompleted : 0,
    };
    if (isStormy && random.chance(lineFault * 0.3)) {
      this.#world.note('Q6');
      batch.progress = {
        ...batch.progress,
        total: batch.progress.total + 3,
        completed: batch.progress.completed + 3,
      };
    }
    if (batch.isCancelledUnbegun) {
      // It never came to counting its requests; whether they have lines is not told.
      batch.progress = { total: 0, completed: 0, failed: 0 };
      if (random.chance(0.5)) return;
    }
    if (outputLines.length === 0 && status === 'completed') this.#world.note('Q3');
    if (outputLines.length > 0) batch.output = this.#storeResult(batch, outputLines, at);
    if (errorLines.length > 0) batch.errorFile = this.#storeResult(batch, errorLines, at);
    // `""` for no file is the adapter's to read; here there is none in any case.
    else if (isStormy) this.#world.note('Q4');
    // The first of several answers is the one that counts.
    const first = new Map<string, string>();
    for (const line of textOf(batch.output)) {
      const { custom_id } = JSON.parse(line) as { custom_id: string };
      if (!first.has(custom_id)) first.set(custom_id, line);
    }
    for (const execution of batch.executions) {
      const line = first.get(execution.customId);
      if (execution.result === 'answered') execution.line = line!;
    }
    if (isStormy && random.chance(this.#weather.fileFault * 0.3)) {
      this.#world.note('Q16');
      batch.namedAt = at + random.spread(SECOND_MS, 40 * MINUTE_MS);
    }
    if (isStormy && random.chance(this.#weather.batchFate * 0.3)) {
      batch.leakedUntil = at + random.spread(MINUTE_MS, 10 * HOUR_MS);
    }
  }

  #fail(
    execution: Execution,
    request: ServiceRequest,
    status: number,
    result: 'transient' | 'final' | 'operator',
    lines: string[],
    code: string | null = this.#random.pick([null, 'some_code']),
  ): void {
    this.#world.note(`error:line ${result === 'operator' ? code : status}`);
    Object.assign(execution, { result, code: code ?? `http_${status}` });
    const body = { error: { message: 'It failed.', type: 'some_type', param: null, code } };
    const response = { status_code: status, request_id: '', body };
    lines.push(
      JSON.stringify({ id: this.#id('batch_req'), custom_id: request.customId, response, error: null }),
    );
  }

  #line(request: ServiceRequest, error: { code: string; message: string }): string {
    return JSON.stringify({ id: this.#id('batch_req'), custom_id: request.customId, response: null, error });
  }

  /** An answer's line; the keys come in any order, and the text has what trips up line readers. */
  #answer(request: ServiceRequest, suffix: string): string {
    const random = this.#random;
    const odd = random.chance(0.2)
      ? random.pick(['\u2028', '\u0085', 'Ã¼', '\ufffd', '\\n', '\u{1f600}'])
      : '';
    if (odd !== '' && odd !== '\\n') this.#world.note('Q10');
    const usage = { prompt_tokens: request.tokens, completion_tokens: 5, total_tokens: request.tokens + 5 };
    const isCut = random.chance(0.05);
    const content = `answer to ${request.marker}.${odd}${suffix}`;
    const body = {
      id: this.#id('chatcmpl'),
      model: request.model,
      choices: [
        { index: 0, message: { role: 'assistant', content }, finish_reason: isCut ? 'length' : 'stop' },
      ],
      usage,
    };
    if (isCut) this.#world.note('answer cut at the token limit');
    const response = { status_code: 200, request_id: this.#id('req'), body };
    const fields = Object.entries({
      id: this.#id('batch_req'),
      custom_id: request.customId,
      response,
      error: null,
    });
    return JSON.stringify(Object.fromEntries(random.chance(0.5) ? fields : random.shuffle(fields)));
  }

  #storeResult(batch: ServiceBatch, lines: string[], at: number): ServiceFile {
    const random = this.#random;
    const isLineFeedMissing = batch.isStormy && random.chance(0.2);
    const text = random.shuffle(lines).join('\n') + (isLineFeedMissing ? '' : '\n');
    if (isLineFeedMissing) this.#world.note('Q20');
    const file = this.#store(batch.owner, Buffer.from(text), batch.project);
    file.batch = batch;
    if (batch.isStormy && random.chance(this.#weather.fileFault * 0.4)) {
      file.lateUntil = at + random.spread(SECOND_MS, 40 * MINUTE_MS);
      file.lateLooks = random.pick(['missing', 'empty']);
      // Empty where there were only errors looks like an error file of nothing: then counts do not tell either.
      this.#world.note('Q16');
    }
    if (batch.isStormy && random.chance(this.#weather.fileFault * 0.2)) {
      this.#world.note('Q9');
      file.unreadableUntil = at + random.spread(10 * MINUTE_MS, 5 * HOUR_MS);
    }
    return file;
  }

  #cancel(stackId: string, apiKey: string, id: string): void {
    this.#advance();
    const refusal = this.#refusalOf('cancel', apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = this.#draw('cancel');
    if (failure?.when === 'before') throw failure.error;
    const batch = this.batches.find((candidate) => candidate.id === id);
    if (batch !== undefined && batch.owner !== stackId) {
      this.#world.violation(`${stackId} cancelled ${id}, a batch of ${batch.owner}`);
    } else if (
      batch !== undefined &&
      batch.errors === undefined &&
      ['validating', 'in_progress', 'finalizing'].includes(batch.status)
    ) {
      this.#world.note(`fault:cancelled while ${batch.status}`);
      batch.isCancelledUnbegun = batch.status === 'validating';
      batch.status = 'cancelling';
      batch.steps = [
        { at: this.#world.now() + this.#random.spread(SECOND_MS, 10 * MINUTE_MS), to: 'cancelled' },
      ];
    }
    if (failure !== undefined) throw failure.error;
  }

  #get(apiKey: string, id: string): RemoteBatch | undefined {
    this.#advance();
    this.#throwDrawn('get', apiKey);
    const batch = this.batches.find((candidate) => candidate.id === id);
    return batch === undefined || this.#isVanished(batch) ? undefined : this.#view(batch);
  }

  /**
   * Only what its owner knows of can vanish: whether a batch was made whose create was not answered, the list is the only
   * one to say, so with a list that hides it for hours nobody could ever be sure.
   */
  #isVanished({ id, vanished, isGone }: ServiceBatch): boolean {
    if (isGone) return true;
    const now = this.#world.now();
    const is =
      vanished !== undefined && this.recorded.has(id) && now >= vanished.from && now < vanished.until;
    if (is) this.#world.note('Q13');
    return is;
  }

  #list(
    apiKey: string,
    after: string | undefined,
    project: string,
  ): { batches: RemoteBatch[]; next?: string } {
    this.#advance();
    this.#throwDrawn('list', apiKey);
    const now = this.#world.now();
    const { order, pageSize } = this.#scenario;
    const all = this.batches.filter((batch) => batch.createdAt <= now && batch.project === project);
    if (order === 'any') all.sort((a, b) => this.#places.get(a.id)! - this.#places.get(b.id)!);
    else
      all.sort((a, b) => (order === 'newest first' ? b.createdAt - a.createdAt : a.createdAt - b.createdAt));
    const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const page = all.slice(start, start + pageSize);
    const shown = page.filter((batch) => batch.listedAt <= now && !this.#isVanished(batch));
    if (shown.length < page.length) this.#world.note('fault:a batch missing from the list');
    const isLast = start + page.length >= all.length;
    return { batches: shown.map((batch) => this.#view(batch)), ...(isLast ? {} : { next: page.at(-1)!.id }) };
  }

  #listFiles(apiKey: string, project: string): { files: RemoteFile[] } {
    this.#throwDrawn('list', apiKey);
    return {
      files: [...this.files.values()]
        .filter((file) => !file.isDeleted && file.filename !== undefined && file.project === project)
        .map(({ id, filename, createdAt }) => ({ id, filename: filename!, createdAt })),
    };
  }

  #read(apiKey: string, id: string, from: number): { body: ByteStream; bytes?: number } {
    this.#advance();
    this.#throwDrawn('read', apiKey);
    const now = this.#world.now();
    const file = this.files.get(id);
    const isLate = file?.lateUntil !== undefined && now < file.lateUntil;
    if (file === undefined || file.isDeleted || (isLate && file.lateLooks === 'missing')) {
      throw new OpenAIRequestError(`GET /files/${id}/content was answered 404`, 404);
    }
    if (file.unreadableUntil !== undefined && now < file.unreadableUntil) {
      throw new OpenAIRequestError(
        `GET /files/${id}/content was answered 502`,
        this.#random.pick([500, 502]),
      );
    }
    const content = isLate ? new Uint8Array() : file.content;
    if (!this.#chance(this.#weather.fileFault * 0.5) || content.length === 0) {
      return { body: inPieces(content, from, content.length), bytes: content.length };
    }
    this.#world.note('Q8');
    const text = Buffer.from(content).toString('latin1');
    const lineEnds = [...text.matchAll(/\n/g)].map(({ index }) => index + 1);
    // Nastiest is a cut between two lines: what has come reads well.
    const isAtLineEnd = lineEnds.length > 1 && this.#random.chance(0.6);
    const cut = isAtLineEnd
      ? this.#random.pick(lineEnds.slice(0, -1))
      : this.#random.whole(0, content.length - 1);
    if (!isAtLineEnd) this.#world.note('Q20');
    if (this.#random.chance(0.5)) return { body: inPieces(content, from, cut), bytes: content.length };
    this.#world.note('error:download broke off');
    return { body: breakingOff(content, from, cut, id), bytes: content.length };
  }

  #delete(stackId: string, apiKey: string, id: string): void {
    this.#advance();
    this.#throwDrawn('delete', apiKey);
    const file = this.files.get(id);
    if (file === undefined || file.isDeleted) return;
    if (file.owner !== stackId) {
      this.#world.violation(`${stackId} deleted ${id}, a file of ${file.owner}`);
      return;
    }
    file.isDeleted = true;
    if (file.batch !== undefined) this.onResultDeleted({ batch: file.batch });
  }

  #view(batch: ServiceBatch): RemoteBatch {
    const { id, status, inputFileId, metadata, errors, progress } = batch;
    const areNamed = batch.namedAt <= this.#world.now();
    return {
      id,
      status,
      inputFileId,
      ...(areNamed && batch.output !== undefined ? { outputFileId: batch.output.id } : {}),
      ...(areNamed && batch.errorFile !== undefined ? { errorFileId: batch.errorFile.id } : {}),
      ...(errors === undefined || batch.endedAt === undefined ? {} : { errors: structuredClone(errors) }),
      progress: { ...progress },
      metadata: { ...metadata },
      createdAt: Math.floor((batch.createdAt + this.#scenario.clockSkewMs) / SECOND_MS) * SECOND_MS,
    };
  }

  #store(owner: string, content: Uint8Array, project: string, filename?: string): ServiceFile {
    const file: ServiceFile = {
      id: this.#id('file'),
      owner,
      content,
      isDeleted: false,
      createdAt: this.#world.now(),
      project,
      ...(filename === undefined ? {} : { filename }),
    };
    this.files.set(file.id, file);
    return file;
  }

  #id(prefix: string): string {
    return `${prefix}-${String(++this.#made).padStart(6, '0')}`;
  }

  #addForeign(): void {
    const random = this.#random;
    const createdAt = START_MS + random.whole(-30, 60) * HOUR_MS;
    const isOtherStack = random.chance(0.5);
    const filename = isOtherStack ? 'batchdrop-stack-1-staging-theirs-0-00000-1.jsonl' : 'theirs.jsonl';
    const project = projectOf(DEFAULT_API_KEY, 'first');
    const input = this.#store('foreign', Buffer.from('{"custom_id":"theirs"}\n'), project, filename);
    const batch: ServiceBatch = {
      id: `batch_${String(this.batches.length).padStart(4, '0')}`,
      project,
      owner: 'foreign',
      jobId: '',
      batchId: '',
      nonce: '',
      inputFileId: input.id,
      endpoint: '/v1/chat/completions',
      metadata: isOtherStack
        ? {
            batchdrop_stack: 'stack-1-staging',
            batchdrop_job: 'theirs',
            batchdrop_batch: '0-00000',
            batchdrop_nonce: `theirs-${this.batches.length}`,
          }
        : random.pick<Record<string, string>>([{}, { purpose: 'evals' }]),
      createdAt,
      status: random.pick(['validating', 'in_progress', 'completed', 'failed'] as const),
      requests: [],
      fate: 'normal',
      isStormy: false,
      isLate: false,
      steps: [],
      namedAt: 0,
      listedAt: createdAt,
      progress: { total: 1, completed: 1, failed: 0 },
      executions: [],
    };
    batch.output = this.#store('foreign', Buffer.from('{"custom_id":"theirs"}\n'), project);
    this.batches.push(batch);
    this.#places.set(batch.id, random.fraction());
  }

  #chance(probability: number): boolean {
    return this.#world.isStormy() && this.#random.chance(probability);
  }

  /** A failure of a call, if it is to fail. */
  #draw(call: string): { when: 'before' | 'after'; error: Error } | undefined {
    if (!this.#chance(this.#weather.openaiError)) return undefined;
    const status = this.#random.pick([429, 500, 502, 503, undefined]);
    this.#world.note(`error:${call} ${status ?? 'ECONNRESET'}`);
    const error =
      status === undefined
        ? new OpenAIRequestError(`${call} got no answer`, undefined, 'ECONNRESET')
        : new OpenAIRequestError(`${call} was answered ${status}`, status);
    return { when: this.#random.chance(0.5) ? 'before' : 'after', error };
  }

  /** What a call is told while something is wrong that only a person can mend; nothing is made then. */
  #refusalOf(call: string, apiKey: string, model?: string): Error | undefined {
    const { trouble, apiKeys } = this.#scenario;
    const now = this.#world.now() - START_MS;
    if (trouble?.apiKey !== apiKey || !this.#world.isStormy() || now < trouble.from || now >= trouble.until)
      return undefined;
    const { code, isOfCreatesOnly } = trouble;
    const isOfKey = code === 'api_key_missing' || code === 'invalid_api_key';
    if ((!isOfKey || isOfCreatesOnly) && call !== 'create') return undefined;
    if (code === 'model_not_found' && model !== trouble.model) return undefined;
    this.#world.note(`error:${call} ${code}`);
    if (apiKeys.length > 1) this.#world.note('fault:one API key of two is out of order');
    if (code === 'api_key_missing') return new ApiKeyMissingError('the secret is empty');
    const status = TROUBLE_STATUS[code];
    const message = `${call} was answered ${status} ${code}`;
    if (call === 'create') return new CreateRefusedError(message, status, code);
    if (call === 'read') return new KeyUnusableError(message);
    return call === 'upload'
      ? new UploadRefusedError(message, status, code)
      : new OpenAIRequestError(message, status, code);
  }

  #throwDrawn(call: string, apiKey: string): void {
    const refusal = this.#refusalOf(call, apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = this.#draw(call);
    if (failure !== undefined) throw failure.error;
  }
}

/** The project of a version of a key. */
function projectOf(apiKey: string, keyVersion: string): string {
  return `${apiKey}/${keyVersion}`;
}

function tokensOf({ requests }: ServiceBatch): number {
  return requests.reduce((sum, { tokens }) => sum + tokens, 0);
}

/** Input tokens of a request: four characters of its prompt each, as the stack's own tokenizer counts them. */
export function tokensIn(request: string): number {
  return Math.ceil((/prompt-[0-9.]+-\w+\./.exec(request)?.[0].length ?? 0) / 4);
}

/** A line that does not read as JSON counts as a request that nobody can be told apart by. */
function readRequests(content: Uint8Array): ServiceRequest[] {
  return Buffer.from(content)
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, marker = '', kind = ''] = /prompt-([0-9.]+)-(\w+)\./.exec(line) ?? [];
      const tokens = tokensIn(line);
      try {
        const { custom_id, body } = JSON.parse(line) as { custom_id: string; body: { model: string } };
        return { customId: custom_id, model: body.model, marker, kind, tokens };
      } catch {
        return { customId: '', model: '', marker, kind: 'poison', tokens };
      }
    });
}

function textOf(file: ServiceFile | undefined): string[] {
  if (file === undefined) return [];
  return Buffer.from(file.content).toString('utf8').trimEnd().split('\n');
}

async function* inPieces(content: Uint8Array, from: number, end: number): AsyncGenerator<Uint8Array> {
  const half = Math.floor((from + end) / 2);
  if (half > from) yield content.slice(from, half);
  if (end > half) yield content.slice(Math.max(from, half), end);
}

async function* breakingOff(
  content: Uint8Array,
  from: number,
  end: number,
  id: string,
): AsyncGenerator<Uint8Array> {
  yield* inPieces(content, from, end);
  throw new IncompleteDownloadError(
    `GET /files/${id}/content broke off after ${end} of ${content.length} bytes`,
  );
}
