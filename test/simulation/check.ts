/**
 * What must hold once everything is quiet. It shares no code with the accounting that it checks: from the lines that were
 * dropped and the ledger of what OpenAI executed it follows what each file must hold, byte for byte.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Receipt, receiptSchema } from '../../src/contract/receipt.ts';
import { jobIdOf } from '../../src/core/job-id.ts';
import { publicationName, publishedKeys } from '../../src/core/keys.ts';
import type { BatchRecord, Job, ObjectHead } from '../../src/core/model.ts';
import { checkCost, checkLedgers, checkSpent } from './money.ts';
import { tokensIn } from './openai-files.ts';
import type { Execution, ServiceBatch } from './openai-model.ts';
import type { SimulatedOpenAI } from './openai-service.ts';
import type { Drop, InputLine } from './scenario.ts';
import type { Published, Stack } from './stack.ts';

/** So many runs that never came back make ingest give up on a file (`MAX_STARTS`). */
const MAX_INGEST_STARTS = 4;

/** No call waits for much longer, whoever makes it. */
const TOO_SLOW_MS = 11 * 60_000;

const DAY_MS = 24 * 60 * 60_000;
/** OpenAI's window: what has no end by then never will. */
const WINDOW_MS = DAY_MS;

/** A worker that has looked at a job before it was cancelled has ended by then. */
const WORKER_MS = 15 * 60_000;

/** What was dropped, and what may become of it. */
export interface ExpectedJob {
  drop: Drop;
  head: ObjectHead;
  /** The object was destroyed or replaced, so that what was not sent yet may end as `object_gone`. */
  calledOff: boolean;
  /** Somebody has tried to cancel its job. */
  cancelled: boolean;
}

export interface Expectations {
  jobs: ExpectedJob[];
  /** How many runs of ingest never came back. */
  ingestKills: number;
  /** How many ended with an error; what they report of it may get lost as well. */
  ingestErrors: number;
  /** The table was restored: what was spent since is not in its sums. */
  isRestored: boolean;
  /** Jobs of which a worker was lost while it called requests one by one. */
  interrupted: Set<string>;
}

/** What a seed was made of. */
export interface SeedStats {
  jobs: number;
  batches: number;
  rounds: number;
}

type Report = (text: string) => void;

/** Reports everything that does not hold. */
export async function check(
  { jobs, ingestKills, ingestErrors, interrupted, isRestored }: Expectations,
  stacks: readonly Stack[],
  openai: SimulatedOpenAI,
  report: Report,
): Promise<SeedStats> {
  const stats: SeedStats = { jobs: 0, batches: 0, rounds: 0 };
  for (const [place, stack] of stacks.entries()) {
    const ofStack = jobs.filter(({ drop }) => drop.stack === place);
    await checkStack(
      { jobs: ofStack, ingestKills, ingestErrors, interrupted, isRestored },
      stack,
      openai,
      stats,
      report,
    );
  }
  return stats;
}

