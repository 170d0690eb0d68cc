/**
 * What a running local stack says of its work: one line for what a person would ask about. Made from the log lines of
 * the functions, which are events of `src/contract/events.ts`.
 */
import type { StateChange } from '../../local/services/cloudwatch/alarm-rule.ts';
import { EVENTS, type EventName } from '../../src/contract/events.ts';
import { type Layout, prefixesOf } from '../../src/contract/layout.ts';
import { UNANSWERED } from '../../src/contract/messages.ts';
import { RESERVED_PREFIX } from '../../src/contract/prefix-owners.ts';
import type { Settings } from '../../src/contract/settings.ts';
import { ignoredText } from '../../src/core/model/ignored-drop.ts';
import { count } from './text.ts';

/** A log line of a function, read. */
interface LoggedEvent {
  event: EventName;
  jobId?: string;
  key?: string;
  [field: string]: unknown;
}

/** Says what the log lines mean; knows the keys of the jobs, and what it said last of each. */
export interface Narrator {
  /** @returns nothing for a line that is not news. */
  read(line: string): string | undefined;
}

/** Makes a narrator. */
export function createNarrator(): Narrator {
  const keys = new Map<string, string>();
  const said = new Map<string, string>();
  return {
    read(line) {
      const logged = readEvent(line);
      if (logged === undefined) return undefined;
      const { jobId, key } = logged;
      if (jobId !== undefined && key !== undefined) keys.set(jobId, key);
      const nameOf = (id: unknown): string => keys.get(String(id)) ?? `job ${id}`;
      const text = describeEvent(logged);
      if (text === undefined) return undefined;
      const subject = subjectOf(logged, nameOf);
      const whole = subject === '' ? text : `${subject}  ${text}`;
      // What repeats with each poll is news once.
      if (said.get(subject) === text) return undefined;
      said.set(subject, text);
      return whole;
    },
  };
}

function readEvent(line: string): LoggedEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const logged = JSON.parse(line) as LoggedEvent;
    return Object.hasOwn(EVENTS, logged.event) ? logged : undefined;
  } catch {
    return undefined;
  }
}

/** What a line is about: a file, a suspended scope, or nothing in particular. */
function subjectOf({ key, jobId, scope }: LoggedEvent, nameOf: (id: unknown) => string): string {
  if (key !== undefined) return key;
  if (scope !== undefined) return String(scope);
  return jobId === undefined ? '' : nameOf(jobId);
}

type Describe = (logged: LoggedEvent) => string | undefined;

/** @returns nothing for options: they are read with their file. */
function describeIgnored({ why, route }: LoggedEvent): string | undefined {
  if (why === 'folder') return FOLDER;
  const reason = UNANSWERED.find((one) => one === why);
  return reason === undefined
    ? undefined
    : ignoredText(reason, route === undefined ? undefined : String(route));
}

const FOLDER = 'ignored: it only marks a folder';

const WAITS: Readonly<Record<string, string>> = {
  tokens: 'for room in the batch queue (enqueued tokens)',
  turns: 'for their turn',
  budget: 'for the budget',
  operator: 'for a person: a key or a model is suspended',
  time: 'for their next try',
  release: 'for a release of what was held',
  paused: 'for the end of a pause (`batchdrop unpause`)',
};

