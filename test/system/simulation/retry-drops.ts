/** An input that an operator has dropped from the retry file of a job, as a drop like any other. */
import type { Drop, InputLine } from './drops.ts';

/** The job whose requests a key runs again, and which retry of it that is. */
export interface RetryKey {
  jobId: string;
  number: number;
}

/** `undefined`: it is no key of a retry. */
export function retryKeyOf(key: string): RetryKey | undefined {
  const [, number, jobId] = /retry-(\d+)-of-([0-9a-f]{32})\.jsonl$/.exec(key) ?? [];
  return jobId === undefined ? undefined : { jobId, number: Number(number) };
}

/**
 * @param index of the new drop.
 * @param of the drop whose lines run again.
 * @returns `undefined` if it has a line that the drop has not, or in another order.
 */
export function retryDropOf(
  key: string,
  body: Uint8Array,
  { index, of, at }: { index: number; of: Drop; at: number },
): Drop | undefined {
  const texts = Buffer.from(body).toString('utf8').split('\n').slice(0, -1);
  const lines: InputLine[] = [];
  const customIds = new Set<string>();
  let from = 0;
  for (const [place, text] of texts.entries()) {
    from = of.lines.findIndex((line, other) => other >= from && line.text === text) + 1;
    if (from === 0) return undefined;
    const line = of.lines[from - 1]!;
    // What another line had the id of is the only one with it, if that line succeeded.
    const kind = line.kind === 'duplicate' && !customIds.has(line.customId) ? 'good' : line.kind;
    if (['good', 'refused', 'poison'].includes(kind)) customIds.add(line.customId);
    lines.push({ ...line, kind, number: place + 1 });
  }
  return {
    index,
    stack: of.stack,
    retryOf: contentOf(of),
    key,
    at,
    lines,
    body,
    isGzip: false,
  };
}

/** The drop that requests come from first. */
export function contentOf({ index, sameAs, retryOf }: Drop): number {
  return retryOf ?? sameAs ?? index;
}
