/**
 * What must hold once everything is quiet. It shares no code with the pipeline that it checks
 * (test/unit/architecture.test.ts): from the lines that were dropped and the ledger of what OpenAI executed it follows
 * what each file must hold, byte for byte.
 */
import { isDeepStrictEqual } from 'node:util';
import type { JobCompleted } from '../../../../src/contract/messages.ts';
import type { Receipt } from '../../../../src/contract/receipt.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import type { SimulatedOpenAI } from '../openai-service.ts';
import type { Published, Stack } from '../stack.ts';
import { checkDeleted } from './deletions.ts';
import { checkDropTurns } from './drop-turns.ts';
import { checkDuplicates, type RecordedJob } from './duplicates.ts';
import { executionsOf, isLostSilently } from './executions.ts';
import {
  type Expectations,
  type ExpectedJob,
  type Report,
  type SeedStats,
  WORKER_MS,
} from './expectations.ts';
import { checkForgotten, forgottenIn } from './forgotten.ts';
import { checkJob, mayLackInput } from './job.ts';
import { checkLedgers, checkSpent } from './money.ts';
import { checkMonths } from './months.ts';
import { checkNames, jobIdOf } from './names.ts';
import { checkPauses } from './pauses.ts';
import { tokensIn } from './tokens.ts';

/** So many runs that never came back make ingest give up on a file (`MAX_STARTS`). */
const MAX_INGEST_STARTS = 4;

/** What was found of the jobs of a stack. */
interface Findings {
  /** Batches of OpenAI's that a record knows. */
  known: Set<string>;
  /**
   * Of each job, once for all drops that are one object: lines with an answer, and the input tokens of their requests.
   */
  answers: Map<string, { line: string; inputTokens: number }[]>;
  recorded: RecordedJob[];
  finished: { expected: ExpectedJob; receipt: Receipt; published: Published }[];
}

/** Reports everything that does not hold. */
export async function check(
  expectations: Expectations,
  stacks: readonly Stack[],
  openai: SimulatedOpenAI,
  report: Report,
): Promise<SeedStats> {
  const stats: SeedStats = { jobs: 0, batches: 0, rounds: 0 };
  const places = await placesOf(expectations, stacks, report);
  for (const [place, stack] of stacks.entries()) {
    const jobs = expectations.jobs.filter((expected) => places.get(expected) === place);
    await checkStack({ ...expectations, jobs }, stack, openai, { stats, report });
  }
  return stats;
}

/**
 * Which stack each drop is for. On one bucket, that is the one that has its job; it says to nobody that it is
 * another's.
 */
async function placesOf(
  { jobs, isShared }: Expectations,
  stacks: readonly Stack[],
  report: Report,
): Promise<ReadonlyMap<ExpectedJob, number>> {
  const places = new Map(jobs.map((expected) => [expected, expected.drop.stack]));
  if (!isShared) return places;
  for (const expected of jobs) {
    const jobId = jobIdOf(expected.head);
    for (const [place, stack] of stacks.entries()) {
      const { id, events } = stack;
      if ((await recordOf(stack, jobId)) === undefined) continue;
      places.set(expected, place);
      const isRefused = events.sent.some((event) => event.jobId === jobId && isOfOther(event));
      if (isRefused) report(`${id} has said that job ${jobId} is another stack's, and has run it`);
    }
    const known = await Promise.all(stacks.map((stack) => recordOf(stack, jobId)));
    const runs = known.filter((job) => job !== undefined).length;
    if (runs > 1) report(`drop ${expected.drop.index} (${expected.drop.key}) is run by ${runs} stacks`);
  }
  return places;
}

/** A job as it is, or as it was when it was forgotten. */
async function recordOf({ jobs }: Stack, jobId: string): Promise<Job | undefined> {
  return (await jobs.getJob(jobId)) ?? (await jobs.buried.get(jobId))?.[0];
}

function isOfOther({ rejection }: JobCompleted): boolean {
  return rejection?.code === 'prefix_owned';
}

async function checkStack(
  expectations: Expectations,
  stack: Stack,
  openai: SimulatedOpenAI,
  { stats, report }: { stats: SeedStats; report: Report },
): Promise<void> {
  const findings: Findings = { known: new Set(), answers: new Map(), recorded: [], finished: [] };
  for (const expected of expectations.jobs) {
    const say: Report = (text) => report(`drop ${expected.drop.index} (${expected.drop.key}): ${text}`);
    const job = await recordOf(stack, jobIdOf(expected.head));
    if (job === undefined) {
      if (!expected.calledOff) say('there is no job for it');
      continue;
    }
    findings.recorded.push({ expected, job, isForgotten: stack.jobs.buried.has(job.jobId) });
    checkSidecar(expectations, expected, job, say);
    if (job.state === 'duplicate') continue;
    const found = await checkOne({ expectations, expected, job }, stack, openai, { findings, say });
    stats.jobs++;
    stats.batches += found.batches;
    stats.rounds = Math.max(stats.rounds, found.rounds);
  }
  checkOwnership(findings.known, stack.id, openai, report);
  checkDeleted(expectations, stack, openai, report);
  checkDuplicates({ dropped: expectations.jobs, recorded: findings.recorded }, stack, report);
  await checkNames(findings, stack, report);
  // Without versions, the same file put twice in one instant is one object, and has one job.
  const receipts = new Map(findings.finished.map(({ receipt }) => [receipt.jobId, receipt]));
  const jobs = new Map(findings.recorded.map(({ job }) => [job.jobId, job]));
  await checkMonths(
    stack.index,
    { jobs: [...jobs.values()], receipts: [...receipts.values()], forgotten: forgottenIn(stack) },
    report,
  );
  await checkForgotten(stack, report);
  if (expectations.isRestored) return;
  checkDropTurns([...jobs.values()], stack.settings.routes, report);
  await checkLedgers(stack.quota, [...receipts.values()], report);
  await checkSpent(stack.quota, [...findings.answers.values()].flat(), report);
}

