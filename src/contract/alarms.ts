/**
 * The alarms of a stack, as data: `lib/alarms.ts` makes them, `docs/runbook.md` has a section of the same name for each.
 * Each looks at one metric, at one divided by another, or at the sum of one metric over the functions, with `Sum` or
 * `Maximum`, so that whatever evaluates alarms can (ADR 45).
 */
import type { MetricName } from './events.ts';

/** `critical`: work stands still or money is lost. `high`: some work does. `low`: to be looked at on a working day. */
export type Severity = 'critical' | 'high' | 'low';

/** Queues whose dead letters are watched, by what is left undone. */
export const WATCHED_QUEUES = [
  'ingest',
  'submit',
  'call',
  'collect',
  'finalize',
  'observe',
  'notifications',
] as const;
export type WatchedQueue = (typeof WATCHED_QUEUES)[number];

/** What an alarm looks at. */
export type Watched =
  /** A metric of events. */
  | { metric: MetricName }
  /** One divided by another, and 0 while the first is below `atLeast`. */
  | { metric: MetricName; dividedBy: MetricName; atLeast: number }
  /** A metric that Lambda counts (`AWS/Lambda`), added up over the stack's functions. */
  | { functions: 'Errors' | 'Throttles' }
  /** Messages in the dead-letter queue of a queue (`AWS/SQS` `ApproximateNumberOfMessagesVisible`). */
  | { deadLettersOf: WatchedQueue };

/** One alarm. */
export interface AlarmRow {
  severity: Severity;
  /** One sentence: what is the case when it fires. */
  meaning: string;
  /** One sentence: what it costs those who wait for results. */
  impact: string;
  watches: Watched;
  statistic: 'Sum' | 'Maximum';
  /** It fires from this value on; `isBelow`: below it. */
  threshold: number;
  isBelow?: true;
  /** Length of a period. @default the interval of the poll, and 5 at the least */
  periodMinutes?: number;
  /** So many periods in a row must be so. @default 1 */
  periods?: number;
  /** How CloudWatch takes a period without data, and why that is right. */
  missing: { as: 'breaching' | 'notBreaching' | 'ignore'; because: string };
  /** Only in stacks that have it. @default every stack */
  only?: 'webhooks' | 'notifications';
}

const COUNTED = {
  as: 'notBreaching',
  because: 'What is counted writes nothing while it does not happen.',
} as const;
const SAMPLED = {
  as: 'ignore',
  because: 'A poll that is late says nothing new; poll-silent says that it is late.',
} as const;
const LAMBDA = {
  as: 'notBreaching',
  because: 'Lambda writes nothing of a function that nobody invokes.',
} as const;
const QUEUE = {
  as: 'notBreaching',
  because: 'SQS reports nothing of a queue that nobody has used for six hours.',
} as const;

/** What is the same for all dead-letter queues. */
function deadLetters(
  queue: WatchedQueue,
  severity: Severity,
  impact: string,
): AlarmRow & { watches: { deadLettersOf: WatchedQueue } } {
  return {
    severity,
    meaning: `Messages of ${queue} could not be worked off and lie in its dead-letter queue.`,
    impact,
    watches: { deadLettersOf: queue },
    statistic: 'Maximum',
    threshold: 1,
    periodMinutes: 5,
    missing: QUEUE,
  };
}

/** A scope that a person has to set right. Fires while something waits for it. */
function suspended(metric: MetricName, meaning: string): AlarmRow {
  return {
    severity: 'critical',
    meaning,
    impact: 'Nothing more is sent with it until a person acts; what waits for it is kept.',
    watches: { metric },
    statistic: 'Maximum',
    threshold: 1,
    missing: SAMPLED,
  };
}

