import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { BatchStatus } from '../../../src/core/model/batch.ts';
import { textOf } from './openai-files.ts';
import type { Execution, ServiceBatch, ServiceFile, ServiceRequest } from './openai-model.ts';
import type { Oddities } from './openai-oddities.ts';
import type { Random } from './random.ts';
import { type OpenAIScenario, START_MS, type Weather } from './scenario.ts';

/** Errors of single lines that are not the lines' fault, with the status that they come with. */
const OPERATOR_ERRORS: readonly [status: number, code: string][] = [
  [429, 'insufficient_quota'],
  [400, 'billing_hard_limit_reached'],
  [401, 'invalid_api_key'],
  [404, 'model_not_found'],
];

/** What it takes from the service. */
export interface ResultsService {
  note(what: string): void;
  id(prefix: string): string;
  store(owner: string, content: Uint8Array, project: string): ServiceFile;
}

/** The lines of both files, while they are made. */
interface Lines {
  output: string[];
  errors: string[];
  /** Lines that OpenAI counts as completed although what they hold is lost. */
  lostAsCompleted: number;
}

export class BatchResults {
  readonly #service: ResultsService;
  readonly #random: Random;
  readonly #scenario: OpenAIScenario;
  readonly #weather: Weather;
  readonly #oddities: Oddities;

  constructor(
    service: ResultsService,
    random: Random,
    { scenario, weather, oddities }: { scenario: OpenAIScenario; weather: Weather; oddities: Oddities },
  ) {
    this.#service = service;
    this.#random = random;
    this.#scenario = scenario;
    this.#weather = weather;
    this.#oddities = oddities;
  }

