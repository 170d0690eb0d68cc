/** Progress of several jobs: redrawn in place on a terminal, plain lines elsewhere. */
import type { JobView } from '../local/local-pipeline.ts';

export interface ProgressLine {
  /** What the user calls the job. */
  name: string;
  text: string;
}

/** One sentence for how a job stands. */
export function describeJob({ job, batches }: JobView): string {
  if (job === undefined) return 'dropped';
  if (job.receiptKey !== undefined) return job.state === 'rejected' ? 'rejected' : 'done';
  if (job.state === 'ingesting') return 'checking lines';
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
  const waiting = batches.find((batch) => batch.state !== 'collected' && batch.lastError !== undefined);
  return [
    `${format(Math.min(done, requests))} of ${format(requests)} requests`,
    `${batches.length} ${batches.length === 1 ? 'batch' : 'batches'}${inStates === '' ? '' : `: ${inStates}`}`,
    ...(waiting === undefined ? [] : [`waiting (${waiting.lastError})`]),
  ].join(' · ');
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
    const width = this.#stream.columns ?? 80;
    const seconds = Math.floor((this.#now() - this.#startedAtMs) / 1000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    for (const { name, text } of lines)
      this.#stream.write(`${`${time}  ${name}  ${text}`.slice(0, width - 1)}\n`);
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

export function format(count: number): string {
  return count.toLocaleString('en-US');
}