async function checkStack(
  { jobs, ingestKills, ingestErrors, interrupted, isRestored }: Expectations,
  stack: Stack,
  openai: SimulatedOpenAI,
  stats: SeedStats,
  report: Report,
): Promise<void> {
  const known = new Set<string>();
  const answers: { line: string; inputTokens: number }[] = [];
  const recorded: RecordedJob[] = [];
  const finished: { expected: ExpectedJob; receipt: Receipt; published: Published }[] = [];
  for (const expected of jobs) {
    const jobId = jobIdOf(expected.head);
    const name = `drop ${expected.drop.index} (${expected.drop.key})`;
    const say = (text: string): void => report(`${name}: ${text}`);
    const job = await stack.jobs.getJob(jobId);
    if (job === undefined) {
      if (!expected.calledOff) say('there is no job for it');
      continue;
    }
    recorded.push({ expected, job });
    if (job.state === 'duplicate') continue;
    const batches = await stack.jobs.listBatches(jobId);
    stats.jobs++;
    stats.batches += batches.length;
    stats.rounds = Math.max(stats.rounds, ...batches.map(({ round }) => round + 1));
    for (const { openaiBatchId } of batches) if (openaiBatchId !== undefined) known.add(openaiBatchId);
    const executions = Map.groupBy(executionsOf(expected, batches, openai, say), ({ marker }) => marker);
    for (const { marker, text } of expected.drop.lines)
      for (const { line } of executions.get(marker) ?? [])
        if (line !== undefined) answers.push({ line, inputTokens: tokensIn(text) });
    const published = checkPublished(job, stack, expected.calledOff, say);
    if (published === undefined) continue;
    const receipt = receiptSchema.parse(JSON.parse(Buffer.from(published.receipt).toString('utf8')));
    finished.push({ expected, receipt, published });
    const mayHaveFailed = ingestKills + ingestErrors >= MAX_INGEST_STARTS;
    const sent = openai.batches.filter((batch) => batch.jobId === jobId);
    checkJob({
      isInterrupted: interrupted.has(jobId),
      mayHaveFailed,
      expected,
      job,
      batches,
      receipt,
      published,
      executions,
      sent,
      say,
    });
    const sentLate = openai.batches.find(
      (batch) =>
        batch.jobId === jobId &&
        !batch.isLate &&
        batch.createdAt > (job.cancelledAt ?? Number.POSITIVE_INFINITY) + WORKER_MS,
    );
    if (sentLate !== undefined) say(`${sentLate.id} was made after its job had been cancelled`);
    if (!stack.events.sent.some((event) => event.jobId === jobId)) say('nobody was told that it has ended');
  }
  for (const batch of openai.batches) {
    if (known.has(batch.id) && batch.owner !== stack.id)
      report(`${stack.id} has ${batch.id} in its records, which ${batch.owner} made`);
    const hasRun = batch.executions.length > 0 || isLostSilently(batch, openai);
    if (batch.owner === stack.id && hasRun && !known.has(batch.id)) {
      report(
        `${batch.id} ran for batch ${batch.batchId} of job ${batch.jobId}, whose record does not know it`,
      );
    }
  }
  checkDuplicates(recorded, report);
  await checkNames(finished, stack, report);
  if (isRestored) return;
  // Without versions, the same file put twice in one instant is one object, and has one job.
  const receipts = new Map(finished.map(({ receipt }) => [receipt.jobId, receipt]));
  await checkLedgers(stack.quota, [...receipts.values()], report);
  await checkSpent(stack.quota, answers, report);
}

/** What became of each request of a job in each batch, as far as anybody can know: of a lost batch, nothing. */
function executionsOf(
  { drop, head }: ExpectedJob,
  batches: readonly BatchRecord[],
  openai: SimulatedOpenAI,
  say: Report,
): Execution[] {
  const lostAt = new Map(batches.map((batch) => [batch.openaiBatchId, batch.lostAt]));
  const refused = new Set(
    batches.flatMap(({ status, openaiBatchId }) => (status === 'failed' ? [openaiBatchId] : [])),
  );
  const jobId = jobIdOf(head);
  const markers = new Set(drop.lines.map(({ marker }) => marker));
  // Brings every batch to where it is by now.
  const calls = openai
    .executions()
    .filter((one) => markers.has(one.marker) && !one.batch.id.startsWith('batch_'));
  return openai.batches
    .filter((batch) => batch.jobId === jobId)
    .flatMap((batch) => {
      const givenUpAt = lostAt.get(batch.id);
      if (givenUpAt === undefined)
        return isLostSilently(batch, openai) ? lostExecutions(batch, batch.endedAt!) : batch.executions;
      if (!batch.isGone) say(`${batch.id} was given up as lost, and it is there`);
      if (givenUpAt < batch.createdAt + WINDOW_MS) say(`${batch.id} was given up before it must have ended`);
      // It was refused before it was lost, and its owner had seen that: nothing of it ever ran.
      if (refused.has(batch.id)) return [];
      return lostExecutions(batch, givenUpAt, 'lost_batch');
    })
    .concat(calls)
    .sort((one, other) => one.at - other.at);
}

/** It failed with nothing to show, after its owner had written down that it ran. */
function isLostSilently({ id, status, lateFailure }: ServiceBatch, openai: SimulatedOpenAI): boolean {
  return status === 'failed' && lateFailure === 'silent' && openai.seenRunning.has(id);
}

/** Everything in a batch may have been executed, and nobody can have its answers. */
function lostExecutions(batch: ServiceBatch, at: number, code?: string): Execution[] {
  return batch.requests.map(({ marker, customId }) => ({
    marker,
    customId,
    stackId: batch.owner,
    batch,
    at,
    isBilled: true,
    result: 'lost',
    ...(code === undefined ? {} : { code }),
  }));
}

interface RecordedJob {
  expected: ExpectedJob;
  job: Job;
}

