/** Progress of several jobs: redrawn in place on a terminal, plain lines elsewhere. */
import type { JobView } from '../../local/stack/pipeline.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import type { Job } from '../../src/core/model/job.ts';

export interface ProgressLine {
  /** What the user calls the job. */
  name: string;
  text: string;
}

/** One sentence for how far a job is. */
export function describeJob({ job, owner, batches }: JobView): string {
  if (job === undefined) return 'dropped';
  if (job.state === 'duplicate') return describeDuplicate(job, owner, batches);
  if (job.receiptKey !== undefined) return job.state === 'rejected' ? 'rejected' : 'done';
  if (job.state === 'ingesting') {
    const { unreadable } = job.ingest ?? {};
    if (unreadable === undefined) return ['checking lines', ...failingOf(job)].join(' · ');
    return `waiting: it cannot be read (${unreadable.code}), ${unreadable.tries === 1 ? 'tried once' : `tried ${unreadable.tries} times`}, next at ${new Date(unreadable.nextAt).toISOString()}`;
  }
  if (job.state === 'rejected') return `rejected: ${job.rejection?.code}`;
  const requests = batches.filter(({ round }) => round === 0).reduce((sum, batch) => sum + batch.requests, 0);
  let done = 0;
  const states = new Map<string, number>();
  for (const batch of batches) {
    // What OpenAI says while a batch runs is for progress only; what was collected counts.
    const { outcome, progress } = batch;
    done += outcome
      ? outcome.succeeded + outcome.failed
      : (progress?.completed ?? 0) + (progress?.failed ?? 0);
    const state = batch.state === 'submitted' ? batch.status! : batch.state;
    states.set(state, (states.get(state) ?? 0) + 1);
  }
  const inStates = [...states]
    .map(([state, count]) => (batches.length === 1 ? state : `${count} ${state}`))
    .join(', ');
  const waiting = batches
    .filter(({ state }) => state !== 'collected')
    .flatMap(({ lastError, heldReason }) => lastError ?? heldReason ?? [])[0];
  return [
    `${format(Math.min(done, requests))} of ${format(requests)} requests`,
    `${batches.length} ${batches.length === 1 ? 'batch' : 'batches'}${inStates === '' ? '' : `: ${inStates}`}`,
    ...(waiting === undefined ? [] : [`waiting (${waiting})`]),
    ...failingOf(job),
  ].join(' · ');
}

/** What a step of the job itself fails over, if it does. */
function failingOf({ failing }: Job): string[] {
  if (failing === undefined) return [];
  const { tries, reason, nextAt } = failing;
  return [
    `failed ${tries === 1 ? 'once' : `${tries} times`} (${reason}), next try at ${new Date(nextAt).toISOString()}`,
  ];
}

/** The same content as another job: it is not run, and waits for that job's end. */
function describeDuplicate(job: Job, owner: Job | undefined, batches: BatchRecord[]): string {
  const ofOwner = `the same content as job ${owner?.jobId ?? job.duplicateOf}`;
  if (job.receiptKey !== undefined)
    return job.result === 'duplicate' ? `not run: ${ofOwner}` : `cancelled: ${ofOwner}`;
  return `not run: ${ofOwner}; waiting for it · ${describeJob({ job: owner, batches })}`;
}

/** Shows lines on standard error; call it as often as there may be news. */
export class ProgressDisplay {
  readonly #stream: NodeJS.WriteStream;
  readonly #startedAtMs: number;
  readonly #now: () => number;
  #drawn = 0;
  #last = new Map<string, string>();

  constructor(stream: NodeJS.WriteStream, now: () => number) {
    this.#stream = stream;
    this.#now = now;
    this.#startedAtMs = now();
  }

  show(lines: readonly ProgressLine[]): void {
    if (this.#stream.isTTY) this.#redraw(lines);
    else this.#append(lines);
  }

  /** A line above what is redrawn. */
  note(text: string): void {
    this.#clear();
    this.#stream.write(`${text}\n`);
  }

  #redraw(lines: readonly ProgressLine[]): void {
    this.#clear();
    const columns = this.#stream.columns ?? 80;
    const seconds = Math.floor((this.#now() - this.#startedAtMs) / 1000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    for (const { name, text } of lines)
      this.#stream.write(`${fitColumns(`${time}  ${name}  ${text}`, columns - 1)}\n`);
    this.#drawn = lines.length;
  }

  #append(lines: readonly ProgressLine[]): void {
    for (const { name, text } of lines) {
      if (this.#last.get(name) === text) continue;
      this.#last.set(name, text);
      this.#stream.write(`${name}  ${text}\n`);
    }
  }

  #clear(): void {
    if (this.#drawn > 0) this.#stream.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }
}

/** Takes no column of its own: combining marks, joiners, variation selectors. */
const ZERO_WIDTH = /^[\p{Mark}\p{Format}]*$/u;
/** Takes two columns: emoji, and East Asian letters (Unicode Standard Annex 11, classes W and F, by block). */
const TWO_COLUMNS =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;
const graphemes = new Intl.Segmenter();

/**
 * As much of a text as fits into so many columns of a terminal, whole characters only. A line that is longer than it
 * looks would wrap, and what is redrawn would creep down the screen; so would one with a line break in it.
 */
export function fitColumns(text: string, columns: number): string {
  let fitting = '';
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    const shown = /\p{Control}/u.test(segment) ? '?' : segment;
    used += ZERO_WIDTH.test(shown) ? 0 : TWO_COLUMNS.test(shown) ? 2 : 1;
    if (used > columns) break;
    fitting += shown;
  }
  return fitting;
}

export function format(count: number): string {
  return count.toLocaleString('en-US');
}
