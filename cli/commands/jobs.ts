/** `batchdrop jobs`: live jobs from the live index, ended ones day by day from theirs. Never a scan. */
import { DAY_MS } from '../../src/contract/time.ts';
import { dayOf } from '../../src/core/model/job-end.ts';
import type { StackOptions } from '../options/stack.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { endedRow, JOB_ROW_STATES, type JobRow, jobsText, liveRow } from '../view/jobs-view.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop jobs`. */
export interface JobsOptions extends StackOptions {
  /** `live`, `ended`, or one of {@link JOB_ROW_STATES}. */
  status?: string;
  /** Name of a route. */
  route?: string;
  /** How far back, in milliseconds. */
  since: number;
  /** What keys begin with. */
  prefix?: string;
  /** Rows at most. */
  limit: number;
  json?: boolean;
}

/** Which jobs are asked for. `--state` is the folder of a local stack. */
type JobsFilter = Pick<JobsOptions, 'status' | 'route' | 'since' | 'prefix' | 'limit'>;

/** @returns the exit status: 0, also if there is no job. @throws {UsageError} for a state that there is not. */
export async function jobs(options: JobsOptions, now = Date.now()): Promise<number> {
  requireState(options.status);
  return withStores(options, async (stores) => {
    const rows = await readRows(stores, options, now);
    if (options.json) console.log(JSON.stringify(rows));
    else if (rows.length === 0)
      console.log('No such job. Ended ones are looked for as far back as --since says.');
    else console.log(jobsText(rows, now, terminalWidth(process.stdout)));
    return EXIT_SUCCEEDED;
  });
}

/**
 * Live jobs, the one dropped last first; then ended ones, the one that ended last first.
 * @param now epoch milliseconds.
 */
async function readRows(
  { jobs: records, index }: Pick<Stores, 'jobs' | 'index'>,
  filter: JobsFilter,
  now: number,
): Promise<JobRow[]> {
  const from = now - filter.since;
  const isAsked = (row: JobRow): boolean =>
    isInState(row, filter.status) &&
    (filter.route === undefined || row.route === filter.route) &&
    row.key.startsWith(filter.prefix ?? '');
  const rows: JobRow[] = [];
  if (mayBe(filter.status, 'live')) for await (const job of records.listLiveJobs()) rows.push(liveRow(job));
  const found = rows.filter(isAsked).sort((one, other) => other.droppedAt - one.droppedAt);
  if (!mayBe(filter.status, 'ended')) return found.slice(0, filter.limit);
  for (let day = Date.parse(dayOf(now)); day + DAY_MS > from; day -= DAY_MS) {
    for await (const ended of index.listEndedOn(dayOf(day))) {
      if (found.length >= filter.limit || ended.endedAt < from) return found.slice(0, filter.limit);
      const row = endedRow(ended);
      if (isAsked(row)) found.push(row);
    }
  }
  return found.slice(0, filter.limit);
}

const LIVE_STATES: ReadonlySet<string> = new Set([
  'checking',
  'unreadable',
  'running',
  'finishing',
  'waiting_for_owner',
]);

/** Whether a row of one half may be in the state that is asked for. */
function mayBe(state: string | undefined, half: 'live' | 'ended'): boolean {
  if (state === undefined || state === half) return true;
  if (state === 'live' || state === 'ended') return false;
  return LIVE_STATES.has(state) === (half === 'live');
}

function isInState({ state, isLive }: JobRow, asked: string | undefined): boolean {
  return asked === undefined || asked === state || asked === (isLive ? 'live' : 'ended');
}

function requireState(state: string | undefined): void {
  const known = ['live', 'ended', ...JOB_ROW_STATES];
  if (state === undefined || known.includes(state)) return;
  throw new UsageError(`--status ${state}: there is ${known.join(', ')}`);
}