  /** Executes what is executed, and writes the files. */
  end(batch: ServiceBatch, status: BatchStatus, at: number): void {
    const random = this.#random;
    const lineFault = batch.isStormy ? this.#weather.lineFault : 0;
    // A stuck batch has nothing to show.
    const hasNothing = batch.fate === 'stuck' || batch.isCancelledUnbegun === true;
    const executed = status === 'completed' ? 1 : hasNothing ? 0 : random.fraction();
    const isOut = this.#isOut(batch, at);
    if (isOut) this.#service.note('Q18');
    const lines: Lines = { output: [], errors: [], lostAsCompleted: 0 };
    for (const request of batch.requests) {
      const execution = recordExecution(batch, request, at, { isBilled: false, result: 'transient' });
      if (random.fraction() >= executed) {
        execution.result = 'unexecuted';
        execution.code = status === 'expired' ? 'batch_expired' : 'batch_cancelled';
        this.#service.note(`error:line ${execution.code}`);
        lines.errors.push(
          this.#line(request, { code: execution.code, message: 'This request could not be executed.' }),
        );
      } else if (isOut || batch.fate === 'all_failed') {
        this.#fail(execution, request, random.pick([429, 500, 503]), 'transient', lines.errors);
      } else this.#execute(execution, request, { status, lineFault, lines });
    }
    if (batch.requests.length > 0 && random.chance(lineFault * 0.2)) {
      this.#service.note('fault:foreign custom_id');
      lines.output.push(this.#answer({ ...batch.requests[0]!, customId: 'nobody' }, ''));
    }
    this.#count(batch, status, lines, lineFault);
    if (batch.isCancelledUnbegun) {
      // It never came to counting its requests; whether they have lines is not told.
      batch.progress = { total: 0, completed: 0, failed: 0 };
      if (random.chance(0.5)) return;
    }
    this.#writeFiles(batch, status, lines, at);
    if (batch.isStormy && random.chance(this.#weather.fileFault * 0.3)) {
      this.#service.note('Q16');
      batch.namedAt = at + random.spread(SECOND_MS, 40 * MINUTE_MS);
    }
    if (batch.isStormy && random.chance(this.#weather.batchFate * 0.3)) {
      batch.leakedUntil = at + random.spread(MINUTE_MS, 10 * HOUR_MS);
    }
    this.#oddities.ended(batch, status, at);
  }

  /**
   * Ends a batch as failed after it ran: what it answered is in its output file if it has files; all else is lost,
   * because nobody can know what of it was executed.
   */
  failLate(batch: ServiceBatch, { hasFiles, at }: { hasFiles: boolean; at: number }): void {
    const lines: Lines = { output: [], errors: [], lostAsCompleted: 0 };
    for (const request of batch.requests) {
      const execution = recordExecution(batch, request, at, { isBilled: true, result: 'lost' });
      if (!hasFiles || request.kind === 'poison' || this.#random.chance(0.4)) continue;
      if (request.kind === 'refused') {
        this.#fail(execution, request, this.#random.pick([400, 422]), 'final', lines.errors);
        execution.isBilled = false;
        continue;
      }
      execution.result = 'answered';
      lines.output.push(this.#answer(request, ''));
    }
    const answered = lines.output.length;
    batch.progress = { total: batch.requests.length, completed: answered, failed: lines.errors.length };
    this.#writeFiles(batch, 'failed', lines, at);
  }

  #isOut(batch: ServiceBatch, at: number): boolean {
    const { outage } = this.#scenario;
    return (
      outage !== undefined &&
      outage.model === batch.requests[0]?.model &&
      at >= START_MS + outage.from &&
      at < START_MS + outage.until
    );
  }

  #execute(
    execution: Execution,
    request: ServiceRequest,
    { status, lineFault, lines }: { status: BatchStatus; lineFault: number; lines: Lines },
  ): void {
    const random = this.#random;
    if (random.chance(lineFault)) {
      this.#spoil(execution, request, status, lines);
      return;
    }
    if (request.kind === 'refused') {
      this.#fail(execution, request, random.pick([400, 422]), 'final', lines.errors);
      return;
    }
    execution.isBilled = true;
    execution.result = 'answered';
    execution.line = this.#answer(request, '');
    lines.output.push(execution.line);
    if (random.chance(lineFault * 0.3)) {
      this.#service.note('Q15');
      lines.output.push(this.#answer(request, ' (again)'));
    }
  }

  #spoil(execution: Execution, request: ServiceRequest, status: BatchStatus, lines: Lines): void {
    const random = this.#random;
    const { note } = this.#service;
    const fault = random.weighted({
      transient: 4,
      operator: 4,
      zombie: 2,
      missing: 2,
      timeout: 1,
      no_response: 1,
    });
    const id = (): string => this.#service.id('batch_req');
    const { customId: custom_id } = request;
    if (fault === 'transient') {
      const statuses = [408, 408, 409, 409, 429, 500, 502, 502, 503, 504, 504];
      this.#fail(execution, request, random.pick(statuses), 'transient', lines.errors);
    } else if (fault === 'operator') {
      const [httpStatus, code] = random.pick(OPERATOR_ERRORS);
      this.#fail(execution, request, httpStatus, 'operator', lines.errors, code);
    } else if (fault === 'zombie') {
      note('Q7');
      note('error:line 0');
      lines.lostAsCompleted++;
      Object.assign(execution, { isBilled: true, result: 'lost', code: 'status_0' });
      const response = { status_code: 0, request_id: '', body: {} };
      lines.errors.push(JSON.stringify({ id: id(), custom_id, response, error: null }));
    } else if (fault === 'missing') {
      note('error:line missing');
      note(status === 'completed' ? 'Q5' : 'Q12');
      Object.assign(execution, { isBilled: true, result: 'lost' });
    } else if (fault === 'timeout') {
      note('error:line request_timeout');
      Object.assign(execution, { isBilled: true, result: 'lost', code: 'request_timeout' });
      lines.errors.push(this.#line(request, { code: 'request_timeout', message: 'Timed out.' }));
    } else {
      note('error:line no_response');
      Object.assign(execution, { isBilled: true, result: 'lost', code: 'no_response' });
      lines.errors.push(JSON.stringify({ id: id(), custom_id, response: null, error: null }));
    }
  }

  #count(batch: ServiceBatch, status: BatchStatus, lines: Lines, lineFault: number): void {
    const answered = batch.executions.filter(({ result }) => result === 'answered').length;
    const completed = answered + lines.lostAsCompleted;
    batch.progress = {
      total: batch.requests.length,
      completed,
      failed: status === 'completed' ? batch.requests.length - completed : 0,
    };
    if (batch.isStormy && this.#random.chance(lineFault * 0.3)) {
      this.#service.note('Q6');
      batch.progress = {
        ...batch.progress,
        total: batch.progress.total + 3,
        completed: batch.progress.completed + 3,
      };
    }
  }

  #writeFiles(batch: ServiceBatch, status: BatchStatus, lines: Lines, at: number): void {
    if (lines.output.length === 0 && status === 'completed') this.#service.note('Q3');
    if (lines.output.length > 0) batch.output = this.#storeResult(batch, lines.output, at);
    if (lines.errors.length > 0) batch.errorFile = this.#storeResult(batch, lines.errors, at);
    // `""` for no file is the adapter's to read; here there is none in any case.
    else if (batch.isStormy) this.#service.note('Q4');
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
  }

  #fail(
    execution: Execution,
    request: ServiceRequest,
    status: number,
    result: 'transient' | 'final' | 'operator',
    lines: string[],
    code: string | null = this.#random.pick([null, 'some_code']),
  ): void {
    this.#service.note(`error:line ${result === 'operator' ? code : status}`);
    Object.assign(execution, { result, code: code ?? `http_${status}` });
    const body = { error: { message: 'It failed.', type: 'some_type', param: null, code } };
    const response = { status_code: status, request_id: '', body };
    lines.push(
      JSON.stringify({
        id: this.#service.id('batch_req'),
        custom_id: request.customId,
        response,
        error: null,
      }),
    );
  }

  #line(request: ServiceRequest, error: { code: string; message: string }): string {
    return JSON.stringify({
      id: this.#service.id('batch_req'),
      custom_id: request.customId,
      response: null,
      error,
    });
  }

