/** Jobs as rows: live ones from their records, ended ones from the index. */
import { formatUsd, fromUsd } from '../../src/core/base/money.ts';
import type { Job } from '../../src/core/model/job.ts';
import type { EndedJob } from '../../src/core/model/job-end.ts';
import { CANCELLED } from '../../src/core/model/outcome-codes.ts';
import { jobView } from './job-view.ts';
import { format } from './progress.ts';
import { tableLines } from './table-text.ts';
import { wrapped } from './text.ts';
import { agoText } from './time.ts';

/** States that `--status` takes, beside `live` and `ended`. */
export const JOB_ROW_STATES = [
  'waiting_for_turn',
  'checking',
  'unreadable',
  'running',
  'finishing',
  'waiting_for_owner',
  'succeeded',
  'partial',
  'failed',
  'rejected',
  'duplicate',
] as const;

/** What `--status` takes for jobs that a person has cancelled, live ones and ended ones, whatever came of them. */
export const CANCELLED_STATUS = 'cancelled';

/** One job. */
export interface JobRow {
  /** Of a live job what it does, of an ended one its result. */
  state: (typeof JOB_ROW_STATES)[number];
  isLive: boolean;
  jobId: string;
  key: string;
  versionId?: string | undefined;
  route: string;
  /** Epoch milliseconds. */
  droppedAt: number;
  endedAt?: number;
  /** When a person cancelled it. */
  cancelledAt?: number;
  /** Why a step of a live job fails, or nothing of an ended one was run: a code or our own message. */
  reason?: string;
  counts?: EndedJob['counts'];
  usd?: string;
  /** Beyond that, where OpenAI lost results. */
  possibleUsd?: string;
  tiers?: readonly string[];
}

/** Whether a person has cancelled it, or the job that it waited for. */
export function isCancelled({ cancelledAt, isLive, reason }: JobRow): boolean {
  return cancelledAt !== undefined || (!isLive && reason === CANCELLED.code);
}

/** `failed (cancelled)`: what became of it, and what a person did. */
export function stateText(row: JobRow): string {
  return isCancelled(row) ? `${row.state} (${CANCELLED_STATUS})` : row.state;
}

/** The row of a job that has not ended. */
export function liveRow(job: Job): JobRow {
  const { phase } = jobView({ job, batches: [] });
  // Its requests are done; its receipt is not there yet.
  const isLive =
    phase === 'waiting_for_turn' ||
    phase === 'checking' ||
    phase === 'unreadable' ||
    phase === 'waiting_for_owner';
  const isFinishing = job.state === 'completed' || job.state === 'rejected';
  const reason =
    job.failing?.reason ?? (isLive ? job.turn?.waitsFor : undefined) ?? job.ingest?.unreadable?.code;
  return {
    state: isFinishing ? 'finishing' : isLive ? phase : 'running',
    isLive: true,
    jobId: job.jobId,
    key: job.input.key,
    versionId: job.input.versionId,
    route: job.route.name,
    droppedAt: job.input.lastModified,
    ...(job.cancelledAt === undefined ? {} : { cancelledAt: job.cancelledAt }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** The row of a job that has ended. */
export function endedRow(ended: EndedJob): JobRow {
  const { result, jobId, key, versionId, route, droppedAt, endedAt, cancelledAt, rejection, counts, tiers } =
    ended;
  return {
    state: result,
    isLive: false,
    jobId,
    key,
    versionId,
    route,
    droppedAt,
    endedAt,
    ...(cancelledAt === undefined ? {} : { cancelledAt }),
    ...(rejection === undefined ? {} : { reason: rejection }),
    counts,
    usd: ended.usd,
    possibleUsd: ended.possibleUsd,
    tiers,
  };
}

/** The table, its state first, as wide as the terminal at most; where ids do not fit, it says how to get them, and what takes them. */
export function jobsText(rows: readonly JobRow[], now: number, width: number): string {
  const [headings = '', ...lines] = tableLines<JobRow>(
    [
      { heading: 'STATE', of: stateText },
      { heading: 'WHEN', of: ({ droppedAt, endedAt }) => agoText(endedAt ?? droppedAt, now) },
      { heading: 'KEY', of: ({ key }) => key, takesRest: true },
      { heading: 'JOB', of: ({ jobId }) => jobId },
      { heading: 'REQUESTS', of: countsText, isNumber: true },
      {
        heading: 'COST',
        of: ({ usd }) => (usd === undefined ? '' : formatUsd(fromUsd(usd)!)),
        isNumber: true,
      },
      { heading: 'ROUTE', of: ({ route }) => route },
    ],
    rows,
    width,
  );
  const note = /\bJOB\b/.test(headings)
    ? []
    : wrapped(
        'Ids and whole keys do not fit here: --json shows them, or a wider terminal. `status` takes an id or a whole key.',
        width,
      );
  return [headings, ...lines, ...note].join('\n');
}

/** `3`, `3 of 5`: those that succeeded, of all. */
function countsText({ counts }: JobRow): string {
  if (counts === undefined) return '';
  const { requests, succeeded } = counts;
  return succeeded === requests ? format(requests) : `${format(succeeded)} of ${format(requests)}`;
}
