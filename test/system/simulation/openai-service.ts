/**
 * OpenAI's Files and Batch API as a model: no HTTP, its time is the simulation's, and it keeps a ledger of what it has
 * executed. It follows the observed contract: what a batch goes through, what its files hold and lack, and the quirks
 * Q1 to Q20 that clients have reported (docs/reliability.md lists them). Ports get what the real adapter would give.
 */

import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { CreateRefusedError } from '../../../src/core/base/errors.ts';
import { inputFileOf } from '../../../src/core/lifecycle/ownership.ts';
import type { BatchLevelError, BatchStatus } from '../../../src/core/model/batch.ts';
import type { ByteStream } from '../../../src/core/ports/objects.ts';
import type { BatchApi, RemoteBatch, RemoteFile } from '../../../src/core/ports/provider.ts';
import { OpenAIRequestError } from '../../../src/providers/openai/request-error.ts';
import { plainCopy } from '../../support/plain-copy.ts';
import { SimulatedBackground } from './openai-background.ts';
import { SimulatedCalls } from './openai-calls.ts';
import { BATCH_ERRORS, drawFate, drawSteps } from './openai-fates.ts';
import { breakingOff, inPieces, projectOf, readRequests, tokensOf } from './openai-files.ts';
import { foreignBatch } from './openai-foreign.ts';
import { checkNotTwice } from './openai-ledger.ts';
import type { Execution, Fate, ServiceBatch, ServiceFile, ServiceWorld } from './openai-model.ts';
import { Oddities } from './openai-oddities.ts';
import { Refusals } from './openai-refusals.ts';
import { BatchResults } from './openai-results.ts';
import type { Random } from './random.ts';
import { type OpenAIScenario, type Scenario, START_MS, type Weather } from './scenario.ts';

/** What the service takes from a seed. */
export type ServiceScenario = Pick<Scenario, 'openai' | 'weather' | 'kinds' | 'restore'>;

export class SimulatedOpenAI {
  readonly batches: ServiceBatch[] = [];
  readonly files = new Map<string, ServiceFile>();
  /** Ids of batches that stand in the record of their owner, and of those that have ended there. */
  readonly recorded = new Set<string>();
  readonly ended = new Set<string>();
  /** Ids of batches whose owner has written down that they ran. */
  readonly seenRunning = new Set<string>();
  /** The endpoints that answer at once. */
  readonly calls: SimulatedCalls;
  /** Responses in the background. */
  readonly background: SimulatedBackground;
  readonly #world: ServiceWorld;
  readonly #random: Random;
  readonly #scenario: OpenAIScenario;
  readonly #weather: Weather;
  readonly #refusals: Refusals;
  readonly #results: BatchResults;
  readonly #oddities: Oddities;
  /** Where a batch stands in a list of any order. */
  readonly #places = new Map<string, number>();
  #made = 0;