/** A job that is no duplicate: its batches, its files and its receipt. */
async function checkOne(
  { expectations, expected, job }: { expectations: Expectations; expected: ExpectedJob; job: Job },
  stack: Stack,
  openai: SimulatedOpenAI,
  { findings, say }: { findings: Findings; say: Report },
): Promise<{ batches: number; rounds: number }> {
  const { jobId } = job;
  const batches = (await stack.jobs.buried.get(jobId))?.[1] ?? (await stack.jobs.listBatches(jobId));
  const stats = { batches: batches.length, rounds: Math.max(0, ...batches.map(({ round }) => round + 1)) };
  for (const { remote } of batches) if (remote !== undefined) findings.known.add(remote.openaiBatchId);
  const executions = Map.groupBy(executionsOf(expected, batches, openai, say), ({ marker }) => marker);
  const answers = expected.drop.lines.flatMap(({ marker, text }) =>
    (executions.get(marker) ?? []).flatMap(({ line }) =>
      line === undefined ? [] : [{ line, inputTokens: tokensIn(text) }],
    ),
  );
  findings.answers.set(jobId, answers);
  const published = checkPublished(job, stack, mayLackInput(expected), say);
  if (published === undefined) return stats;
  const receipt = JSON.parse(Buffer.from(published.receipt).toString('utf8')) as Receipt;
  findings.finished.push({ expected, receipt, published });
  const { ingestKills, ingestErrors, interrupted } = expectations;
  const sent = openai.batches.filter((batch) => batch.jobId === jobId);
  checkJob({
    isInterrupted: interrupted.has(jobId),
    isHurried: expectations.isHurried,
    mayHaveFailed: ingestKills + ingestErrors >= MAX_INGEST_STARTS,
    isDroppedAgain: isDroppedAgain(expected, expectations.jobs),
    expected,
    job,
    batches,
    receipt,
    published,
    executions,
    sent,
    say,
  });
  const cancelledAt = job.cancelledAt ?? Number.POSITIVE_INFINITY;
  const sentLate = sent.find(({ isLate, createdAt }) => !isLate && createdAt > cancelledAt + WORKER_MS);
  if (sentLate !== undefined) say(`${sentLate.id} was made after its job had been cancelled`);
  const { times } = stack.pauses;
  checkPauses({ times, route: job.route.name, sent, executions: [...executions.values()].flat() }, say);
  if (!stack.events.sent.some((event) => event.jobId === jobId)) say('no event says that it has ended');
  return stats;
}

/** Whether the next version of its key has the same content. */
function isDroppedAgain({ drop }: ExpectedJob, jobs: readonly ExpectedJob[]): boolean {
  const ofKey = jobs.filter((other) => other.drop.key === drop.key).map((other) => other.drop);
  const next = ofKey[ofKey.indexOf(drop) + 1];
  return next !== undefined && (next.sameAs ?? next.index) === (drop.sameAs ?? drop.index);
}

/** What a stack made is in its records if it ran, and nothing of anybody else's is. */
function checkOwnership(
  known: ReadonlySet<string>,
  stackId: string,
  openai: SimulatedOpenAI,
  report: Report,
): void {
  for (const batch of openai.batches) {
    if (known.has(batch.id) && batch.owner !== stackId)
      report(`${stackId} has ${batch.id} in its records, which ${batch.owner} made`);
    const hasRun = batch.executions.length > 0 || isLostSilently(batch, openai);
    if (batch.owner === stackId && hasRun && !known.has(batch.id)) {
      report(
        `${batch.id} ran for batch ${batch.batchId} of job ${batch.jobId}, whose record does not know it`,
      );
    }
  }
}

/** Options beside a file are its own if they were there when it was put; S3 tells whole seconds. */
function checkSidecar(
  { sidecars }: Expectations,
  { head }: ExpectedJob,
  { route, rejection }: Job,
  say: Report,
): void {
  // Of what is rejected unread, options change nothing.
  if (rejection !== undefined) return;
  const sidecar = sidecars.get(`${head.bucket}/${head.key}`);
  if (sidecar === undefined || sidecar.lastModified === head.lastModified) return;
  const isOwn = sidecar.lastModified < head.lastModified;
  if (isOwn && route.maxTries !== sidecar.maxTries)
    say(`it has ${route.maxTries} tries; ${sidecar.maxTries} were asked for beside it`);
  // Where both are the same, nothing can be known.
  if (!isOwn && route.maxTries === sidecar.maxTries && sidecar.maxTries !== sidecar.routeTries)
    say(`it follows options that were put beside it ${sidecar.lastModified - head.lastModified} ms later`);
}

function checkPublished(job: Job, stack: Stack, mayLack: boolean, say: Report): Published | undefined {
  const all = stack.objects.published.get(job.jobId) ?? [];
  if (job.receiptKey === undefined || all.length === 0) {
    say(`it has no receipt; its state is ${job.state}`);
    return undefined;
  }
  const [first, ...others] = all;
  for (const other of others) {
    // The lines of an input that is gone meanwhile, or cannot be read, cannot be given back a second time.
    if (!mayLack && !isDeepStrictEqual(first!.files, other.files))
      say('published twice, with other files the second time');
  }
  return all.at(-1);
}
