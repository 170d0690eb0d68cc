/**
 * The same content again costs nothing while the job of the version before it owns it, and is run when none does. The
 * person who drops it hears of it either way.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Receipt } from '../../../../src/contract/receipt.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import type { Stack } from '../stack.ts';
import { type ExpectedJob, type Report, WORKER_MS } from './expectations.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Where those who drop hear of duplicates. */
interface Answers {
  objects: Pick<Stack['objects'], 'published'>;
  events: Pick<Stack['events'], 'sent'>;
}

/** A drop with its job in the table. */
export interface RecordedJob {
  expected: ExpectedJob;
  job: Job;
  /** It is as it was when it was forgotten. */
  isForgotten?: boolean;
}

/**
 * @param dropped everything, in the order in which it was dropped; `recorded`: what of it has a job, in the same order.
 */
export function checkDuplicates(
  { dropped, recorded }: { dropped: readonly ExpectedJob[]; recorded: readonly RecordedJob[] },
  stack: Answers,
  report: Report,
): void {
  for (const versions of Map.groupBy(recorded, ({ expected }) => expected.drop.key).values()) {
    for (const [index, version] of versions.entries()) {
      const { drop } = version.expected;
      const say: Report = (text) => report(`drop ${drop.index} (${drop.key}): ${text}`);
      const earlier = versions.slice(0, index);
      if (version.job.state === 'duplicate') checkOwned(version, earlier, stack, say);
      else {
        const ofKey = dropped.filter(({ drop: other }) => other.key === drop.key);
        checkRun(version, earlier, ofKey, say);
      }
    }
  }
}

/** It has an owner, nothing else was dropped in between, and a receipt and an event say so. */
function checkOwned(
  { expected, job }: RecordedJob,
  earlier: readonly RecordedJob[],
  stack: Answers,
  say: Report,
): void {
  const { jobId, duplicateOf, route } = job;
  const at = earlier.findIndex((other) => other.job.jobId === duplicateOf);
  const owner = earlier[at]?.job;
  if (owner === undefined || owner.state === 'duplicate' || route.sameContent === 'run') {
    say(`it is a duplicate of ${duplicateOf}, which cannot own it`);
    return;
  }
  const between = earlier.slice(at).filter(({ expected: other }) => !isSameContent(other, expected));
  if (between.length > 0)
    say(`it is a duplicate of ${duplicateOf}, and another content was dropped in between`);
  const isAnswered = job.result === 'duplicate';
  if (isAnswered && owner.result !== 'succeeded' && owner.result !== 'partial')
    say(`it is answered by ${duplicateOf}, which ended as ${owner.result}`);
  const isToRun = owner.cancelledAt === undefined || owner.duplicatesRun === true;
  if (!isAnswered && job.cancelledAt === undefined && isToRun)
    say(`it was not run, and ended as ${job.result}`);
  const [published] = stack.objects.published.get(jobId) ?? [];
  const receipt = published && (JSON.parse(Buffer.from(published.receipt).toString('utf8')) as Receipt);
  if (receipt?.duplicateOf?.jobId !== duplicateOf || receipt?.result !== job.result)
    say(
      `its receipt says ${receipt?.result} of ${receipt?.duplicateOf?.jobId}; its record ${job.result} of ${duplicateOf}`,
    );
  const results = new Set(
    stack.events.sent.filter((event) => event.jobId === jobId).map(({ result }) => result),
  );
  if (results.size === 0) say('no event says that it is a duplicate');
  if (results.size > 1) say(`its events disagree: ${[...results].join(', ')}`);
}

/**
 * It is not run while the version before it has what it asks for.
 * @param ofKey everything that was dropped there.
 */
function checkRun(
  { expected, job }: RecordedJob,
  earlier: readonly RecordedJob[],
  ofKey: readonly ExpectedJob[],
  say: Report,
): void {
  const dropBefore = ofKey[ofKey.indexOf(expected) - 1];
  const before = earlier.at(-1);
  // Without versions, what was replaced before anybody looked at it has no job.
  if (before === undefined || before.expected !== dropBefore || job.route.sameContent === 'run') return;
  if (expected.head.versionId === undefined && isOfOneSecond(before.expected, ofKey)) return;
  if (wasDestroyed(before.expected, job) || isRejectedUnseen(expected, job)) return;
  if (mayHaveWaited(before, earlier, job)) return;
  const answering = earlier.find((other) => other.job.jobId === before.job.duplicateOf);
  if (before.isForgotten === true || answering?.isForgotten === true) return;
  const owner = answering?.job ?? before.job;
  const mayOwn =
    isSameContent(before.expected, expected) &&
    owner.result === 'succeeded' &&
    // Options that differ (budgets are raised in between) make it another content.
    isDeepStrictEqual(owner.route, job.route) &&
    owner.cancelledAt === undefined &&
    Math.abs(owner.createdAt - job.createdAt) < DAY_MS &&
    owner.input.lastModified >= job.input.lastModified - DAY_MS;
  if (mayOwn) say(`it was run although job ${owner.jobId} of the version before it owns its content`);
}

/** Without versions nobody can tell which of two objects of one second was first: this one or another. */
function isOfOneSecond(before: ExpectedJob, ofKey: readonly ExpectedJob[]): boolean {
  return ofKey.some((other) => other !== before && other.head.lastModified === before.head.lastModified);
}

/**
 * When the job was recorded, the version before it may have waited itself, for a job that is a day older than this one
 * and so owns nothing of it. That it ran after all is nothing that anybody could know then.
 */
function mayHaveWaited(before: RecordedJob, earlier: readonly RecordedJob[], { createdAt }: Job): boolean {
  const others = earlier.slice(0, -1);
  const ofThisContent = others.slice(
    others.findLastIndex((one) => !isSameContent(one.expected, before.expected)) + 1,
  );
  return ofThisContent.some(({ job }) => job.result !== 'succeeded' && createdAt - job.createdAt >= DAY_MS);
}

/** S3 listed no version before it: every one had been destroyed when its job was recorded. */
function wasDestroyed({ head, destroyedAt }: ExpectedJob, job: Job): boolean {
  return head.versionId !== undefined && destroyedAt !== undefined && destroyedAt < job.createdAt + WORKER_MS;
}

/**
 * S3 let nobody look at it, so nobody could tell whether it is the same with the same options; nothing of it was run.
 */
function isRejectedUnseen({ drop }: ExpectedJob, { rejection }: Job): boolean {
  return drop.denied?.isOfHead === true && rejection?.code === 'input_unreadable';
}

function isSameContent({ drop: one }: ExpectedJob, { drop: other }: ExpectedJob): boolean {
  return (one.sameAs ?? one.index) === (other.sameAs ?? other.index);
}
