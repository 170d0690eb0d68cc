/** `batchdrop jobs`: live jobs from the live index, ended ones and ignored drops day by day from theirs. Never a scan. */
import { DAY_MS } from '../../src/contract/time.ts';
import { IGNORED_DAYS, type IgnoredDrop } from '../../src/core/model/ignored-drop.ts';
import { dayOf } from '../../src/core/model/job-end.ts';
import type { StackOptions } from '../options/stack.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { ignoredDropsText } from '../view/ignored-view.ts';
import {
  CANCELLED_STATUS,
  endedRow,
  isCancelled,
  JOB_ROW_STATES,
  type JobRow,
  jobsText,
  liveRow,
} from '../view/jobs-view.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop jobs`. */
export interface JobsOptions extends StackOptions {
  /** `live`, `ended`, `cancelled`, or one of {@link JOB_ROW_STATES}. */
  status?: string;
  /** Instead of jobs, drops that are not run and that no receipt answers. */
  ignored?: boolean;
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

/** @returns the exit status: 0, also if there is none. @throws {UsageError} for a state that there is not. */
export async function jobs(options: JobsOptions, now = Date.now()): Promise<number> {
  requireState(options.status);
  if (options.ignored) return listIgnored(options, now);
  return withStores(options, async (stores) => {
    const rows = await readRows(stores, options, now);
    if (options.json) console.log(JSON.stringify(rows));
    else if (rows.length === 0)
      console.log(
        options.status === 'live'
          ? 'No live job.'
          : 'No such job. Ended ones are looked for as far back as --since says.',
      );
    else console.log(jobsText(rows, now, terminalWidth(process.stdout)));
    return EXIT_SUCCEEDED;
  });
}

async function listIgnored(options: JobsOptions, now: number): Promise<number> {
  if (options.status !== undefined)
    throw new UsageError('--status goes with jobs: a drop that is ignored has none');
  return withStores(options, async ({ ignoredDrops }) => {
    const drops = await readIgnored(ignoredDrops, options, now);
    if (options.json) console.log(JSON.stringify(drops));
    else if (drops.length === 0)
      console.log(
        `No such drop. They are kept for ${IGNORED_DAYS} days, unless the settings say \`ignoredDrops: off\`; --since says how far back to look.`,
      );
    else console.log(ignoredDropsText(drops, now, terminalWidth(process.stdout)));
    return EXIT_SUCCEEDED;
  });
}

/** Ignored drops, the one that was seen last first. One that was dropped on several days has a row for each. */
async function readIgnored(
  ignoredDrops: Stores['ignoredDrops'],
  filter: JobsFilter,
  now: number,
): Promise<IgnoredDrop[]> {
  const from = now - Math.min(filter.since, IGNORED_DAYS * DAY_MS);
  const found: IgnoredDrop[] = [];
  for (let day = Date.parse(dayOf(now)); day + DAY_MS > from && found.length < filter.limit; day -= DAY_MS) {
    const ofDay: IgnoredDrop[] = [];
    for await (const drop of ignoredDrops.listOn(dayOf(day), filter.prefix ?? '')) {
      if (drop.at < from || (filter.route !== undefined && drop.route !== filter.route)) continue;
      ofDay.push(drop);
      // A day comes in the order of keys and may have millions.
      if (ofDay.length > 2 * filter.limit) keepNewest(ofDay, filter.limit);
    }
    keepNewest(ofDay, filter.limit - found.length);
    found.push(...ofDay);
  }
  return found;
}

function keepNewest(drops: IgnoredDrop[], count: number): void {
  drops.sort((one, other) => other.at - one.at);
  drops.length = Math.min(drops.length, count);
}

/**
 * Live jobs, the one dropped last first; then ended ones, the one that ended last first.
 * @param now epoch milliseconds.
 */
async function readRows(
  { jobs: records, drops, index }: Pick<Stores, 'jobs' | 'drops' | 'index'>,
  filter: JobsFilter,
  now: number,
): Promise<JobRow[]> {
  const from = now - filter.since;
  const isAsked = (row: JobRow): boolean =>
    isInState(row, filter.status) &&
    (filter.route === undefined || row.route === filter.route) &&
    row.key.startsWith(filter.prefix ?? '');
  const rows: JobRow[] = [];
  if (mayBe(filter.status, 'live')) {
    const routes = await drops.listDropRoutes();
    for await (const job of records.listLiveJobs(routes)) rows.push(liveRow(job));
  }
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
  'waiting_for_turn',
  'checking',
  'unreadable',
  'running',
  'finishing',
  'waiting_for_owner',
]);

/** Whether a row of one half may be in the state that is asked for. */
function mayBe(state: string | undefined, half: 'live' | 'ended'): boolean {
  if (state === undefined || state === CANCELLED_STATUS || state === half) return true;
  if (state === 'live' || state === 'ended') return false;
  return LIVE_STATES.has(state) === (half === 'live');
}

function isInState(row: JobRow, asked: string | undefined): boolean {
  const { state, isLive } = row;
  if (asked === CANCELLED_STATUS) return isCancelled(row);
  return asked === undefined || asked === state || asked === (isLive ? 'live' : 'ended');
}

function requireState(state: string | undefined): void {
  const known = ['live', 'ended', CANCELLED_STATUS, ...JOB_ROW_STATES];
  if (state === undefined || known.includes(state)) return;
  throw new UsageError(`--status ${state}: there is ${known.join(', ')}`);
}