/** Text for each event. Other events print their message from events.ts if they are warnings, else nothing. */
const TEXTS: Readonly<Partial<Record<EventName, Describe>>> = {
  'job.recorded': ({ route, bytes }) => `began (route ${route}, ${count(Number(bytes), 'byte')})`,
  'job.planned': ({ requests, invalid, batches }) =>
    `${count(Number(requests) - Number(invalid), 'request')} in ${count(Number(batches), 'batch', 'batches')}` +
    (Number(invalid) > 0 ? `; ${count(Number(invalid), 'line')} cannot be sent` : ''),
  'job.rejected': ({ code }) => `rejected (${code}): nothing of it is sent; its receipt says why`,
  'job.completed': ({ result, requests, succeeded, failed, invalid }) =>
    result === 'rejected'
      ? 'ended: rejected, see its receipt'
      : `ended, ${result}: ${numbers(succeeded)} of ${count(Number(requests), 'request')} succeeded` +
        (Number(failed) > 0 ? `, ${numbers(failed)} failed` : '') +
        (Number(invalid) > 0 ? `, ${count(Number(invalid), 'line')} invalid` : ''),
  'job.cancelled': () => 'cancelled: nothing more of it is sent, and what is finished is kept',
  'object.ignored': describeIgnored,
  'marker.ignored': () => FOLDER,
  'duplicate.detected': () =>
    'waits: an earlier drop of the same content is run already, and its results answer both',
  'duplicate.answered': () => 'ended: answered by the results of the earlier drop',
  'input.declined': ({ reason }) => `not run: ${reason}`,
  'drop.deferred': ({ route, waitsFor, nextAt }) =>
    `waits for its turn: route ${route} lets no more files start (${waitsFor})${nextAt === undefined ? '' : `; at ${nextAt} at the earliest`}`,
  'drops.started': ({ route, drops }) =>
    `${count(Number(drops), 'file')} of route ${route} that waited ${Number(drops) === 1 ? 'is' : 'are'} started`,
  'input.withheld': ({ code, nextAt }) => `waits: S3 does not give the file (${code}); next try at ${nextAt}`,
  'dispatch.completed': ({ waitingFor }) => describeWaiting(waitingFor),
  'suspension.started': ({ code }) => `suspended (${code}): its batches wait until a person has fixed this`,
  'suspension.continued': ({ code }) => `suspended (${code}): its batches wait until a person has fixed this`,
  'pause.started': ({ route, by }) =>
    `${pausedOf(route)} is paused by ${by}: nothing new of it is sent until \`batchdrop unpause${route === undefined ? '' : ` ${route}`}\``,
  'pause.ended': ({ route, by }) =>
    `${pausedOf(route)} is not paused any more (${by}): the next poll sends what waits`,
  'budget.exhausted': () => 'waits: the budget is used up',
  'creation.deferred': () => "waits: OpenAI's hourly limit on new batches is reached",
  'creation.refused': ({ status, code }) =>
    `waits: OpenAI refused the batch (${code ?? status}); it is tried again by itself`,
  'creation.held': ({ status, code }) =>
    `held: OpenAI refused the batch each time (${code ?? status}); fix this, then \`batchdrop resume\``,
  'batch.resent': ({ code }) => `waits: OpenAI failed the batch (${code}); it is sent again by itself`,
  'batch.held': ({ code }) =>
    `held: OpenAI failed the batch several times (${code}); fix this, then \`batchdrop resume\``,
  'step.failed': ({ error }) => `a step failed and is tried again: ${messageOf(error)}`,
  'poll.failed': ({ error }) => `the poll failed and runs again: ${messageOf(error)}`,
};

function describeEvent(logged: LoggedEvent): string | undefined {
  const describe = TEXTS[logged.event];
  if (describe !== undefined) return describe(logged);
  const { level, message } = EVENTS[logged.event];
  return level === 'info' ? undefined : message;
}

function pausedOf(route: unknown): string {
  return route === undefined ? 'the stack' : `route ${route}`;
}

function describeWaiting(waitingFor: unknown): string | undefined {
  const waits = Object.entries((waitingFor ?? {}) as Record<string, number>).filter(
    ([what, batches]) => what !== 'time' && batches > 0,
  );
  if (waits.length === 0) return undefined;
  return waits
    .map(([what, batches]) => `${count(batches, 'batch waits', 'batches wait')} ${WAITS[what] ?? what}`)
    .join('; ');
}

function messageOf(error: unknown): string {
  const { name, message } = (error ?? {}) as { name?: string; message?: string };
  return message ?? name ?? 'see the log';
}

const numbers = (value: unknown): string => Number(value).toLocaleString('en-US');

/** An alarm that fires or clears; what it is in before it has data is no news. */
export function describeAlarmChange({ alarm, from, to, reason }: StateChange): string | undefined {
  if (to === 'ALARM') return `ALARM ${alarm.name}: ${alarm.description || reason}`;
  return from === 'ALARM' ? `alarm ${alarm.name} cleared (${to})` : undefined;
}

/** An object outside of every route: no function gets an event for it, so that it is said here. */
export function describeDropElsewhere(settings: Settings, key: string): string | undefined {
  const { layout, routes } = settings;
  if (routes.some(({ prefix }) => key.startsWith(prefix))) return undefined;
  const areas = Object.keys(layout) as (keyof Layout)[];
  const isOurs = areas
    .filter((area) => area !== 'input')
    .some((area) => prefixesOf(settings, area).some((prefix) => key.startsWith(prefix)));
  if (isOurs || key.startsWith(RESERVED_PREFIX)) return undefined;
  return `${key}  ignored: routes take keys below ${routes.map(({ prefix }) => prefix).join(', ')}`;
}
