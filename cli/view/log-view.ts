/** Log lines of the functions, for people: sorted by time, one line an event in plain words. Pure. */
import { EVENTS, type EventRow } from '../../src/contract/events.ts';

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
  // Of an event that this version does not know, the fields cannot be told from what the logger adds.
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

/** One line: when, who, what, and the fields beside the job's id. */
export function logText({ at, service, level, message, fields }: LogLine): string {
  const shown = Object.entries(fields)
    .filter(([name]) => name !== 'jobId')
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  const warning = level === 'INFO' ? '' : `${level} `;
  const time = new Date(at).toISOString();
  return `${time}  ${service.padEnd(8)}  ${warning}${message}${shown.length === 0 ? '' : `  ${shown.join(' ')}`}`;
}
