/** Why something waits, what would move it, and the command for that: data, read by `explain.ts`. */
import type { Tier } from '../../src/contract/route.ts';
import type { OperatorCode } from '../../src/core/scheduling/operator-errors.ts';
import { count } from './text.ts';

/** What a reason is about; each text takes what it needs of it. */
export interface WaitFacts {
  jobId: string;
  key: string;
  /** A code of the provider or of ours, or our own sentence of what failed. */
  reason: string;
  model: string;
  /** Name of the API key. */
  apiKey: string;
  route: string;
  tier: Tier;
  /** ISO 8601, or `''`: not known. When it is tried again by itself. */
  until: string;
  /** Numbers that explain it, as a clause. */
  detail: string;
  /** Sets the API key, as the stack says it. `''`: it does not. */
  setKeyCommand: string;
}

/** What is said of one kind of wait. */
export interface WaitText {
  /** What it waits for, as a clause after "… wait: ". */
  text: (facts: WaitFacts) => string;
  /** What would move it, as a sentence. */
  moves: (facts: WaitFacts) => string;
  /** The command for that, without the options that name the stack. `undefined`: there is nothing to do. */
  command?: (facts: WaitFacts) => string | undefined;
  /** A second command, after the first one or in its place, as `moves` says. `undefined`: there is none. */
  otherCommand?: (facts: WaitFacts) => string | undefined;
}

const nextTry = ({ until }: WaitFacts): string =>
  until === '' ? 'It is tried again by itself.' : `It is tried again by itself at ${until}.`;
const byItself = (text: string) => () => `Nothing is to be done: ${text}`;
const logsOf = ({ jobId }: WaitFacts): string => `batchdrop logs ${jobId}`;
const liftCommand = ({ detail }: WaitFacts): string => `batchdrop resume --scope ${detail}`;
const withDetail = (text: string, { detail }: WaitFacts): string =>
  detail === '' ? text : `${text} (${detail})`;