  constructor(world: ServiceWorld, random: Random, scenario: ServiceScenario) {
    const { openai, weather } = scenario;
    this.#world = world;
    this.#random = random;
    this.#scenario = openai;
    this.#weather = weather;
    this.#refusals = new Refusals(world, random, openai, weather);
    this.#oddities = new Oddities(world, random.fork('oddities'), scenario);
    const service = {
      note: (what: string) => world.note(what),
      id: (prefix: string) => this.#id(prefix),
      store: (owner: string, content: Uint8Array, project: string) => this.#store(owner, content, project),
    };
    this.#results = new BatchResults(service, random, {
      scenario: openai,
      weather,
      oddities: this.#oddities,
    });
    this.calls = new SimulatedCalls(
      world,
      random.fork('calls'),
      { weather, oddities: this.#oddities },
      (marker) => this.#checkNotTwice({ id: 'a call' }, [marker]),
    );
    const fork = random.fork('background');
    this.background = new SimulatedBackground(world, fork, {
      scenario: openai,
      weather,
      refusals: new Refusals(world, fork.fork('refusals'), openai, weather),
      keyVersionOf: (apiKey) => this.#keyVersion(apiKey),
      onCreate: (marker) => this.#checkNotTwice({ id: 'the background' }, [marker]),
    });
    for (let index = 0; index < openai.foreignBatches; index++) {
      const batch = foreignBatch(random, this.batches.length, (...file) => this.#store(...file));
      this.batches.push(batch);
      this.#places.set(batch.id, random.fraction());
    }
  }

  #checkNotTwice(of: { id: string; jobId?: string }, markers: readonly string[]): void {
    this.#advance();
    const calls = [...this.calls.executions(), ...this.background.executions()];
    checkNotTwice(this.#world, { batches: this.batches, calls }, of, markers);
    for (const marker of markers) this.background.checkNotTwice(of, marker);
  }

  /** Every execution of every batch, oldest batch first. */
  executions(): Execution[] {
    this.#advance();
    return [
      ...this.batches.flatMap(({ executions }) => executions),
      ...this.calls.executions(),
      ...this.background.executions(),
    ].sort((one, other) => one.at - other.at);
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
      fileSize: async (id, keyVersion) => this.#sizeOf(apiKey, seen(id, keyVersion)),
      deleteFile: async (id, keyVersion) => this.#delete(stackId, apiKey, seen(id, keyVersion)),
      // Long after any scenario: that a model ends is not simulated.
      listModels: async () => [{ id: 'gpt-6-luna', shutdownDate: '2099-01-01' }],
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
    const refusal = this.#refusals.refusalOf('upload', apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = this.#refusals.draw('upload');
    if (failure?.when === 'before') throw failure.error;
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk.slice());
    const content = Buffer.concat(chunks);
    if (content.length !== bytes) throw new OpenAIRequestError('POST /files: wrong length');
    if (!filename.startsWith(`batchdrop-${stackId}-`)) {
      this.#world.violation(`uploaded ${filename}, which does not carry the mark of ${stackId}`);
    }
    // Not all that was sent, as seen once in a while behind proxies: only the size tells.
    const isCut = this.#refusals.chance(this.#weather.fileFault * 0.1);
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
    }: {
      inputFileId: string;
      endpoint: string;
      metadata: Record<string, string>;
      keyVersion?: string | undefined;
    },
  ): Promise<RemoteBatch> {
    const file = this.files.get(inputFileId);
    this.#checkKey(apiKey, metadata.batchdrop_job, 'a batch');
    if (file !== undefined && file.project !== projectOf(apiKey, keyVersion))
      this.#world.violation(`a batch over ${inputFileId} was made with the key of another project`);
    const [first] = file === undefined ? [] : readRequests(file.content);
    const refusal = this.#refusals.refusalOf('create', apiKey, first?.model);
    if (refusal !== undefined) throw refusal;
    if (file !== undefined && !file.isDeleted && this.#oddities.isTooYoung(file))
      throw new CreateRefusedError('POST /batches was answered 400', 400, undefined, 'file_not_ready');
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
    const uploaded = file === undefined ? [] : readRequests(file.content);
    const requests = hasFile ? uploaded : [];
    const fate: Fate = this.#refusals.chance(this.#weather.batchFate) ? drawFate(this.#random) : 'normal';
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
      uploaded,
      fate,
      isStormy,
      isLate,
      steps: drawSteps(this.#random, (what) => this.#world.note(what), now, fate),
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
    if (this.#refusals.chance(this.#weather.batchFate * 0.15)) {
      const from = now + this.#random.spread(MINUTE_MS, 6 * HOUR_MS);
      batch.vanished = { from, until: from + this.#random.spread(MINUTE_MS, 8 * HOUR_MS) };
    }
    if (this.#scenario.losesBatches && this.#refusals.chance(this.#weather.batchFate * 0.45))
      this.#loseLater(batch);
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
    this.#oddities.begun(batch);
    this.#watch(batch);
    this.batches.push(batch);
    this.#places.set(batch.id, this.#random.fraction());
    return batch;
  }

  /** Says when it has ended, if it goes as it is to go now. */
  #watch(batch: ServiceBatch): void {
    const { steps, project } = batch;
    const apiKey = project.split('/')[0]!;
    if (steps.length === 0 || !this.#world.hasWebhooks(apiKey)) return;
    for (const { at } of steps)
      this.#world.after(at - this.#world.now(), '', () => {
        this.#advance();
        const { status, endedAt } = batch;
        if (endedAt === at) this.#world.webhook(`batch.${status as 'completed'}`, batch.id, apiKey);
      });
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

  #step(batch: ServiceBatch, to: BatchStatus, at: number): void {
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
    if (to === 'failed') {
      batch.endedAt = at;
      this.#failLate(batch, at);
    } else if (to === 'completed' || to === 'expired' || to === 'cancelled') {
      batch.endedAt = at;
      this.#results.end(batch, to, at);
    }
  }

  #failLate(batch: ServiceBatch, at: number): void {
    const { lateFailure } = batch;
    this.#world.note(`failed after execution:${lateFailure}`);
    const errors = this.#oddities.lateErrors();
    if (errors !== undefined) batch.errors = errors;
    // What only its owner can know ran is accounted for in the end: see `executionsOf`.
    if (lateFailure !== 'silent') this.#results.failLate(batch, { hasFiles: lateFailure === 'files', at });
    else batch.progress = { total: 0, completed: 0, failed: 0 };
    if (lateFailure === 'counts') batch.progress.completed = batch.requests.length;
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
  #cancel(stackId: string, apiKey: string, id: string): void {
    this.#advance();
    const refusal = this.#refusals.refusalOf('cancel', apiKey);
    if (refusal !== undefined) throw refusal;
    const failure = this.#refusals.draw('cancel');
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
      this.#watch(batch);
    }
    if (failure !== undefined) throw failure.error;
  }

  #get(apiKey: string, id: string): RemoteBatch | undefined {
    this.#advance();
    this.#refusals.throwDrawn('get', apiKey);
    const batch = this.batches.find((candidate) => candidate.id === id);
    return batch === undefined || this.#isVanished(batch) ? undefined : this.#view(batch);
  }

  /**
   * Only what its owner knows of can vanish: whether a batch was made whose create was not answered, the list is the
   * only one to say, so with a list that hides it for hours nobody could ever be sure.
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
    this.#refusals.throwDrawn('list', apiKey);
    const now = this.#world.now();
    const { order, pageSize } = this.#scenario;
    const all = this.batches.filter((batch) => batch.createdAt <= now && batch.project === project);
    if (order === 'any') all.sort((a, b) => this.#places.get(a.id)! - this.#places.get(b.id)!);
    else
      all.sort((a, b) => (order === 'newest first' ? b.createdAt - a.createdAt : a.createdAt - b.createdAt));
    const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const page = all.slice(start, start + pageSize);
    const isLast = start + page.length >= all.length;
    const told = this.#oddities.page(
      all,
      { batches: page, ...(isLast ? {} : { next: page.at(-1)!.id }) },
      after,
      ({ id, owner }) => owner === 'foreign' || this.recorded.has(id),
    );
    const shown = told.batches.filter((batch) => batch.listedAt <= now && !this.#isVanished(batch));
    if (shown.length < told.batches.length) this.#world.note('fault:a batch missing from the list');
    return { ...told, batches: shown.map((batch) => this.#view(batch)) };
  }

  #listFiles(apiKey: string, project: string): { files: RemoteFile[] } {
    this.#refusals.throwDrawn('list', apiKey);
    return {
      files: [...this.files.values()]
        .filter((file) => !file.isDeleted && file.filename !== undefined && file.project === project)
        .map(({ id, filename, createdAt }) => ({ id, filename: filename!, createdAt })),
    };
  }

  #read(apiKey: string, id: string, from: number): { body: ByteStream; bytes?: number } {
    this.#advance();
    this.#refusals.throwDrawn('read', apiKey);
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
    const part = isLate ? undefined : this.#oddities.partOf(file);
    if (part !== undefined)
      return {
        body: inPieces(content, from, part.end),
        ...(part.bytes === undefined ? {} : { bytes: part.bytes }),
      };
    if (!this.#refusals.chance(this.#weather.fileFault * 0.5) || content.length === 0) {
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

  #sizeOf(apiKey: string, id: string): { bytes?: number } | undefined {
    this.#refusals.throwDrawn('size', apiKey);
    const file = this.files.get(id);
    const isLate = file?.lateUntil !== undefined && this.#world.now() < file.lateUntil;
    if (file === undefined || file.isDeleted || (isLate && file.lateLooks === 'missing')) return undefined;
    return { bytes: isLate ? 0 : file.content.length };
  }

  #delete(stackId: string, apiKey: string, id: string): void {
    this.#advance();
    this.#refusals.throwDrawn('delete', apiKey);
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
    const { id, status, inputFileId, metadata, errors } = batch;
    const progress = this.#oddities.progressOf(batch);
    const areNamed = batch.namedAt <= this.#world.now();
    return {
      id,
      status,
      inputFileId,
      ...(areNamed && batch.output !== undefined ? { outputFileId: batch.output.id } : {}),
      ...(areNamed && batch.errorFile !== undefined ? { errorFileId: batch.errorFile.id } : {}),
      ...(errors === undefined || batch.endedAt === undefined ? {} : { errors: plainCopy(errors) }),
      ...(progress === undefined ? {} : { progress }),
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
}