/** The same content again costs nothing while a job stands for it, and is run when none does. */
function checkDuplicates(recorded: readonly RecordedJob[], report: Report): void {
  const byContent = Map.groupBy(recorded, ({ expected: { drop } }) => drop.sameAs ?? drop.index);
  for (const same of byContent.values()) {
    for (const { expected, job } of same) {
      const name = `drop ${expected.drop.index} (${expected.drop.key})`;
      if (job.state === 'duplicate') {
        const original = same.find((other) => other.job.jobId === job.duplicateOf)?.job;
        if (original === undefined || original.state === 'duplicate' || job.route.sameContent === 'run')
          report(`${name} is recorded as a duplicate of ${job.duplicateOf}, which does not stand for it`);
        continue;
      }
      const standing = same.find(
        ({ job: other }) =>
          other.jobId !== job.jobId &&
          other.result === 'succeeded' &&
          // Options that differ (budgets are raised in between) make it another content.
          isDeepStrictEqual(other.route, job.route) &&
          other.cancelledAt === undefined &&
          other.createdAt <= job.createdAt &&
          other.createdAt >= job.createdAt - DAY_MS,
      );
      if (standing !== undefined && job.route.sameContent === 'skip')
        report(`${name} was run although drop ${standing.expected.drop.index} stands for its content`);
    }
  }
}

function checkPublished(job: Job, stack: Stack, calledOff: boolean, say: Report): Published | undefined {
  const all = stack.objects.published.get(job.jobId) ?? [];
  if (job.receiptKey === undefined || all.length === 0) {
    say(`it has no receipt; its state is ${job.state}`);
    return undefined;
  }
  const [first, ...others] = all;
  for (const other of others) {
    // The lines of an input that is gone meanwhile cannot be given back a second time.
    if (!calledOff && !isDeepStrictEqual(first!.files, other.files))
      say('published twice, with other files the second time');
  }
  return all.at(-1);
}

interface JobFindings {
  /** Whether some tries are counted that the ledger does not have: of calls that may have been made, and were not. */
  isInterrupted: boolean;
  /** Whether ingest may have given up on a file that can be read. */
  mayHaveFailed: boolean;
  expected: ExpectedJob;
  job: Job;
  batches: BatchRecord[];
  receipt: Receipt;
  published: Published;
  executions: Map<string, Execution[]>;
  /** Its batches at OpenAI, oldest first. */
  sent: readonly ServiceBatch[];
  say: Report;
}

/** What a line must have become. */
type Outcome = { output: string } | { errors: { codes: readonly string[]; rounds?: number } };

function checkJob(findings: JobFindings): void {
  const { mayHaveFailed, expected, receipt, published, executions, job, say } = findings;
  const { lines } = expected.drop;
  const { counts } = receipt;
  const text = (name: string): string => Buffer.from(published.files.get(name) ?? '').toString('utf8');
  if (counts.succeeded + counts.failed + counts.invalid !== counts.requests) say('its counts do not add up');
  const isGone = receipt.rejection?.code === 'object_gone';
  if (isGone && !expected.calledOff) say('rejected as gone, and it was not');
  const isGivenUp = receipt.rejection?.code === 'ingest_failed';
  if (isGivenUp && !mayHaveFailed) say('given up, although ingest has not failed that often');
  const invalid = lines.filter(isInvalid);
  const isRejected =
    isGone ||
    isGivenUp ||
    invalid.length === lines.length ||
    (invalid.length > 0 && job.route.onInvalid === 'reject');
  if (isRejected !== (receipt.result === 'rejected')) say(`its result is ${receipt.result}`);
  if (isRejected) {
    if (lines.some(({ marker }) => executions.has(marker))) say('rejected, and yet some of it was executed');
    if (isGone || isGivenUp) return;
    if (counts.requests !== lines.length || counts.invalid !== lines.length)
      say('rejected, with wrong counts');
    checkErrors(
      invalid.map((line): [InputLine, Outcome] => [line, outcomeOf(line, findings)]),
      text('errors'),
      expected.calledOff,
      say,
    );
    return;
  }
  const outcomes = lines.map((line): [InputLine, Outcome] => [line, outcomeOf(line, findings)]);
  const answers = outcomes.flatMap(([, outcome]) => ('output' in outcome ? [outcome.output] : []));
  const failures = outcomes.filter(([, outcome]) => 'errors' in outcome);
  const output = answers.map((line) => `${line}\n`).join('');
  if (text('output') !== output)
    say(`its output is not what OpenAI gave: ${difference(text('output'), output)}`);
  checkErrors(failures, text('errors'), expected.calledOff, say);
  const retry = failures.map(([line]) => `${line.text}\n`).join('');
  if (text('retry') !== retry && !(expected.calledOff && retry.includes(text('retry')))) {
    say(`its retry file is not the lines that failed: ${difference(text('retry'), retry)}`);
  }
  checkBilledTwice(findings);
  checkReceipt(receipt, text('output'), text('errors'), lines.length, invalid.length, say);
  checkCost(receipt, text('output'), say);
}

