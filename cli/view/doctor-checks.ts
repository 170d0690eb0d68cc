/** What `doctor` looks at: each check a row, its verdict pure. What was read is made by `options/doctor-facts.ts`. */
import type { BatchRecord } from '../../src/core/model/batch.ts';
import type { Pause } from '../../src/core/model/pause.ts';
import { endsSoon, isShutDown, type Shutdown } from '../../src/core/model/shutdown.ts';
import type { Suspension } from '../../src/core/model/suspension.ts';
import type { PricesStated } from '../../src/core/pricing/prices.ts';
import { count, wrapped } from './text.ts';
import { agoText, timeText } from './time.ts';
import { reasonText } from './wait-reasons.ts';

/** A batch that waits for a person. */
export type StuckBatch = Pick<BatchRecord, 'jobId' | 'batchId' | 'hold' | 'remote'>;

/** What each check reads. */
export interface DoctorFacts {
  /** Where a record is whose version is not known here, as the error says it. */
  records: { unknown: string | undefined };
  secrets: { apiKey: string; isSet: boolean; command: string }[];
  notification: { bucket: string; isOn: boolean; command: string | undefined };
  poll: { at: number | undefined };
  clock: { skewMs: number | undefined };
  /** `isSource`: its dead letters can be sent to it again. */
  queues: { name: string; waiting: number; deadLetters: number; isSource: boolean }[];
  suspensions: (Suspension & { command: string | undefined })[];
  pauses: Pause[];
  /** Jobs that are being removed (`batchdrop forget`), since when. */
  forgetting: { jobId: string; key: string; since: number }[];
  /** Releases of the stack and of this command line. */
  version: { stack: string; cli: string };
  held: StuckBatch[];
  atOpenAI: StuckBatch[];
  /** Models whose batches OpenAI has refused for lack of enqueued tokens, until when none is sent (epoch ms). */
  quota: { model: string; apiKey: string; restsUntil: number }[];
  prices: PricesStated;
  models: { model: string; shutdown: Shutdown }[];
  /** What OpenAI has of the stack that no job knows: files to delete, ids of batches that run, files of today. */
  orphans: {
    files: { kind: 'input' | 'results'; bytes?: number | undefined }[];
    running: string[];
    young: number;
  };
}

/** Whose verdict: `ok`; `warn`: look at it; `bad`: something does not work. */
export interface Finding {
  level: 'ok' | 'warn' | 'bad';
  text: string;
  /** Without the options that name the stack. */
  command?: string | undefined;
}

interface Check<Name extends keyof DoctorFacts> {
  /** What it is about, for people. */
  title: string;
  /** How it is read: the calls that take a right. */
  reads: string;
  judge(read: DoctorFacts[Name], now: number): Finding[];
}

/** A poll that is this old is late with the interval of 5 minutes that a stack has by default, as its alarm says. */
const POLL_LATE_BY_DEFAULT_MS = 15 * 60_000;
/** A poll that is this old is late, whatever its interval of up to 60 minutes is. */
const POLL_LATE_MS = 65 * 60_000;
/** Lambda: no function runs for longer; what is not done by then was cut off. */
const LONGEST_RUN_MS = 15 * 60_000;
/** S3 refuses requests that are signed 15 minutes off; what is off by one shows wrong times. */
const SKEW_WARN_MS = 60_000;

const ok = (text: string): Finding[] => [{ level: 'ok', text }];

