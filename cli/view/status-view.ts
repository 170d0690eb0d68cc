/** One job as it stands: its state first, then what is done, what waits, what it costs. Pure. */
import { formatUsd, fromUsd, toUsd } from '../../src/core/base/money.ts';
import type { Act } from '../../src/core/model/act.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import type { Job } from '../../src/core/model/job.ts';
import type { RetryOf } from '../../src/core/model/retry-key.ts';
import { billedOf } from '../../src/core/pricing/bill.ts';
import { type ExplainFacts, explain, type Wait } from './explain.ts';
import { isCut, type JobView, jobView } from './job-view.ts';
import { type JobRow, stateText } from './jobs-view.ts';
import { describeJob, format } from './progress.ts';
import { count, wrapped } from './text.ts';
import { agoText, timeText } from './time.ts';

/** So many other versions are shown to a person. */
const SHOWN_VERSIONS = 5;

/** What there is to say. */
export interface Status {
  key: string;
  view: JobView;
  route?: string;
  /** Epoch milliseconds. */
  droppedAt?: number;
  cancelledAt?: number;
  /** Since when it is being removed. */
  forgettingAt?: number;
  /** Requests that were sent once more, over all rounds. */
  retried: number;
  /** Of the batches that are collected so far: exact decimals in USD. */
  usd: string;
  /** The most that OpenAI may have charged beyond that. */
  possibleUsd: string;
  waits: readonly Wait[];
  receiptKey?: string;
  /** What operators did to it, oldest first. */
  acts: readonly Act[];
  /** Inputs that its retries were dropped as. */
  retries: NonNullable<Job['retries']>;
  /** Other jobs of the same key, the one that was dropped last first. */
  others: readonly JobRow[];
}

/** @param versions all jobs of the key, the one that is shown among them. */
export function statusOf(facts: ExplainFacts, versions: readonly JobRow[]): Status {
  const { records, key } = facts;
  const { job, batches } = records;
  const view = jobView(records);
  // Those of a duplicate are its owner's, and paid for there.
  const own = job?.state === 'duplicate' ? [] : batches;
  return {
    key,
    view,
    ...(job === undefined ? {} : { route: job.route.name, droppedAt: job.input.lastModified }),
    ...(job?.cancelledAt === undefined ? {} : { cancelledAt: job.cancelledAt }),
    ...(job?.forgettingAt === undefined ? {} : { forgettingAt: job.forgettingAt }),
    retried: own.reduce((sum, batch) => sum + retriedOf(batch), 0),
    ...spentOn(own),
    waits: explain(facts).waits,
    ...(job?.receiptKey === undefined ? {} : { receiptKey: job.receiptKey }),
    acts: job?.acts ?? [],
    retries: job?.retries ?? [],
    others: versions.filter(({ jobId }) => jobId !== view.jobId),
  };
}

/** What was cut was not executed: its parts are sent for the first time. */
function retriedOf(batch: BatchRecord): number {
  return isCut(batch) ? 0 : (batch.results?.outcome.retried ?? 0);
}

function spentOn(batches: readonly BatchRecord[]): Pick<Status, 'usd' | 'possibleUsd'> {
  const bills = batches.flatMap(({ results }) => results?.outcome.bill ?? []);
  return {
    usd: toUsd(bills.reduce((sum, bill) => sum + billedOf(bill), 0n)),
    possibleUsd: toUsd(bills.reduce((sum, { possibleUsd }) => sum + fromUsd(possibleUsd)!, 0n)),
  };
}

/** The same for a program. */
export function statusJson({ view, ...rest }: Status): object {
  return { v: 1, ...rest, job: viewJson(view) };
}

function viewJson({ states, owner, ...view }: JobView): object {
  return {
    ...view,
    states: Object.fromEntries(states),
    ...(owner === undefined ? {} : { owner: viewJson(owner) }),
  };
}

/** @param width columns of the terminal. @param flags the options that name the stack, for commands. */
export function statusText(status: Status, now: number, width: number, flags: string): string {
  const { key, view, route, droppedAt, cancelledAt, retried, others } = status;
  const command = (text: string): string =>
    ['batchdrop', text, flags].filter((part) => part !== '').join(' ');
  const line = (name: string, text: string): string => `  ${name.padEnd(9)} ${text}`;
  const { total, done } = view.requests;
  const lines = [
    describeJob(view),
    key,
    ...(view.jobId === undefined ? [] : [line('job', view.jobId)]),
    ...(view.retryOf === undefined ? [] : [line('retry of', retryText(view.retryOf))]),
    ...(route === undefined ? [] : [line('route', route)]),
    ...(droppedAt === undefined ? [] : [line('dropped', whenText(droppedAt, now))]),
    ...(cancelledAt === undefined ? [] : [line('cancelled', whenText(cancelledAt, now))]),
    ...(status.forgettingAt === undefined
      ? []
      : [
          line(
            'forgotten',
            `is being removed since ${whenText(status.forgettingAt, now)}; if it was cut off, repeat`,
          ),
          line('', `$ ${command(`forget ${view.jobId}`)}`),
        ]),
    ...(total === 0 ? [] : [line('requests', `${format(done)} of ${format(total)} have a result`)]),
    ...(view.batches === 0 ? [] : [line('batches', batchesText(view))]),
    ...(retried === 0 ? [] : [line('retries', `${count(retried, 'request')} sent once more`)]),
    ...(view.jobId === undefined ? [] : [line('cost', costText(status))]),
    ...status.waits.map(({ text }) => line('waits', text)),
    ...(status.waits.length === 0 ? [] : [line('', `$ ${command(`explain ${view.jobId ?? key}`)}`)]),
    ...status.acts.map((act) => line('act', actText(act, now))),
    ...status.retries.map(({ number, key: dropped, isDropping }) =>
      line(
        'retry',
        isDropping
          ? `${number}, begun and perhaps not dropped: repeat batchdrop retry with --number ${number}`
          : `${number}, dropped as ${dropped}`,
      ),
    ),
    ...others
      .slice(0, SHOWN_VERSIONS)
      .map(otherText)
      .map((text) => line('other', text)),
    ...(others.length > SHOWN_VERSIONS
      ? [line('', `and ${count(others.length - SHOWN_VERSIONS, 'more version')}: --json has all`)]
      : []),
  ];
  return lines.flatMap((text) => (text.includes(' $ ') ? [text] : wrapped(text, width, 12))).join('\n');
}

function whenText(at: number, now: number): string {
  return `${timeText(at)} (${agoText(at, now)})`;
}

function batchesText({ batches, states }: JobView): string {
  const inStates = [...states].map(([state, number]) => `${format(number)} ${state}`).join(', ');
  return `${format(batches)}: ${inStates}`;
}

function costText({ usd, possibleUsd, receiptKey }: Status): string {
  const more =
    possibleUsd === '0'
      ? ''
      : `, up to ${formatUsd(fromUsd(possibleUsd)!)} more for results that OpenAI lost`;
  return `${formatUsd(fromUsd(usd)!)}${receiptKey === undefined ? ' so far' : ''}${more}`;
}

function retryText({ jobId, number }: RetryOf): string {
  return `${jobId}, retry ${number} of what did not succeed of it`;
}

function actText({ action, by, at, reason }: Act, now: number): string {
  return `${action} by ${by}, ${whenText(at, now)}${reason === undefined ? '' : `: ${reason}`}`;
}

function otherText(row: JobRow): string {
  return `${row.jobId}  ${stateText(row)}, dropped ${timeText(row.droppedAt)}`;
}
