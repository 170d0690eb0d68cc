/**
 * Every transition in every state: which are allowed, what each sets and forgets, and the diagram of them in the docs.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BATCH_TRANSITIONS, type BatchTransitionName } from '../../../../src/core/lifecycle/batch-rules.ts';
import * as batches from '../../../../src/core/lifecycle/batch-transitions.ts';
import * as jobs from '../../../../src/core/lifecycle/job-transitions.ts';
import { type Edge, edgesOf, TransitionError } from '../../../../src/core/lifecycle/transition.ts';
import {
  BATCH_STATES,
  type BatchRecord,
  type BatchState,
  GROUP_LIFETIMES,
} from '../../../../src/core/model/batch.ts';
import { JOB_STATES, type Job } from '../../../../src/core/model/job.ts';
import {
  type BatchTransition,
  changesOf,
  type JobTransition,
} from '../../../../src/core/model/transition.ts';
import { attemptOf, batchOf, endingOf, jobOf, remoteOf, resultsOf } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;
const FILE = { fileId: 'f', key: 'work/f', bytes: 1, crc32: 1, fetchedAt: NOW };
const REMOTE = {
  id: 'batch_1',
  status: 'in_progress',
  createdAt: NOW,
  inputFileId: 'file-1',
  metadata: {},
} as const;
const RECEIPT = {
  receiptKey: 'receipts/a',
  result: 'succeeded',
  cost: { usd: '0', possibleUsd: '0' },
} as const;

/** A batch that has everything. */
const full = (state: BatchState): BatchRecord =>
  batchOf('j', 0, {
    state,
    lease: { holder: 'h', until: NOW },
    admission: { reservation: 'r', sentAlone: true },
    attempt: attemptOf({ keyVersion: 'k', fileTries: 1, intentAt: NOW, fencedAt: NOW }),
    remote: remoteOf({ outputFileId: 'o', errorFileId: 'e', unreachableSince: NOW }),
    stop: { cancelRequestedAt: NOW, nextTier: 'flex' },
    ending: endingOf(),
    download: { fetched: [FILE], lateResults: 1 },
    results: resultsOf(),
    calls: { started: 1, segments: 1, done: 1 },
    wait: { failures: 1, notBefore: NOW, lastError: 'e' },
    hold: { reason: 'r', at: NOW },
    recut: { tokens: 1 },
    history: { attempts: 1, refusals: 1, resends: 1, inputUnreadableSince: NOW },
  });

/** By transition: how a step asks for it. */
const BATCH_CALLS: Record<BatchTransitionName, (batch: BatchRecord) => BatchTransition> = {
  admitted: (batch) => batches.toAdmitted(batch, 'r2', false),
  uploaded: (batch) => batches.toUploaded(batch, { nonce: 'n', inputFileId: 'f', keyVersion: undefined }),
  submitting: (batch) => batches.toSubmitting(batch, 2, NOW),
  submitted: (batch) => batches.toSubmitted(batch, REMOTE, NOW),
  sameFileAgain: (batch) => batches.toSameFileAgain(batch, 2, NOW),
  newFileAgain: (batch) => batches.toNewFileAgain(batch),
  newFileLater: (batch) => batches.toNewFileLater(batch, { lastError: 'refused' }),
  waiting: (batch) => batches.toWaiting(batch, { lastError: 'refused' }),
  ended: (batch) => batches.toEnded(batch, REMOTE, { startedAt: NOW, errors: undefined }, NOW),
  withdrawn: (batch) => batches.toWithdrawn(batch, { errors: [] }, NOW),
  called: (batch) => batches.toCalled(batch, FILE, undefined, NOW),
  lost: (batch) => batches.toLost(batch, NOW),
  unknownGivenUp: (batch) => batches.toUnknownGivenUp(batch, NOW),
  collected: (batch) => batches.toCollected(batch, { results: resultsOf() }),
  released: (batch) => batches.toReleased(batch),
  postponed: (batch) => batches.toPostponed(batch, { notBefore: NOW }),
  reasonRecorded: (batch) => batches.toReasonRecorded(batch, 'lost_batch'),
  resumed: (batch) => batches.toResumed(batch),
  tierChanged: (batch) => batches.toTier(batch, 'flex'),
  inputUnreadable: (batch) => batches.toInputUnreadable(batch, NOW),
  calling: (batch) => batches.toCalling(batch, { started: 2, segments: 1, done: 1 }),
  callsPaused: (batch) => batches.toCallsPaused(batch, undefined),
  hurried: (batch) => batches.toHurried(batch, NOW),
  fenced: (batch) => batches.toFenced(batch, NOW),
  lookUpContinued: (batch) => batches.toLookUpContinued(batch, { after: 'a', pages: 1, mark: 'a' }),
  unknown: (batch) => batches.toUnknown(batch, 'why', NOW),
  keyReplaced: (batch) => batches.toKeyReplaced(batch),
  stopping: (batch) => batches.toStopping(batch, NOW),
  seen: (batch) => batches.toSeen(batch, REMOTE, { startedAt: NOW, isStuck: false }, NOW),
  unreachable: (batch) => batches.toUnreachable(batch, NOW),
  fetching: (batch) => batches.toFetching(batch, undefined),
  fetched: (batch) => batches.toFetched(batch, [FILE]),
  resultsLate: (batch) => batches.toResultsLate(batch, undefined, 1),
  withoutFiles: (batch) => batches.toWithoutFiles(batch),
  tooLarge: (batch) => batches.toTooLarge(batch, 2),
};