/** All checks, in the order in which they are shown. */
export const CHECKS: { readonly [Name in keyof DoctorFacts]: Check<Name> } = {
  version: {
    title: 'Version',
    reads: 'cloudformation:DescribeStacks',
    judge: ({ stack, cli }) =>
      stack === cli
        ? ok(`stack and command line are of version ${cli}`)
        : [
            {
              level: 'warn',
              text: `the stack is of version ${stack}, this command line of ${cli}: what it asks for may be refused, and what it shows may lack something. Use the release that is deployed, or deploy this one`,
            },
          ],
  },
  records: {
    title: 'Versions of records',
    reads: 'dynamodb:Query of the indexes',
    judge: ({ unknown }) =>
      unknown === undefined
        ? ok('this version of batchdrop reads all live records')
        : [
            {
              level: 'bad',
              text: `a newer version of batchdrop is deployed than this one: upgrade the CLI to the release that is deployed (${unknown})`,
            },
          ],
  },
  secrets: {
    title: 'API keys',
    reads: 'secretsmanager:DescribeSecret',
    judge: (secrets) =>
      secrets.map(({ apiKey, isSet, command }) =>
        isSet
          ? {
              level: 'ok',
              text: `the secret of key "${apiKey}" has been set: it had another value before (none was read)`,
            }
          : { level: 'bad', text: `the secret of key "${apiKey}" was never set`, command },
      ),
  },
  notification: {
    title: 'Bucket notifications',
    reads: 's3:GetBucketNotification',
    judge: ({ bucket, isOn, command }) =>
      isOn
        ? ok(`bucket ${bucket} tells EventBridge of new objects`)
        : [
            {
              level: 'bad',
              text: `bucket ${bucket} does not tell EventBridge of new objects: drops are found by the hourly listing only`,
              command,
            },
          ],
  },
  poll: {
    title: 'Poll',
    reads: 'dynamodb:GetItem',
    judge({ at }, now) {
      if (at === undefined)
        return [
          {
            level: 'warn',
            text: 'the poll function has not run yet: it does within minutes of the deployment',
          },
        ];
      const when = `the poll function began last ${agoText(at, now)}`;
      if (now - at < POLL_LATE_BY_DEFAULT_MS) return ok(when);
      if (now - at < POLL_LATE_MS)
        return [{ level: 'warn', text: `${when}: that is late, unless \`pollInterval\` says otherwise` }];
      return [
        { level: 'bad', text: `${when}: nothing is found out or sent. Look at its schedule and its errors` },
      ];
    },
  },
  clock: {
    title: 'Clock',
    reads: 'the Date header of S3',
    judge({ skewMs }) {
      if (skewMs === undefined) return [{ level: 'warn', text: 'S3 said no time' }];
      const seconds = Math.round(skewMs / 1000);
      const text = `this machine is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} S3`;
      return Math.abs(skewMs) < SKEW_WARN_MS ? ok(text) : [{ level: 'warn', text: `${text}: set its clock` }];
    },
  },
  queues: {
    title: 'Queues',
    reads: 'sqs:GetQueueAttributes, sqs:GetQueueUrl',
    judge(queues) {
      const dead = queues.filter(({ deadLetters }) => deadLetters > 0);
      const waiting = queues.reduce((sum, queue) => sum + queue.waiting, 0);
      if (dead.length === 0) return ok(`no dead letters; ${count(waiting, 'message')} waiting`);
      return dead.map(({ name, deadLetters, isSource }) => {
        const letters = `${count(deadLetters, 'dead letter')} of ${name}`;
        return isSource
          ? {
              level: 'bad',
              text: `${letters}: a step failed too often. Find why in the logs first`,
              command: `batchdrop redrive ${name}`,
            }
          : {
              level: 'bad',
              text: `${letters}: a target of a route took no event of its ended jobs for a day. They have no queue to go back to: docs/runbook.md, "${name}-dead-letters", says what to do`,
            };
      });
    },
  },
  suspensions: {
    title: 'Suspensions',
    reads: 'dynamodb:Query',
    judge(suspensions, now) {
      if (suspensions.length === 0) return ok('no key and no model is suspended');
      return suspensions.map(({ scope, reason, suspendedAt, command }) => {
        const [apiKey = '', ...model] = scope.split('/');
        const said = reasonText({ ...NO_FACTS, apiKey, model: model.join('/'), reason });
        return {
          level: 'bad',
          text: `${scope} is suspended since ${timeText(suspendedAt)} (${agoText(suspendedAt, now)}): ${said}`,
          command,
        };
      });
    },
  },
  pauses: {
    title: 'Pauses',
    reads: 'dynamodb:Query',
    judge: (pauses) =>
      pauses.length === 0
        ? ok('nothing is paused')
        : pauses.map(({ route, by, at }) => ({
            level: 'warn',
            text: `${route === undefined ? 'the stack' : `route "${route}"`} is paused by ${by} since ${timeText(at)}`,
            command: `batchdrop unpause${route === undefined ? '' : ` ${route}`}`,
          })),
  },
  forgetting: {
    title: 'Removals',
    reads: 'dynamodb:Query of the index',
    judge(jobs, now) {
      const cut = jobs.filter(({ since }) => now - since >= LONGEST_RUN_MS);
      if (cut.length === 0)
        return ok(
          jobs.length === 0
            ? 'no removal of a job was cut off'
            : `${count(jobs.length, 'job is', 'jobs are')} being removed`,
        );
      return cut.map(({ jobId, key, since }) => ({
        level: 'bad',
        text: `the removal of job ${jobId} (${key}) began ${agoText(since, now)} and was cut off: part of it is left`,
        command: `batchdrop forget ${jobId}`,
      }));
    },
  },
  held: {
    title: 'Held batches',
    reads: 'dynamodb:Query of the index',
    judge: (held) =>
      held.length === 0
        ? ok('no batch is held')
        : [
            {
              level: 'bad',
              text: `${count(held.length, 'batch', 'batches')} held for a person, of ${jobsText(held)}: ${codesText(held)}`,
              command: `batchdrop explain ${held[0]!.jobId}`,
            },
          ],
  },
  atOpenAI: {
    title: 'Unreachable batches',
    reads: 'dynamodb:Query of the index',
    judge: (batches) =>
      batches.length === 0
        ? ok('OpenAI knows all batches that it has')
        : [
            {
              level: 'bad',
              text: `OpenAI does not know or does not end ${count(batches.length, 'batch', 'batches')}, of ${jobsText(batches)}: is the API key still one of their project?`,
              command: `batchdrop explain ${batches[0]!.jobId}`,
            },
          ],
  },
  quota: {
    title: 'Queue limits',
    reads: 'dynamodb:GetItem',
    judge(models, now) {
      const resting = models.filter(({ restsUntil }) => restsUntil > now);
      if (resting.length === 0) return ok('no model rests for lack of enqueued tokens');
      return resting.map(({ model, apiKey, restsUntil }) => ({
        level: 'warn',
        text: `OpenAI refused batches of ${model} with key "${apiKey}" for lack of enqueued tokens; none is sent before ${timeText(restsUntil)}`,
        command: 'batchdrop limits',
      }));
    },
  },
  prices: {
    title: 'Price table',
    reads: 'the built-in table of this version',
    judge: ({ date, warning }) =>
      warning === undefined
        ? ok(`of ${date}`)
        : [{ level: 'warn', text: warning, command: 'batchdrop prices' }],
  },
  models: {
    title: 'Models near their end',
    reads: "dynamodb:GetItem, and OpenAI's list of deprecations as this version has it",
    judge(models, now) {
      const near = models.filter(({ shutdown }) => endsSoon(shutdown, now));
      if (near.length === 0) return ok('no model of live batches ends within 30 days');
      return near.map(({ model, shutdown }) => ({
        level: isShutDown(shutdown, now) ? 'bad' : 'warn',
        text: `${model} ${isShutDown(shutdown, now) ? 'was shut down' : 'is shut down'} on ${shutdown.date}${shutdown.replacements.length === 0 ? '' : `; instead: ${shutdown.replacements.join(', ')}`}`,
      }));
    },
  },
  orphans: {
    title: 'Left over at OpenAI',
    reads: 'GET /v1/batches, /v1/files',
    judge({ files, running, young }) {
      const left = young === 0 ? '' : ` (${count(young, 'younger one')} left out)`;
      const findings: Finding[] = [];
      if (files.length > 0)
        findings.push({
          level: 'warn',
          text: `${orphansText(files)} that no job knows${left}`,
          command: 'batchdrop doctor --openai --clean',
        });
      if (running.length > 0)
        findings.push({
          level: 'warn',
          text: `${count(running.length, 'batch', 'batches')} under way that no job knows: ${running.slice(0, 5).join(', ')}${running.length > 5 ? ', …' : ''}. After a restore of the table the poll takes them up; otherwise cancel them at OpenAI`,
        });
      return findings.length > 0 ? findings : ok(`the project of this key has nothing of no job${left}`);
    },
  },
};