function isInvalid({ kind }: InputLine): boolean {
  return !['good', 'refused', 'poison'].includes(kind);
}

const INVALID_CODES: Readonly<Record<string, string>> = {
  broken: 'invalid_json_line',
  duplicate: 'duplicate_custom_id',
  wrong_method: 'invalid_value',
  wrong_url: 'invalid_url',
};

function outcomeOf(line: InputLine, findings: JobFindings): Outcome {
  const outcome = strictOutcomeOf(line, findings);
  if (!findings.isInterrupted || 'output' in outcome || isInvalid(line)) return outcome;
  // Its tries may have come in another order than they were counted in.
  const seen = (findings.executions.get(line.marker) ?? []).flatMap(({ code }) => code ?? []);
  return { errors: { codes: [...outcome.errors.codes, ...seen, 'no_response', 'request_timeout'] } };
}

function strictOutcomeOf(
  line: InputLine,
  { isInterrupted, expected, job, batches, executions, say }: JobFindings,
): Outcome {
  const runs = executions.get(line.marker) ?? [];
  if (isInvalid(line)) {
    if (runs.length > 0) say(`line ${line.number} is invalid and was executed`);
    return { errors: { codes: [INVALID_CODES[line.kind]!], rounds: 0 } };
  }
  const answered = runs.find(({ result }) => result === 'answered');
  // The endpoints that answer at once never hear of a custom_id.
  if (answered !== undefined)
    return {
      output: answered.line!.replace('"custom_id":""', () => `"custom_id":${JSON.stringify(line.customId)}`),
    };
  const leftByLadder = new Set(
    batches.flatMap(({ goTo, openaiBatchId }) => (goTo === undefined ? [] : [openaiBatchId])),
  );
  const counted = runs.filter(
    (run) => usesUpATry(run) && !(run.result === 'unexecuted' && leftByLadder.has(run.batch.id)),
  );
  const rounds = counted.length;
  const last = runs.at(-1);
  // A model that is slower than a worker lives is not asked twice in the last tier.
  const isTooSlow = (last?.waitedMs ?? 0) >= TOO_SLOW_MS;
  if (last?.result === 'final') return { errors: { codes: [last.code!], rounds } };
  const { maxRounds, maxRoundsByCause } = job.route;
  const isAtMost = (cause: Execution['result'], most: number | undefined): boolean =>
    most !== undefined && counted.filter((run) => causeOf(run) === cause).length >= most;
  const isExhausted =
    rounds >= maxRounds ||
    isAtMost('unexecuted', maxRoundsByCause.unexecuted) ||
    isAtMost('transient', maxRoundsByCause.transient) ||
    isAtMost('lost', maxRoundsByCause.lost);
  const lastCodes = [last?.code ?? 'missing_from_results', ...(isTooSlow ? ['answer_too_slow'] : [])];
  if (isExhausted) return { errors: { codes: lastCodes, rounds } };
  // It could have been tried again: there must be a reason why it was not.
  const codes: string[] = isTooSlow ? ['answer_too_slow'] : [];
  if (job.cancelledAt !== undefined) {
    codes.push('cancelled');
    if (last !== undefined) codes.push(last.code ?? 'missing_from_results');
  }
  if (line.kind === 'poison') codes.push('invalid_request');
  if (expected.calledOff) codes.push('object_gone');
  if (mayRefuse(job)) codes.push('budget_exceeded');
  if (isInterrupted) codes.push('no_response');
  if (codes.length === 0) {
    const history = runs.map(({ batch, result, code }) => `${batch.id} ${result} ${code ?? ''}`).join(', ');
    say(
      `line ${line.number} could have been answered, was executed ${rounds} times (${history}), and was given up`,
    );
  }
  return { errors: { codes, rounds } };
}

/** Whether what is over the budget of the job's route ends. */
function mayRefuse({ route }: Job): boolean {
  return route.budget !== 'unlimited' && route.overBudget === 'refuse';
}