const JOB_CALLS: Record<jobs.JobTransitionName, (job: Job) => JobTransition> = {
  running: (job) => jobs.toRunning(job, 'work/plan', undefined),
  rejected: (job) => jobs.toRejected(job, 'work/plan', { code: 'empty_file', message: '' }),
  duplicate: (job) => jobs.toDuplicate(job, 'owner'),
  runAfterAll: (job) => jobs.toRunAfterAll(job),
  completed: (job) => jobs.toCompleted(job, RECEIPT),
  rejectionPublished: (job) => jobs.toCompleted(job, RECEIPT),
  fateRecorded: (job) => jobs.toFateRecorded(job, 'owner', 'duplicate'),
  answered: (job) => jobs.toAnswered(job, 'owner', RECEIPT),
  released: (job) => jobs.toReleased(job),
  turnTaken: (job) => jobs.toTurn(job, { takenAt: NOW }),
  turnAwaited: (job) => jobs.toTurn(job, { since: NOW, waitsFor: 'perDay' }),
  reading: (job) => jobs.toReading(job, { starts: 1 }, false),
  readFurther: (job) => jobs.toReading(job, { starts: 1 }, true),
  readLater: (job) => jobs.toReadLater(job, { starts: 0 }),
  mergedSoFar: (job) => jobs.toMergedSoFar(job, { generation: 1, checkpointKey: 'work/c' }),
  mergeRestarted: (job) => jobs.toMergeRestarted(job),
  failed: (job) => jobs.toFailed(job, { since: NOW, tries: 1, reason: 'r', nextAt: NOW }),
  recovered: (job) => jobs.toRecovered(job),
  waitsFor: (job) => jobs.toWaitsFor(job, '0-00000'),
  cancelled: (job) => jobs.toCancelled(job, NOW, false),
  acted: (job) => jobs.toActed(job, { action: 'resume', by: 'arn:aws:iam::1:user/a', at: NOW }),
  retried: (job) => jobs.toRetried(job, 1),
  retrying: (job) =>
    jobs.toRetrying(
      job,
      { number: 1, key: 'input/a.jsonl', at: NOW },
      { action: 'retry', by: 'arn:aws:iam::1:user/a', at: NOW },
    ),
  forgetting: (job) =>
    jobs.toForgetting(job, NOW, { action: 'forget', by: 'arn:aws:iam::1:user/a', at: NOW }),
  workRemoved: (job) => jobs.toWorkRemoved(job, NOW),
};

