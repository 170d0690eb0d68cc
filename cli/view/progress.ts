/** Progress of several jobs: redrawn in place on a terminal, plain lines elsewhere. */
import type { DropTurn } from '../../src/core/model/drop-turn.ts';
import type { JobView, Retry } from './job-view.ts';
import { withoutControls } from './plain.ts';
import { clockText } from './time.ts';

export interface ProgressLine {
  /** What the user calls the job. */
  name: string;
  text: string;
}

/** One sentence for how far a job is. */
export function describeJob(view: JobView): string {
  switch (view.phase) {
    case 'dropped':
      return 'dropped';
    case 'waiting_for_turn':
      return `waiting for its turn: ${describeTurn(view.turn!)}`;
    case 'checking':
      return ['checking lines', ...describeFailing(view.failing)].join(' · ');
    case 'unreadable':
      return `waiting: the file cannot be read (${view.unreadable!.reason}), tried ${times(view.unreadable!)}, next try at ${at(view.unreadable!)}`;
    case 'waiting_for_owner':
      return `not run: ${sameContent(view)}; waiting for it · ${describeJob(view.owner!)}`;
    case 'answered_by_owner':
      return `not run: ${sameContent(view)}`;
    case 'rejected':
      return describeRejected(view);
    case 'running':
      return describeRunning(view);
    case 'done':
      return 'done';
  }
}

/** The limit of its route that a file waits for, and until when, as far as that is known. */
export function describeTurn({ waitsFor, nextAt }: DropTurn): string {
  const limit = TURN_WAITS[waitsFor!];
  return nextAt === undefined ? limit : `${limit}, at ${new Date(nextAt).toISOString()} at the earliest`;
}

const TURN_WAITS: Readonly<Record<NonNullable<DropTurn['waitsFor']>, string>> = {
  perHour: 'as many files of the route started in the last hour as may',
  perDay: 'as many files of the route started today as may',
  earlierDrops: 'files that were dropped before it go first',
};

function describeRejected(view: JobView): string {
  if (view.owner !== undefined) return `cancelled: ${sameContent(view)}`;
  return view.rejection === undefined ? 'rejected' : `rejected: ${view.rejection}`;
}

function describeRunning({ requests, batches, states, waitsFor, failing }: JobView): string {
  const inStates = [...states]
    .map(([state, count]) => (batches === 1 ? state : `${count} ${state}`))
    .join(', ');
  return [
    `${format(requests.done)} of ${format(requests.total)} requests`,
    `${batches} ${batches === 1 ? 'batch' : 'batches'}${inStates === '' ? '' : `: ${inStates}`}`,
    ...(waitsFor === undefined ? [] : [`waiting (${waitsFor})`]),
    ...describeFailing(failing),
  ].join(' · ');
}

function describeFailing(failing: Retry | undefined): string[] {
  if (failing === undefined) return [];
  return [`failed ${times(failing)} (${failing.reason}), next try at ${at(failing)}`];
}

const sameContent = ({ owner }: JobView): string => `the same content as job ${owner?.jobId}`;
const times = ({ tries }: Retry): string => (tries === 1 ? 'once' : `${tries} times`);
const at = ({ nextAt }: Retry): string => new Date(nextAt).toISOString();

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
    this.#stream.write(`${withoutControls(text)}\n`);
  }

  #redraw(lines: readonly ProgressLine[]): void {
    this.#clear();
    const columns = this.#stream.columns ?? 80;
    const time = clockText(this.#now() - this.#startedAtMs);
    for (const { name, text } of lines)
      this.#stream.write(`${fitColumns(`${time}  ${name}  ${text}`, columns - 1)}\n`);
    this.#drawn = lines.length;
  }

  #append(lines: readonly ProgressLine[]): void {
    for (const { name, text } of lines) {
      if (this.#last.get(name) === text) continue;
      this.#last.set(name, text);
      this.#stream.write(`${withoutControls(`${name}  ${text}`)}\n`);
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