/** Every kind of wait, by its code. */
export const WAITS = {
  // The job as a whole
  not_seen: {
    text: () => 'no job is recorded for the object yet',
    moves: () =>
      'A drop becomes a job within seconds, or with the hourly listing. If it does not, no route takes the key, or its name is ignored.',
    command: () => 'batchdrop jobs --ignored',
  },
  checking: {
    text: () => 'its lines are being checked',
    moves: byItself('large files are read in several runs.'),
  },
  turn: {
    text: ({ route, detail }) => `for its turn among the files of route "${route}": ${detail}`,
    moves: () =>
      'The poll starts it by itself, in the order in which files were dropped. A higher `drops` in the settings of the route starts it sooner.',
    command: () => 'batchdrop jobs --status waiting_for_turn',
  },
  unreadable: {
    text: ({ reason, detail }) => `S3 does not give the file (${reason}): ${detail}`,
    moves: (facts) => `Make the object readable for the ingest function. ${nextTry(facts)}`,
  },
  step_of_job: {
    text: ({ reason }) => `a step of the job fails: ${reason}`,
    moves: (facts) => `Its cause is in the logs. ${nextTry(facts)}`,
    command: logsOf,
  },
  owner: {
    text: ({ reason }) => `it has the same content as job ${reason}, whose results answer it`,
    moves: () => 'It ends with that job.',
    command: ({ reason }) => `batchdrop explain ${reason}`,
  },
  merging: {
    text: () => 'all requests have an outcome, and its results are being merged',
    moves: byItself('the receipt is written last.'),
  },
  // Batches that have not been sent
  paused: {
    text: ({ detail }) => detail,
    moves: () => 'Nothing new is sent until a person ends the pause; what is at OpenAI is collected.',
    command: ({ reason }) => `batchdrop unpause${reason === '' ? '' : ` ${reason}`}`,
  },
  held: {
    text: (facts) => `held for a person: ${reasonText(facts)}`,
    moves: (facts) => `${fixOf(facts)} Then release what is held.`,
    command: ({ jobId }) => `batchdrop resume ${jobId}`,
  },
  retry: {
    text: ({ reason }) => (reason === '' ? 'for its next try' : `for its next try, after: ${reason}`),
    moves: nextTry,
  },
  suspended: {
    text: (facts) => `for a person: ${reasonText(facts)}`,
    moves: (facts) =>
      `${fixOf(facts)} Then one batch is sent to see whether it is over${facts.until === '' ? '' : `, at the earliest at ${facts.until}`}, and the rest follows; \`resume --scope\` tries at once.`,
    command: (facts) => knownReason(facts.reason)?.command?.(facts) ?? liftCommand(facts),
    otherCommand: (facts) =>
      knownReason(facts.reason)?.command === undefined ? undefined : liftCommand(facts),
  },
  budget: {
    text: (facts) => withDetail(`for the budget of route "${facts.route}"`, facts),
    moves: ({ until }) =>
      `${until === '' ? '' : `The budget of the day is full again at ${until}. `}What others reserved and did not use is given back when they are collected; or raise the budget in the settings and deploy.`,
    command: () => 'batchdrop limits',
  },
  tokens: {
    text: (facts) => withDetail(`for room in OpenAI's queue of ${facts.model} (enqueued tokens)`, facts),
    moves: () =>
      'Room comes when batches of the model that are at OpenAI end. Raising the limit at OpenAI helps at once.',
    command: () => 'batchdrop limits',
  },
  tokens_rest: {
    text: ({ model }) =>
      `OpenAI refused batches of ${model} for lack of enqueued tokens, so none is sent for a while`,
    moves: nextTry,
    command: () => 'batchdrop limits',
  },
  slices: {
    text: (facts) =>
      withDetail(`for its turn to be called: other slices of ${facts.model} in ${facts.tier} are`, facts),
    moves: byItself(
      'a slice is called when another one ends. `quota.concurrentSlices` in the settings sets how many.',
    ),
  },
  turns: {
    text: ({ apiKey }) =>
      `OpenAI takes so many new batches an hour with key "${apiKey}", and they are used up`,
    moves: byItself('turns come back within the hour.'),
  },
  next_poll: {
    text: () => 'for the next look at all that waits',
    moves: byItself('the poll function looks every few minutes.'),
  },
  // Batches that are being sent
  sending: {
    text: () => 'being sent to OpenAI',
    moves: byItself('its message is under way; the sweep repeats one that is lost.'),
  },
  calling: {
    text: ({ tier }) => `its requests are being called in ${tier}`,
    moves: byItself('answers come one by one.'),
  },
  background: {
    text: ({ tier }) => `OpenAI works on its responses in ${tier}`,
    moves: (facts) =>
      `They are looked at again${facts.until === '' ? '' : ` at ${facts.until}`}. This is OpenAI's own time.`,
  },
  step_of_batch: {
    text: ({ reason }) => `a step of it fails: ${reason}`,
    moves: nextTry,
    command: logsOf,
  },
  unknown_create: {
    text: (facts) => reasonText({ ...facts, reason: 'unknown_create' }),
    moves: (facts) => `${fixOf({ ...facts, reason: 'unknown_create' })} ${nextTry(facts)}`,
    command: logsOf,
  },
  looking_up: {
    text: () => 'a create got no answer, so whether OpenAI has the batch is being found out',
    moves: (facts) => `Nothing is to be done: sent twice it would be paid for twice. ${nextTry(facts)}`,
  },
  // Batches at OpenAI
  at_openai: {
    text: (facts) => withDetail(`OpenAI works on it (${facts.reason})`, facts),
    moves: ({ until }) =>
      `This is OpenAI's own time${until === '' ? '' : `; it ends at ${until} at the latest`}. What is not done then is sent again.`,
  },
  cancelling: {
    text: () => 'it is being cancelled at OpenAI, which may take 10 minutes',
    moves: byItself('what was finished is kept.'),
  },
  deadline: {
    text: ({ reason }) => `the deadline is near: it is taken out, and what is left continues in ${reason}`,
    moves: byItself('the next tier begins when the batch has ended.'),
  },
  unreachable: {
    text: () => 'OpenAI answers that it does not know the batch',
    moves: () => 'Check that the API key is still one of the project that the batch was created in.',
    command: () => 'batchdrop doctor',
  },
  lost_batch: {
    text: (facts) => reasonText({ ...facts, reason: 'lost_batch' }),
    moves: (facts) => fixOf({ ...facts, reason: 'lost_batch' }),
    command: ({ jobId }) => `batchdrop cancel ${jobId}`,
    otherCommand: ({ jobId }) => `batchdrop resume ${jobId} --may-pay-twice`,
  },
  // Batches that have ended
  withdrawn: {
    text: ({ detail }) => detail,
    moves: byItself('its message is under way; the sweep repeats one that is lost.'),
  },
  collecting: {
    text: () => 'OpenAI has ended it, and its results are being collected',
    moves: byItself('its message is under way.'),
  },
  late_results: {
    text: (facts) => withDetail("OpenAI's files do not have all results that it counted", facts),
    moves: (facts) => `Results may come late. ${nextTry(facts)}`,
  },
  results_key: {
    text: (facts) => `its results are at OpenAI and cannot be read: ${reasonText(facts)}`,
    moves: (facts) => `${fixOf(facts)} ${nextTry(facts)}`,
    command: (facts) => knownReason(facts.reason)?.command?.(facts),
  },
  // The stack
  dead_letters: {
    text: ({ reason, detail }) =>
      `messages of ${reason} failed too often and are dead letters (${detail}); this job's may be among them`,
    moves: () => 'Find the cause in the logs, then send them again.',
    command: ({ reason }) => `batchdrop redrive ${reason}`,
  },
  dead_notifications: {
    text: ({ detail }) =>
      `EventBridge could not deliver some JobCompleted events for a day (${detail}); the event of this job may not reach its target`,
    moves: () =>
      'It holds up no job. Correct the access policy of the target: docs/runbook.md, "notifications-dead-letters".',
    command: () => undefined,
  },
} as const satisfies Record<string, WaitText>;