/** The write, or that it was refused. */
function asked<Write>(ask: () => Write): Write | 'refused' {
  try {
    return ask();
  } catch (error) {
    if (error instanceof TransitionError) return 'refused';
    throw error;
  }
}

describe.each(Object.entries(BATCH_TRANSITIONS))('a batch that becomes %s', (name, rule) => {
  const {
    from,
    afterRestore = [],
    to,
    clear = [],
  } = rule as {
    from: readonly BatchState[];
    afterRestore?: readonly BatchState[];
    to?: BatchState;
    clear?: readonly string[];
  };
  const allowed = [...from, ...afterRestore];
  const ask = BATCH_CALLS[name as BatchTransitionName];

  test.each(BATCH_STATES)('from %s', (state) => {
    const batch = full(state);
    const write = asked(() => ask(batch));
    if (!allowed.includes(state)) return expect(write).toBe('refused');
    if (write === 'refused') throw new Error(`${name} is refused in ${state}`);
    expect(write).toMatchObject({ name, from: state, to: to ?? state, clear });
    const changes = changesOf(batch, write);
    const sets = new Set(Object.keys(write.set));
    // What is forgotten is gone, unless the same write sets it again; what is not named stays.
    for (const group of clear) if (!sets.has(group)) expect(changes).toHaveProperty(group, undefined);
    const named = [...clear, ...sets, ...(to === undefined || to === state ? [] : ['state'])];
    expect(Object.keys(changes).sort()).toEqual([...new Set(named)].sort());
  });

  test('sets and forgets what it says', () => {
    const { set, clear: forgotten } = ask(full(from[0]!));
    expect({ set, forgotten }).toMatchSnapshot();
  });
});

test('a batch that waits again has forgotten all that the attempt left, and nothing else', () => {
  const batch = full('ended');
  const changes = changesOf(batch, batches.toWaiting(batch, { lastError: 'refused' }));
  const after: Record<string, unknown> = { ...batch, ...changes };
  for (const [group, lifetime] of Object.entries(GROUP_LIFETIMES))
    expect([group, after[group] === undefined]).toEqual([
      group,
      lifetime === 'attempt' || group === 'lease' || group === 'hold',
    ]);
  expect(after.wait).toEqual({ lastError: 'refused' });
});

describe.each(Object.entries(jobs.JOB_TRANSITIONS))('a job that becomes %s', (name, rule) => {
  const {
    from,
    to,
    clear = [],
  } = rule as { from: readonly string[]; to?: string; clear?: readonly string[] };

  test.each(JOB_STATES)('from %s', (state) => {
    const job = jobOf('j', { state, failing: { since: NOW, tries: 1, reason: 'r', nextAt: NOW } });
    const write = asked(() => JOB_CALLS[name as jobs.JobTransitionName](job));
    // Which of the two ends it is follows from the state.
    const isOther = write !== 'refused' && write.name !== name;
    if (!from.includes(state)) return expect(isOther || write === 'refused').toBe(true);
    expect(write).toMatchObject({ name, from: state, to: to ?? state, clear });
  });
});

describe('docs/architecture.md', () => {
  const text = readFileSync(new URL('../../../../docs/architecture.md', import.meta.url), 'utf8');

  test.each([
    ['batch', edgesOf(BATCH_TRANSITIONS)],
    ['job', edgesOf(jobs.JOB_TRANSITIONS)],
  ])('draws every arrow between the states of a %s, and no other', (what, edges) => {
    const drawn = new RegExp(`<!-- states of a ${what} -->\\n+\`\`\`mermaid\\n([\\s\\S]*?)\`\`\``).exec(
      text,
    )?.[1];
    expect(drawn).toBe(
      `stateDiagram-v2\n${edges
        .filter(({ from, to }) => from !== to)
        .map(lineOf)
        .join('')}`,
    );
  });
});

function lineOf({ from, to, isAfterRestore }: Edge): string {
  return `    ${from} --> ${to}${isAfterRestore ? ': table restored' : ''}\n`;
}
