/** Log lines of the functions, for people: sorted by time, one line an event in plain words. Pure. */
import { EVENTS, type EventRow } from '../../src/contract/events.ts';
import { SECOND_MS } from '../../src/contract/time.ts';

/** A log line of a function, read. */
export interface LogLine {
  /** Epoch milliseconds. */
  at: number;
  /** Of the function: `ingest`, `collect`, … */
  service: string;
  level: string;
  event: string;
  message: string;
  /** The fields of the event. */
  fields: Readonly<Record<string, unknown>>;
}

/**
 * @returns `undefined`: the line is no event, such as what the runtime itself writes.
 */
export function readLogLine(line: string): LogLine | undefined {
  let logged: Record<string, unknown>;
  try {
    logged = JSON.parse(line);
  } catch {
    return undefined;
  }
  const { event, timestamp, service, level, message } = logged;
  const at = Date.parse(String(timestamp));
  if (typeof event !== 'string' || Number.isNaN(at)) return undefined;
  // Of an event that this version does not know, the fields cannot be distinguished from what the logger adds.
  const row: EventRow | undefined = Object.hasOwn(EVENTS, event)
    ? EVENTS[event as keyof typeof EVENTS]
    : undefined;
  const names = ['jobId', ...Object.keys(row?.fields ?? {})].filter((name) => logged[name] !== undefined);
  return {
    at,
    service: String(service ?? ''),
    level: String(level ?? ''),
    event,
    message: String(message ?? ''),
    fields: Object.fromEntries(names.map((name) => [name, logged[name]])),
  };
}

/** By time; what was logged in one millisecond stays in order. */
export function sortedByTime(lines: readonly LogLine[]): LogLine[] {
  return lines.toSorted((one, other) => one.at - other.at);
}

/**
 * Lines as text, those that are equal but for their batches as one of them with their count: an event that all batches of
 * a job have at one instant, to the second, is shown once.
 */
export function logTexts(lines: readonly LogLine[]): string[] {
  const equal = new Map<string, [LogLine, ...LogLine[]]>();
  for (const line of lines) {
    const instant = Math.floor(line.at / SECOND_MS);
    const known = `${instant} ${line.event} ${logText({ ...line, at: 0 }, ['batchId'])}`;
    const others = equal.get(known);
    if (others === undefined) equal.set(known, [line]);
    else others.push(line);
  }
  return [...equal.values()].map((all) => {
    const batches = new Set(all.map(({ fields }) => fields.batchId));
    const text = logText(all[0], batches.size > 1 ? ['batchId'] : []);
    return all.length === 1 ? text : `${text}  × ${all.length}`;
  });
}

/**
 * One line: when, who, what, and the fields beside the job's id.
 *
 * @param without fields that are left out, too.
 */
export function logText(
  { at, service, level, message, fields }: LogLine,
  without: readonly string[] = [],
): string {
  const shown = Object.entries(fields)
    .filter(([name]) => name !== 'jobId' && !without.includes(name))
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  const warning = level === 'INFO' ? '' : `${level} `;
  const time = new Date(at).toISOString();
  return `${time}  ${service.padEnd(8)}  ${warning}${message}${shown.length === 0 ? '' : `  ${shown.join(' ')}`}`;
}