function causeOf({ result }: Execution): Execution['result'] {
  return result === 'operator' ? 'transient' : result;
}

/** What only an operator can set right is not the request's fault; nor is a model unknown that answers others. */
function usesUpATry({ result, code, batch }: Execution): boolean {
  if (result !== 'operator') return true;
  return code === 'model_not_found' && batch.executions.some((other) => other.result === 'answered');
}

function checkErrors(expected: [InputLine, Outcome][], text: string, calledOff: boolean, say: Report): void {
  const lines = text === '' ? [] : text.trimEnd().split('\n');
  if (lines.length !== expected.length) {
    say(`its errors file has ${lines.length} lines, ${expected.length} were expected`);
    return;
  }
  for (const [index, [line, outcome]] of expected.entries()) {
    const found = JSON.parse(lines[index]!) as {
      line: number;
      custom_id: string | null;
      rounds: number;
      error: { code: string } | null;
      response: { status_code: number; body?: { error?: { code?: string | null } } } | null;
    };
    if (found.line !== line.number) {
      say(`its errors file has line ${found.line} where ${line.number} was expected`);
      return;
    }
    if (!('errors' in outcome)) continue;
    const { codes, rounds } = outcome.errors;
    const code = codeOf(found);
    if (!codes.includes(code))
      say(`line ${line.number} failed with ${code}; ${codes.join(' or ')} was expected`);
    if (rounds !== undefined && found.rounds !== rounds) {
      say(`line ${line.number} says ${found.rounds} rounds, and was executed ${rounds} times`);
    }
    const isNamed = found.custom_id === line.customId;
    // Names are read from the input: there is none to read from once it is gone.
    if (!isNamed && !isInvalid(line) && !(calledOff && found.custom_id === null))
      say(`line ${line.number} names ${found.custom_id}`);
  }
}

function codeOf(line: {
  error: { code: string } | null;
  response: { status_code: number; body?: { error?: { code?: string | null } } } | null;
}): string {
  if (line.error !== null) return line.error.code;
  if (line.response === null) return 'no_response';
  const { status_code: status, body } = line.response;
  return body?.error?.code ?? (status === 0 ? 'status_0' : `http_${status}`);
}

/** What was run again although OpenAI may have charged the try that it lost: each one, and nothing else. */
function checkBilledTwice({
  isInterrupted,
  expected,
  job,
  receipt,
  executions,
  sent,
  say,
}: JobFindings): void {
  const mayStop = expected.calledOff || expected.cancelled || mayRefuse(job);
  /** @param withLast whether a try counts after which there was no other. */
  const lostTries = (withLast: boolean): Record<string, number> => {
    const codes: Record<string, number> = {};
    for (const { marker } of expected.drop.lines) {
      const runs = executions.get(marker) ?? [];
      const lost = runs.filter(
        (run, index) =>
          run.result === 'lost' && (withLast || index < runs.length - 1 || wentOutAgain(marker, run, sent)),
      );
      for (const { code = 'missing_from_results' } of lost) codes[code] = (codes[code] ?? 0) + 1;
    }
    return codes;
  };
  const told = { ...receipt.possiblyBilledTwice };
  const again = lostTries(false);
  // What was to run again, and was called off before it did, may be among them.
  const most = lostTries(mayStop || isInterrupted);
  if (isInterrupted) {
    // What had not left when its caller was killed counts as well: nobody can tell it from what had.
    const unanswered = (codes: Record<string, number>): number =>
      (codes.no_response ?? 0) + (codes.request_timeout ?? 0);
    if (!mayStop && unanswered(told) < unanswered(again))
      say(
        `its receipt has possiblyBilledTwice ${JSON.stringify(told)}, fewer than the ledger: ${JSON.stringify(again)}`,
      );
    for (const codes of [told, again, most]) {
      delete codes.no_response;
      delete codes.request_timeout;
    }
  }
  const isAtMost = (one: Record<string, number>, other: Record<string, number>): boolean =>
    Object.entries(one).every(([code, count]) => count <= (other[code] ?? 0));
  if (isAtMost(told, most) && (mayStop || isAtMost(again, told))) return;
  say(`its receipt has possiblyBilledTwice ${JSON.stringify(told)}; the ledger has ${JSON.stringify(again)}`);
}

/** In a batch that was refused, say: then nothing of it was executed. */
function wentOutAgain(marker: string, run: Execution, sent: readonly ServiceBatch[]): boolean {
  const first = sent.findIndex(({ id }) => id === run.batch.id);
  // What was called alone never goes back to a batch.
  if (first === -1) return false;
  return sent.some(({ requests }, index) => index > first && requests.some((one) => one.marker === marker));
}