/** How many files of which kind, and their size as far as OpenAI said it. */
export function orphansText(files: DoctorFacts['orphans']['files']): string {
  const results = files.filter(({ kind }) => kind === 'results').length;
  const parts = [
    ...(files.length === results ? [] : [count(files.length - results, 'input file')]),
    ...(results === 0 ? [] : [count(results, 'file of results', 'files of results')]),
  ];
  const bytes = files.reduce((sum, file) => sum + (file.bytes ?? 0), 0);
  return `${parts.join(' and ') || 'no file'}, ${count(bytes, 'byte')}`;
}

/** Texts of reasons take facts of a job, which a stack has not. */
const NO_FACTS = {
  jobId: '',
  key: '',
  route: '',
  tier: 'batch',
  until: '',
  detail: '',
  setKeyCommand: '',
} as const;

function jobsText(batches: readonly StuckBatch[]): string {
  const jobs = [...new Set(batches.map(({ jobId }) => jobId))];
  return jobs.length === 1 ? `job ${jobs[0]}` : `${jobs.length} jobs`;
}

function codesText(batches: readonly StuckBatch[]): string {
  return [...new Set(batches.map(({ hold }) => hold?.reason ?? ''))].join(', ');
}

/** What one check found. */
export interface Checked {
  check: keyof DoctorFacts;
  title: string;
  reads: string;
  findings: Finding[];
}