  /** An answer's line; the keys come in any order, and the text has what trips up line readers. */
  #answer(request: ServiceRequest, suffix: string): string {
    const random = this.#random;
    const odd = random.chance(0.2)
      ? random.pick(['\u2028', '\u0085', 'Ã¼', '\ufffd', '\\n', '\u{1f600}'])
      : '';
    if (odd !== '' && odd !== '\\n') this.#service.note('Q10');
    const usage = { prompt_tokens: request.tokens, completion_tokens: 5, total_tokens: request.tokens + 5 };
    const isCut = random.chance(0.05);
    const content = `answer to ${request.marker}.${odd}${suffix}`;
    const body = {
      id: this.#service.id('chatcmpl'),
      model: request.model,
      choices: [
        { index: 0, message: { role: 'assistant', content }, finish_reason: isCut ? 'length' : 'stop' },
      ],
      ...(this.#oddities.hasUsage() ? { usage } : {}),
    };
    if (isCut) this.#service.note('answer cut at the token limit');
    const response = { status_code: 200, request_id: this.#service.id('req'), body };
    const fields = Object.entries({
      id: this.#service.id('batch_req'),
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
    if (isLineFeedMissing) this.#service.note('Q20');
    const file = this.#service.store(batch.owner, Buffer.from(text), batch.project);
    file.batch = batch;
    if (batch.isStormy && random.chance(this.#weather.fileFault * 0.4)) {
      file.lateUntil = at + random.spread(SECOND_MS, 40 * MINUTE_MS);
      file.lateLooks = random.pick(['missing', 'empty']);
      // Empty where there were only errors looks like an error file of nothing: then counts do not tell either.
      this.#service.note('Q16');
    }
    if (batch.isStormy && random.chance(this.#weather.fileFault * 0.2)) {
      this.#service.note('Q9');
      file.unreadableUntil = at + random.spread(10 * MINUTE_MS, 5 * HOUR_MS);
    }
    this.#oddities.stored(file, batch, at);
    return file;
  }
}

/** Records that a request of a batch was executed. */
function recordExecution(
  batch: ServiceBatch,
  { marker, customId }: ServiceBatch['requests'][number],
  at: number,
  fate: Pick<Execution, 'isBilled' | 'result'>,
): Execution {
  const execution: Execution = { marker, customId, stackId: batch.owner, batch, at, ...fate };
  batch.executions.push(execution);
  return execution;
}