/** The receipt against a recount of the files that it stands for. */
function checkReceipt(
  receipt: Receipt,
  output: string,
  errors: string,
  requests: number,
  invalid: number,
  say: Report,
): void {
  const answers = linesOf(output) as {
    response: {
      body: {
        usage?: { prompt_tokens: number; completion_tokens: number };
        choices: { finish_reason: string }[];
      };
    };
  }[];
  const failures = linesOf(errors) as Parameters<typeof codeOf>[0][];
  const counts = { requests, succeeded: answers.length, failed: failures.length - invalid, invalid };
  if (!isDeepStrictEqual({ ...receipt.counts }, counts)) {
    say(`its receipt counts ${JSON.stringify(receipt.counts)}, its files ${JSON.stringify(counts)}`);
  }
  const byCode: Record<string, number> = {};
  for (const code of failures.map(codeOf)) byCode[code] = (byCode[code] ?? 0) + 1;
  if (!isDeepStrictEqual({ ...receipt.errorsByCode }, byCode)) {
    say(`its receipt has errors ${JSON.stringify(receipt.errorsByCode)}, its file ${JSON.stringify(byCode)}`);
  }
  const inputTokens = answers.reduce(
    (sum, { response }) => sum + (response.body.usage?.prompt_tokens ?? 0),
    0,
  );
  const outputTokens = answers.reduce(
    (sum, { response }) => sum + (response.body.usage?.completion_tokens ?? 0),
    0,
  );
  const { usage } = receipt;
  if (usage.inputTokens !== inputTokens || usage.outputTokens !== outputTokens) {
    say(
      `its receipt has ${usage.inputTokens} and ${usage.outputTokens} tokens, its output ${inputTokens} and ${outputTokens}`,
    );
  }
  const incomplete = answers.filter(
    ({ response }) => response.body.choices[0]!.finish_reason === 'length',
  ).length;
  if (receipt.incomplete !== incomplete)
    say(`its receipt has ${receipt.incomplete} cut answers, its output ${incomplete}`);
  const succeeded = receipt.batches.reduce((sum, batch) => sum + batch.succeeded, 0);
  const failed = receipt.batches.reduce((sum, batch) => sum + batch.failed, 0);
  if (succeeded !== counts.succeeded || failed !== counts.failed)
    say('the batches of its receipt do not add up to it');
}

function linesOf(text: string): unknown[] {
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
}

/** The plain names belong to the newest version, whole: its files stand there, and none of an older one. */
async function checkNames(
  finished: { expected: ExpectedJob; receipt: Receipt; published: Published }[],
  stack: Stack,
  report: Report,
): Promise<void> {
  const layout = stack.layout;
  const byName = Map.groupBy(finished, ({ expected }) => publicationName(layout, expected.drop.key));
  for (const [name, versions] of byName) {
    const newest = versions.reduce((one, other) =>
      orderOf(other.expected) > orderOf(one.expected) ? other : one,
    );
    const keys = publishedKeys(layout, newest.expected.drop.key);
    const receipt = await stack.objects.get(keys.receipt);
    const jobId =
      receipt === undefined
        ? undefined
        : (JSON.parse(Buffer.from(receipt).toString('utf8')) as Receipt).jobId;
    if (jobId !== newest.receipt.jobId) {
      report(`${keys.receipt} is of job ${jobId}; ${newest.receipt.jobId} is the newest version of ${name}`);
      continue;
    }
    for (const file of ['output', 'errors', 'retry'] as const) {
      const standing = await stack.objects.get(keys[file]);
      const published = newest.published.files.get(file);
      if (!Buffer.from(standing ?? '').equals(Buffer.from(published ?? ''))) {
        report(`${keys[file]} is not what the receipt beside it was written for`);
      }
    }
  }
}

function orderOf({ head }: ExpectedJob): string {
  return `${String(head.lastModified).padStart(15, '0')}#${head.versionId ?? head.etag}`;
}

function difference(found: string, wanted: string): string {
  const [have, want] = [found.split('\n'), wanted.split('\n')];
  const at = have.findIndex((line, index) => line !== want[index]);
  return `line ${at + 1} is ${have[at]?.slice(0, 160) ?? 'missing'}; expected ${want[at]?.slice(0, 160) ?? 'nothing'}`;
}