/** Names a kind of wait. */
export type WaitCode = keyof typeof WAITS;

interface ReasonText {
  /** What is the matter, as a clause. */
  text: (facts: WaitFacts) => string;
  /** What to do, as a sentence. */
  fix: (facts: WaitFacts) => string;
  command?: (facts: WaitFacts) => string;
}

const setKey = ({ apiKey }: WaitFacts): string =>
  apiKey === 'default' ? 'Set a valid API key.' : `Set a valid API key "${apiKey}".`;
const setKeyCommand = (facts: WaitFacts): string => facts.setKeyCommand || 'batchdrop doctor';

const ofAccount = (what: string): ReasonText => ({
  text: () => what,
  fix: () => 'Fix it in the billing settings of OpenAI.',
});

/** Reasons of holds and suspensions that the code itself names; others are codes of the provider. */
export const REASONS = {
  api_key_missing: {
    text: ({ apiKey }) => `the secret of the API key "${apiKey}" holds no key`,
    fix: setKey,
    command: setKeyCommand,
  },
  api_key_unknown: {
    text: ({ apiKey }) => `the deployment has no secret for the API key "${apiKey}" any more`,
    fix: () => 'Deploy settings in which a route names it.',
    command: setKeyCommand,
  },
  invalid_api_key: {
    text: ({ apiKey }) => `OpenAI refuses the API key "${apiKey}"`,
    fix: setKey,
    command: setKeyCommand,
  },
  insufficient_quota: ofAccount('the OpenAI account has no credit left, or its monthly budget is spent'),
  billing_hard_limit_reached: ofAccount('the hard limit of the OpenAI account is reached'),
  billing_not_active: ofAccount('billing of the OpenAI account is not active'),
  account_deactivated: { ...ofAccount('the OpenAI account is deactivated'), fix: () => 'Ask OpenAI why.' },
  storage_quota_exceeded: {
    text: () => 'the OpenAI project has no room for another file',
    fix: () => 'Delete files that nobody needs (platform.openai.com, Storage).',
  },
  model_not_found: {
    text: ({ model, apiKey }) =>
      `OpenAI says that there is no model ${model}, or not for the key "${apiKey}"`,
    fix: () => 'Give the project access to the model, or correct its name in the file and drop it again.',
  },
  http_401: {
    text: ({ apiKey }) => `OpenAI answers HTTP 401 to the API key "${apiKey}"`,
    fix: setKey,
    command: setKeyCommand,
  },
  http_403: {
    text: ({ apiKey }) => `OpenAI answers HTTP 403: the key "${apiKey}" may not do this`,
    fix: () => 'Give the key the permissions for files, batches and the model.',
  },
  http_404: {
    text: ({ model }) => `OpenAI answers HTTP 404 to a batch of ${model}`,
    fix: () => 'Check the model and the base URL of the stack.',
  },
  unknown_create: {
    text: () => 'a create got no answer, and nothing shows whether OpenAI has the batch',
    fix: () => 'A key of the project that made the attempt shows it. Sent twice it would be paid for twice.',
  },
  lost_batch: {
    text: () => 'OpenAI does not end the batch, or no longer knows it, long after it should have ended',
    fix: () =>
      'Ask OpenAI about it. Then cancel the job, and what it leaves can be retried; or give the batch up with `resume`: its requests run again. Either way they may be paid for twice. A route with `onLost: "resubmit"` does that by itself.',
  },
  budget_exhausted: {
    text: ({ route }) => `the budget of route "${route}" is used up`,
    fix: () =>
      'Raise it in the settings and deploy, or, of a budget a day, wait for the next day in its time zone.',
  },
} as const satisfies Record<OperatorCode, ReasonText> & Record<string, ReasonText>;

/** What is known of a reason. `undefined`: it is a code of the provider's. */
function knownReason(reason: string): ReasonText | undefined {
  return Object.hasOwn(REASONS, reason) ? REASONS[reason as keyof typeof REASONS] : undefined;
}

/** What a reason of a hold or a suspension means. A code that is not known here is the provider's, and said as it is. */
export function reasonText(facts: WaitFacts): string {
  const known = knownReason(facts.reason);
  if (known !== undefined) return `${known.text(facts)} [${facts.reason}]`;
  const http = /^http_(\d+)$/.exec(facts.reason)?.[1];
  return http === undefined
    ? `OpenAI refused it with code ${facts.reason}`
    : `OpenAI answered HTTP ${http} each time [${facts.reason}]`;
}

function fixOf(facts: WaitFacts): string {
  const known = knownReason(facts.reason);
  return known?.fix(facts) ?? 'Look the code up in the logs and at OpenAI, and fix what it names.';
}

/** `2 batches (1,500 requests)`. */
export function amountText(batches: number, requests: number): string {
  return `${count(batches, 'batch', 'batches')} (${count(requests, 'request')})`;
}
