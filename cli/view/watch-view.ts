/** One job as it is now, for a screen that is drawn again and again: its state first, at any width. */
import { type ExplainFacts, explain, type Wait } from './explain.ts';
import { commandsOf } from './explain-text.ts';
import { type JobView, jobView } from './job-view.ts';
import { describeJob, fitColumns, format } from './progress.ts';
import { count, wrapped } from './text.ts';
import { amountText } from './wait-reasons.ts';

/** What is on the screen besides the job. */
export interface WatchScreen {
  /** Of the terminal. */
  columns: number;
  rows: number;
  /** Since when it is watched, as text. */
  elapsed: string;
}

/** Fewest columns of a bar that tells something. */
const MIN_BAR = 10;
/** Lines that a screen needs for anything but reasons to wait. */
const OTHER_LINES = 6;

/**
 * The lines of the screen, each as wide as it at most, and no more than it has rows.
 * @param commandFor a command with the options that name the stack.
 */
export function watchLines(
  facts: ExplainFacts,
  { columns, rows, elapsed }: WatchScreen,
  commandFor: (command: string) => string,
): string[] {
  const view = jobView(facts.records);
  const explanation = explain(facts);
  const lines = [
    stateLine(view, elapsed),
    ...barLines(view, columns),
    facts.key,
    ...(view.jobId === undefined ? [] : [`job ${view.jobId}`]),
    ...statesLines(view, columns),
    ...waitLines(explanation.waits, columns, Math.max(1, rows - OTHER_LINES), commandFor),
  ];
  return lines.slice(0, Math.max(1, rows - 1)).map((line) => fitColumns(line, columns));
}

/** The state is the first word. */
function stateLine(view: JobView, elapsed: string): string {
  const { phase, requests } = view;
  if (phase !== 'running') return `${describeJob(view)}  ${elapsed}`;
  return `running  ${percentOf(requests)} %  ${format(requests.done)} of ${count(requests.total, 'request')}  ${elapsed}`;
}

function percentOf({ done, total }: JobView['requests']): number {
  // 100 is said of all only.
  return total === 0 ? 0 : Math.floor((100 * done) / total);
}

function barLines({ phase, requests }: JobView, columns: number): string[] {
  const width = Math.min(columns, 60) - 2;
  if (phase !== 'running' || width < MIN_BAR) return [];
  const filled = Math.floor((width * percentOf(requests)) / 100);
  return [`[${'#'.repeat(filled)}${'-'.repeat(width - filled)}]`];
}

function statesLines({ batches, states }: JobView, columns: number): string[] {
  if (batches === 0) return [];
  const inStates = [...states].map(([state, number]) => `${format(number)} ${state}`).join(', ');
  return wrapped(`${count(batches, 'batch', 'batches')}: ${inStates}`, columns);
}

/** One paragraph for each reason, what takes a person first; what does not fit is counted. */
function waitLines(
  waits: readonly Wait[],
  columns: number,
  most: number,
  commandFor: (command: string) => string,
): string[] {
  const paragraphs = waits.map((wait) => {
    const { batches, requests, text } = wait;
    const what = batches === 0 ? '' : `${amountText(batches, requests)}: `;
    return [
      ...wrapped(`- ${what}${text}`, columns, 2),
      ...commandsOf(wait).map((command) => `  $ ${commandFor(command)}`),
    ];
  });
  const shown: string[] = [];
  for (const [index, paragraph] of paragraphs.entries()) {
    const left = paragraphs.length - index;
    if (shown.length + paragraph.length > most - (left > 1 ? 1 : 0) && index > 0)
      return [...shown, `- and ${count(left, 'more reason')}: see \`explain\``];
    shown.push(...paragraph);
  }
  return shown;
}