/** The alarms by name. A name is that of its section in the runbook. */
export const ALARMS = {
  'ingest-dead-letters': deadLetters(
    'ingest',
    'high',
    'A dropped file may have no job yet; the listing finds it within the hour.',
  ),
  'submit-dead-letters': deadLetters('submit', 'high', 'Batches are sent only when the sweep finds them.'),
  'call-dead-letters': deadLetters('call', 'high', 'Slices are called only when the sweep finds them.'),
  'collect-dead-letters': deadLetters('collect', 'high', 'Answers that are paid for are not fetched yet.'),
  'finalize-dead-letters': deadLetters('finalize', 'high', 'Jobs that are done have no results yet.'),
  'observe-dead-letters': {
    ...deadLetters('observe', 'low', 'What webhooks reported is found by the poll, some minutes later.'),
    only: 'webhooks',
  },
  'notifications-dead-letters': {
    ...deadLetters(
      'notifications',
      'high',
      'Someone was not informed that a job has ended; its results are there.',
    ),
    only: 'notifications',
  },
  'poll-silent': {
    severity: 'critical',
    meaning: 'No poll has looked at the batches for three intervals.',
    impact:
      'The poll is the clock: batches are not seen to end, waits do not run out, what is lost is not found.',
    watches: { metric: 'Polls' },
    statistic: 'Sum',
    threshold: 1,
    isBelow: true,
    periods: 3,
    missing: { as: 'breaching', because: 'Each poll that looks writes a line; none means that none ran.' },
  },
  'poll-failing': {
    severity: 'high',
    meaning: 'Three polls in a row have failed, in whole or in part.',
    impact: 'Some batches may not be looked at; each poll tries all of its steps all the same.',
    watches: { metric: 'PollsFailed' },
    statistic: 'Sum',
    threshold: 1,
    periods: 3,
    missing: COUNTED,
  },
  'functions-failing': {
    severity: 'high',
    meaning:
      'In an hour, three or more runs of functions ended in an error or were ended by Lambda for their time or memory.',
    impact: 'Their work is done again by later runs, late; a step that is killed each time does not end.',
    watches: { functions: 'Errors' },
    statistic: 'Sum',
    threshold: 3,
    periodMinutes: 60,
    missing: LAMBDA,
  },
  'functions-throttled': {
    severity: 'low',
    meaning: 'In an hour, Lambda refused 100 or more runs for lack of concurrency.',
    impact: 'Work is slower than it could be; a poll that is refused for long is poll-silent.',
    watches: { functions: 'Throttles' },
    statistic: 'Sum',
    threshold: 100,
    periodMinutes: 60,
    missing: LAMBDA,
  },
  'sweep-behind': {
    severity: 'high',
    meaning: 'Work has been due for two hours and no sweep has got to it.',
    impact: 'Messages that were lost are not sent again, so their work stands still.',
    watches: { metric: 'OldestOverdue' },
    statistic: 'Maximum',
    threshold: 2 * 60 * 60_000,
    missing: SAMPLED,
  },
  'oldest-waiting': {
    severity: 'high',
    meaning: 'A batch has waited for its turn for 12 hours.',
    impact: 'Its job will not be done within a day of its drop.',
    watches: { metric: 'OldestWaiting' },
    statistic: 'Maximum',
    threshold: 12 * 60 * 60_000,
    missing: SAMPLED,
  },
  'batch-held': {
    severity: 'high',
    meaning: 'A batch was refused or failed each time and is held.',
    impact: 'It is not sent again, and its job does not end, until a person releases it.',
    watches: { metric: 'WaitingForRelease' },
    statistic: 'Maximum',
    threshold: 1,
    missing: SAMPLED,
  },
  'creation-unconfirmed': {
    severity: 'high',
    meaning: 'For two hours it could not be found out whether OpenAI created a batch.',
    impact: 'It is not sent again, so that nothing is paid twice, and its job does not end.',
    watches: { metric: 'OldestUnconfirmed' },
    statistic: 'Maximum',
    threshold: 2 * 60 * 60_000,
    // Twice the time between two look-ups, so that it does not clear while a batch is unconfirmed.
    periodMinutes: 2 * 60,
    missing: {
      as: 'notBreaching',
      because: 'Each look-up that finds no answer writes a line; once there is an answer, none does.',
    },
  },
  'batch-stuck': {
    severity: 'low',
    meaning: 'OpenAI kept a batch in one state for longer than the settings allow, so it was cancelled.',
    impact: 'What it had not finished runs again in another batch, hours late.',
    watches: { metric: 'BatchesStuck' },
    statistic: 'Sum',
    threshold: 1,
    periodMinutes: 60,
    missing: COUNTED,
  },
  'job-held': {
    severity: 'high',
    meaning: 'A step of a job has failed for so long that it is tried only every six hours.',
    impact: 'The job has no results until a person fixes the reason.',
    watches: { metric: 'JobsHeld' },
    statistic: 'Sum',
    threshold: 1,
    // Twice the time between two tries, so that it does not clear while a job is held.
    periodMinutes: 12 * 60,
    missing: COUNTED,
  },
  'key-suspended': suspended('SuspendedKeys', 'OpenAI refuses an API key, or there is none in its secret.'),
  'quota-suspended': suspended('SuspendedQuotas', "The quota of an API key's account is used up."),
  'billing-suspended': suspended('SuspendedBilling', 'OpenAI stopped an account for its billing.'),
  'model-suspended': suspended('SuspendedModels', 'OpenAI does not let an API key use a model.'),
  'error-rate': {
    severity: 'high',
    meaning:
      'Of the requests of the jobs that ended in the last hour, 5 % or more, and at least five, failed, cancelled jobs aside.',
    impact: 'Their lines are in the errors file in place of the output.',
    // At least five that failed, not so many requests: a small job that fails as a whole is worth a look, too.
    watches: { metric: 'RequestsEndedFailed', dividedBy: 'RequestsEnded', atLeast: 5 },
    statistic: 'Sum',
    threshold: 0.05,
    periodMinutes: 60,
    missing: COUNTED,
  },
  'budget-low': {
    severity: 'low',
    meaning: 'A route has spent or reserved 80 % of its budget of the day.',
    impact:
      'What comes next may wait for the next day in the time zone of the budget, or be refused, as the route says.',
    watches: { metric: 'BudgetPercent' },
    statistic: 'Maximum',
    threshold: 80,
    periodMinutes: 60,
    missing: {
      as: 'notBreaching',
      because: 'A budget changes only when a batch is admitted, which says so.',
    },
  },
  'budget-spent': {
    severity: 'high',
    meaning: 'Batches wait or were refused because a budget is used up.',
    impact: 'They are not sent before a new day, or before the budget is raised.',
    watches: { metric: 'BatchesOverBudget' },
    statistic: 'Maximum',
    threshold: 1,
    // A poll that does not come to look says nothing, and does not clear it.
    periodMinutes: 60,
    missing: {
      as: 'notBreaching',
      because: 'Each poll that finds batches waiting says how many; if none wait, it says nothing.',
    },
  },
  'deadline-missed': {
    severity: 'high',
    meaning: 'A job ended after its deadline.',
    impact: 'Its results came late.',
    watches: { metric: 'DeadlinesMissed' },
    statistic: 'Sum',
    threshold: 1,
    periodMinutes: 60,
    missing: COUNTED,
  },
  'webhooks-silent': {
    severity: 'low',
    meaning: 'Something of ours ended at OpenAI and no webhook reported it.',
    impact: 'Everything is found by the poll instead, some minutes later.',
    watches: { metric: 'SilentWebhooks' },
    statistic: 'Maximum',
    threshold: 1,
    missing: SAMPLED,
    only: 'webhooks',
  },
  'batches-lost': {
    severity: 'critical',
    meaning:
      'At two looks in a row OpenAI did not know a batch that it created, or it keeps one unfinished long past its time.',
    impact: 'Its job does not end, and its requests may have been charged.',
    watches: { metric: 'BatchesUnreachable' },
    statistic: 'Maximum',
    threshold: 1,
    missing: SAMPLED,
  },
  'ledger-drift': {
    severity: 'low',
    meaning:
      'In an hour, five or more batches still had tokens or money reserved that nothing needed any more.',
    impact: 'Until it was given back, other batches waited for less room than there was.',
    watches: { metric: 'LedgerDrift' },
    statistic: 'Sum',
    threshold: 5,
    periodMinutes: 60,
    missing: COUNTED,
  },
  'prices-old': {
    severity: 'low',
    meaning: 'The price table is more than 60 days old.',
    impact: 'Budgets and receipts may be off from what OpenAI charges.',
    watches: { metric: 'PricesAgeDays' },
    statistic: 'Maximum',
    threshold: 61,
    missing: SAMPLED,
  },
  'model-ending': {
    severity: 'low',
    meaning: 'A job asks for a model that OpenAI shuts down within 30 days, or has shut down.',
    impact: 'After that day its requests fail as model_retired.',
    watches: { metric: 'EndingModelsUsed' },
    statistic: 'Sum',
    threshold: 1,
    periodMinutes: 6 * 60,
    missing: COUNTED,
  },
} as const satisfies Readonly<Record<string, AlarmRow>>;

/** The name of an alarm. */
export type AlarmName = keyof typeof ALARMS;

/** CloudWatch: the longest description of an alarm (characters). */
const MAX_DESCRIPTION_CHARS = 1_024;

/** What an alarm says to the person who is paged. @param runbook address of the runbook. */
export function describeAlarm(name: AlarmName, runbook: string): string {
  const { severity, meaning, impact } = ALARMS[name];
  return `Severity: ${severity}. ${meaning} ${impact} Runbook: ${runbook}#${name}`.slice(
    0,
    MAX_DESCRIPTION_CHARS,
  );
}