/** What was read of each check, or why it could not be; absent: it was not asked for. */
export type DoctorReadings = {
  [Name in keyof DoctorFacts]?: { read: DoctorFacts[Name] } | { failed: Error };
};

/** Pure. A check that could not be read is a warning: it says nothing of what it would have found. */
export function judge(readings: DoctorReadings, now: number): Checked[] {
  return (Object.keys(CHECKS) as (keyof DoctorFacts)[]).flatMap((check) => {
    const reading = readings[check];
    const { title, reads } = CHECKS[check];
    return reading === undefined ? [] : [{ check, title, reads, findings: findingsOf(check, reading, now) }];
  });
}

function findingsOf<Name extends keyof DoctorFacts>(
  check: Name,
  reading: NonNullable<DoctorReadings[Name]>,
  now: number,
): Finding[] {
  if ('read' in reading) return CHECKS[check].judge(reading.read as DoctorFacts[Name], now);
  const { name, message } = reading.failed;
  const isDenied = /AccessDenied|Unauthorized|Forbidden/.test(name);
  const text = isDenied
    ? `could not be looked at: your credentials may not (${CHECKS[check].reads})`
    : `could not be looked at (${name}): ${message}`;
  return [{ level: 'warn', text }];
}

const MARKS = { ok: 'ok  ', warn: 'look', bad: 'BAD ' } as const;

/** One line for what is in order, a paragraph with the command for what is not. */
export function doctorText(checked: readonly Checked[], width: number): string {
  const lines = checked.flatMap(({ title, findings }) =>
    findings.flatMap(({ level, text, command }) => [
      ...wrapped(`${MARKS[level]}  ${title}: ${text}`, width, 6),
      ...(command === undefined ? [] : [`      $ ${command}`]),
    ]),
  );
  const all = checked.flatMap(({ findings }) => findings);
  const bad = all.filter(({ level }) => level === 'bad').length;
  const warned = all.filter(({ level }) => level === 'warn').length;
  const end =
    bad + warned === 0
      ? 'Nothing is wrong.'
      : `${count(bad, 'thing is', 'things are')} wrong, ${count(warned, 'thing', 'things')} to look at.`;
  return [...lines, '', end].join('\n');
}

/** Whether something is wrong. */
export function isSick(checked: readonly Checked[]): boolean {
  return checked.some(({ findings }) => findings.some(({ level }) => level === 'bad'));
}
