/**
 * Every event that the pipeline reports, one row each. A row's name is the `event` of a log line, its message the
 * `message`: one or two plain sentences that say what happened and what happens next. Log lines come from here only
 * (ADR 38).
 */
import type { FieldKinds, FieldsOf } from './event-fields.ts';
import type { EventMetric } from './event-metrics.ts';
import { TIERS } from './route.ts';

/** `error`: an invocation failed. `warn`: a person may want to look. `info`: work as planned. */
export type EventLevel = 'info' | 'warn' | 'error';

/** One row of the table. */
export interface EventRow {
  level: EventLevel;
  message: string;
  fields: FieldKinds;
  metrics?: readonly EventMetric[];
}

const JOB = { jobId: 'id' } as const;
const BATCH = { jobId: 'id', batchId: 'id' } as const;
const SLICE = { ...BATCH, tier: 'code' } as const;
const WEBHOOK = { webhookId: 'id', type: 'code', objectId: 'id', apiKey: 'name' } as const;
const REMOTE = { ...BATCH, openaiBatchId: 'id' } as const;

const BY_TIER = { name: 'Tier', values: TIERS, field: 'tier' } as const;

/** A metric that counts the event as a retry, with its cause. */
function retryBecauseOf<Cause extends string>(cause: Cause) {
  return { name: 'Retries', unit: 'Count', by: { name: 'Cause', values: [cause] } } as const;
}

/** The events by name: one noun, one past participle. */
export const EVENTS = {
  // Inputs
  'object.ignored': {
    level: 'info',
    message:
      'The object matches no route of the settings, so it is not an input and nothing is done with it (why: no_route, not_matched, ignored, folder, options of another file, or late_options: they came after it).',
    fields: { key: 'key', why: 'code', route: 'name?' },
  },
  'job.recorded': {
    level: 'info',
    message: 'A job was recorded for the file. The file is read and its lines are checked next.',
    fields: { ...JOB, key: 'key', route: 'name', bytes: 'bytes' },
  },
  'drop.deferred': {
    level: 'warn',
    message:
      'More files of the route were dropped than its `drops` setting lets start (waitsFor: perHour, perDay, or earlierDrops, which wait before it). The file is not read before its turn, which a run of the poll gives it; nextAt says when there may be room.',
    fields: { ...JOB, route: 'name', waitsFor: 'code', nextAt: 'time?' },
  },
  'drops.started': {
    level: 'info',
    message: 'Files that waited for the `drops` setting of their route were started.',
    fields: { route: 'name', drops: 'count' },
  },
  'marker.ignored': {
    level: 'info',
    message: 'The object only marks a folder, so it is not an input and nothing is done with it.',
    fields: { key: 'key' },
  },
  'object.missed': {
    level: 'warn',
    message: 'The object was removed before it was recorded, so there is no job for it and no receipt.',
    fields: { key: 'key' },
  },
  'input.declined': {
    level: 'warn',
    message:
      'The prefix of this file belongs to another stack, so this stack does not run it. The reason names the owner and says what to do.',
    fields: { ...JOB, key: 'key', reason: 'reason' },
  },
  'inspection.failed': {
    level: 'warn',
    message:
      'S3 does not allow this file to be looked at, so it has no job yet. It is tried again within the hour.',
    fields: { key: 'key', code: 'code', reason: 'reason' },
  },
  'input.withheld': {
    level: 'warn',
    message:
      'S3 has the input file and does not give it. Reading is tried again at nextAt; after inputs.unreadableHours the job is rejected.',
    fields: { ...JOB, code: 'code', reason: 'reason', tries: 'count', since: 'time', nextAt: 'time' },
  },
  'deadline.missed': {
    level: 'warn',
    message:
      'The deadline had already passed when the file was recorded, so its requests start in the last tier of the route.',
    fields: { ...JOB, deadline: 'code' },
  },
  'listing.started': {
    level: 'info',
    message:
      "This stack's first poll ran. Objects put from `since` on get a job even if their event is lost; earlier ones are not run.",
    fields: { since: 'time' },
  },
  'listing.interrupted': {
    level: 'info',
    message:
      'The run had no time to list all inputs. The next run of the poll continues where this one stopped.',
    fields: { prefix: 'key?', found: 'count' },
  },
  'inputs.discovered': {
    level: 'warn',
    message:
      'The listing found input files that had no job: their S3 events were lost or late, or S3 did not allow them to be looked at. They have been sent to ingest.',
    fields: { found: 'count' },
  },
  'prefix.claimed': {
    level: 'info',
    message:
      'This stack now owns the prefix. Files that are put below it from `since` on are run by this stack.',
    fields: { prefix: 'key', since: 'time' },
  },
  'prefix.transferred': {
    level: 'info',
    message:
      'This stack took the prefix over from another stack. It runs files that are put from `since` on; earlier files belong to the other stack.',
    fields: { prefix: 'key', since: 'time', from: 'name' },
  },

  // Ingest
  'ingest.repeated': {
    level: 'info',
    message: 'The job has been ingested already, so this repeated message changes nothing.',
    fields: { ...JOB, state: 'code' },
  },
  'ingest.skipped': {
    level: 'info',
    message: 'Another worker is reading this input, so this one leaves it alone.',
    fields: JOB,
  },
  'ingest.overtaken': {
    level: 'warn',
    message: 'Another worker took over the reading of this input. It continues the work; this worker stops.',
    fields: JOB,
  },
  'job.unrecorded': {
    level: 'info',
    message:
      'An operator had this job forgotten while this worker stood still. Nothing of it was recorded again.',
    fields: JOB,
  },
  'scan.checkpointed': {
    level: 'info',
    message: 'The scan of the input wrote a checkpoint. A later invocation can continue from this offset.',
    fields: { ...JOB, generation: 'count', phase: 'code', offset: 'bytes' },
  },
  'scan.restarted': {
    level: 'warn',
    message: 'Checkpoint unusable; restarting the scan of the input from its first byte. No request is lost.',
    fields: { ...JOB, reason: 'reason' },
  },
  'estimate.failed': {
    level: 'warn',
    message:
      'The tokens of this batch cannot be estimated because its requests cannot be read. A quarter of its bytes is reserved instead.',
    fields: { ...BATCH, reason: 'reason' },
  },
  'job.rejected': {
    level: 'warn',
    message: 'The input file cannot be run as a whole, so no request of it is sent. Its receipt says why.',
    fields: { ...JOB, code: 'code' },
  },
  'job.planned': {
    level: 'info',
    message:
      'The input has been read and cut into batches. They are sent to OpenAI as limits and budget allow.',
    fields: { ...JOB, requests: 'count', invalid: 'count', batches: 'count' },
  },
  'refusal.expected': {
    level: 'warn',
    message:
      'OpenAI is sure to refuse these requests, as far as is known (kind: see docs/errors.md; line: the first of them). The route says whether they are sent all the same.',
    fields: { ...JOB, kind: 'code', requests: 'count', line: 'count' },
  },
  'model.deprecated': {
    level: 'warn',
    message:
      'The provider shuts this model down on the date, or has done so. Its requests are sent all the same; those that it refuses after the date fail as model_retired.',
    fields: { ...JOB, model: 'name', date: 'code', requests: 'count', replacements: 'name?' },
    metrics: [{ name: 'EndingModelsUsed', unit: 'Count' }],
  },
  'model.retired': {
    level: 'warn',
    message:
      'OpenAI does not know the model any more, and the day of its shutdown is over. The requests of this batch and of batches that wait for the model fail as model_retired.',
    fields: { ...BATCH, model: 'name' },
  },
  'duplicate.detected': {
    level: 'info',
    message:
      'Another job (owner) has the same content and the same route, so this job is not run. It waits for the results of its owner.',
    fields: { ...JOB, owner: 'id' },
  },

  // Waiting for a turn
  'dispatch.completed': {
    level: 'info',
    message:
      'The waiting batches were compared with limits and budgets. What was admitted is sent now; the next poll decides on the others.',
    fields: {
      waiting: 'count',
      admitted: 'count',
      recut: 'count',
      refused: 'count',
      waitingFor: 'counts',
      oldestWaitingMs: 'ms',
      overBudget: 'count',
      budgetPercent: 'count?',
    },
    metrics: [
      { name: 'BudgetPercent', unit: 'Percent', field: 'budgetPercent' },
      { name: 'BatchesOverBudget', unit: 'Count', field: 'overBudget' },
    ],
  },
  'dispatch.deferred': {
    level: 'info',
    message: 'Batches wait for the next poll because earlier batches wait for the same limits.',
    fields: { ...JOB, waiting: 'count' },
  },
  'suspension.started': {
    level: 'warn',
    message:
      'OpenAI refuses this key or model for a reason that only a person can fix. Batches of the scope wait; one of them is sent now and then to see whether it is fixed.',
    fields: { ...BATCH, scope: 'name', code: 'code' },
  },
  'suspension.continued': {
    level: 'warn',
    message:
      'Batches of this scope are still suspended until a person fixes the reason. The next trial is made at probeAt.',
    fields: { scope: 'name', code: 'code', suspendedAt: 'time', probeAt: 'time', probes: 'count' },
  },
  'budget.exhausted': {
    level: 'warn',
    message:
      'The budget is used up, so the batch waits for a new day or for a larger budget in the settings.',
    fields: BATCH,
  },
  'batch.withdrawn': {
    level: 'info',
    message:
      'The batch was ended before it was sent. `code` says why; without a code, the deadline is near and another tier takes over. Its requests fail with the code, or continue in smaller batches or in that tier.',
    fields: {
      ...BATCH,
      requests: 'count',
      code: 'code?',
      recutTokens: 'count?',
      recutMicrodollars: 'count?',
    },
  },
  'reservation.released': {
    level: 'warn',
    message:
      'A batch that is not on its way any more still had tokens or money reserved, as after a crash. They have been released for other batches.',
    fields: { ...BATCH, reservationId: 'id' },
    metrics: [{ name: 'LedgerDrift', unit: 'Count' }],
  },
  'tier.changed': {
    level: 'info',
    message:
      'The next tiers need the time that is left until the deadline, so the requests of this batch continue there. A batch that is at OpenAI is cancelled first and keeps what it finished.',
    fields: { ...BATCH, state: 'code', from: 'code', to: 'code' },
  },

  // Submit
  'message.dropped': {
    level: 'warn',
    message:
      'The message names work that the table does not have, or does not have yet, so it is dropped. Work that exists is found again by the sweep.',
    fields: { ...JOB, batchId: 'id?' },
  },
  'upload.unconfirmed': {
    level: 'warn',
    message: 'OpenAI does not say how many bytes of the uploaded file it has. The file is used all the same.',
    fields: { filename: 'key', bytes: 'bytes' },
  },
  'creation.deferred': {
    level: 'info',
    message: 'Hourly batch-creation limit reached. The batch is created when its turn comes, after waitMs.',
    fields: { ...BATCH, apiKey: 'name', waitMs: 'ms' },
  },
  'creation.retried': {
    level: 'info',
    message:
      'OpenAI refused to create the batch because it does not have the input file ready. The same file is tried again after waitMs.',
    fields: { ...BATCH, inputFileId: 'id?', status: 'httpStatus', tries: 'count', waitMs: 'ms' },
    metrics: [retryBecauseOf('file_not_ready')],
  },
  'creation.refused': {
    level: 'warn',
    message:
      'OpenAI refused to create the batch. Nothing was charged; the batch is tried again after waitMs.',
    fields: { ...BATCH, status: 'httpStatus', code: 'code?', waitMs: 'ms' },
    metrics: [retryBecauseOf('create_refused')],
  },
  'creation.held': {
    level: 'warn',
    message:
      'OpenAI refused to create this batch each time, so it is held. Fix what the code or the status names, then run `batchdrop resume` for the job.',
    fields: { ...BATCH, status: 'httpStatus', code: 'code?', refusals: 'count' },
  },
  'creation.unconfirmed': {
    level: 'warn',
    message:
      'It cannot be proven whether OpenAI created the batch. It is not sent again, so that nothing is paid twice; the look-up is repeated every hour.',
    fields: { ...BATCH, reason: 'reason', unconfirmedMs: 'ms' },
    metrics: [{ name: 'OldestUnconfirmed', unit: 'Milliseconds', field: 'unconfirmedMs' }],
  },
  'creation.abandoned': {
    level: 'warn',
    message:
      'Whether OpenAI created the batch could not be found out before it must have ended, so it counts as lost. Its requests get their outcome or run again, as the route says.',
    fields: BATCH,
  },
  'lookup.paused': {
    level: 'info',
    message:
      "The search for a batch in OpenAI's list did not fit into this invocation. The next one continues on the following page.",
    fields: { ...BATCH, pages: 'count' },
  },
  'creation.adopted': {
    level: 'warn',
    message:
      'The record of the batch was behind: a create had been started for it. Its result is looked up before anything is sent.',
    fields: { ...BATCH, attempt: 'count' },
  },
  'outcome.adopted': {
    level: 'warn',
    message: 'The record of the batch was behind: its results are collected already. The record now says so.',
    fields: BATCH,
  },
  'batch.submitted': {
    level: 'info',
    message: 'OpenAI created the batch. The poll watches it until it has ended.',
    fields: { ...REMOTE, requests: 'count' },
  },

  // Call
  'slice.completed': {
    level: 'info',
    message:
      'Each request of this slice has been called or is left to the next tier. The answers are collected next.',
    fields: { ...SLICE, requests: 'count' },
  },
  'slice.paused': {
    level: 'info',
    message:
      'The work at this slice stopped before its last answer, because the time was over, OpenAI refused more, or responses are being made in the background (cause: window). A later invocation continues.',
    fields: { ...SLICE, cause: 'code', done: 'count' },
  },
  'responses.retained': {
    level: 'warn',
    message:
      'Responses that were made in the background could not be deleted at OpenAI after their answers were saved. OpenAI removes them by itself, after 30 days as a rule.',
    fields: { ...BATCH, responses: 'count' },
  },
  'save.failed': {
    level: 'warn',
    message:
      'Between two calls of a slice, its answers could not be saved or its job could not be read. The calls continue; both are tried again.',
    fields: { ...SLICE, error: 'code' },
  },
  'tier.refused': {
    level: 'info',
    message:
      'OpenAI does not serve this model in this tier. Requests of this batch continue in the next tier. For 24 hours all other batches of the model skip this tier.',
    fields: { ...SLICE, model: 'name' },
  },
  'pace.discarded': {
    level: 'warn',
    message:
      'What this worker measured of the pace of a model could not be recorded. Answers are kept; the next worker measures again.',
    fields: { ...SLICE, error: 'code' },
  },

  // Poll
  'poll.delayed': {
    level: 'warn',
    message:
      'The poll is late (lastPoll is absent if it never ran), so this worker sweeps overdue work before its own step.',
    fields: { lastPoll: 'time?' },
  },
  'sweep.failed': {
    level: 'warn',
    message: 'The sweep that this worker did for the late poll failed. The next sweep does what was left.',
    fields: { error: 'code' },
  },
  'message.resent': {
    level: 'info',
    message:
      'The work was due and no worker had it: its wait was over, or its message was lost or failed. The sweep sent the message.',
    fields: { ...JOB, batchId: 'id?', state: 'code' },
  },
  'pipeline.sampled': {
    level: 'info',
    message:
      'What this run of the poll found, at most once a minute. Fields of what it did not get to are absent; the next run finds the same again.',
    fields: {
      overdue: 'count?',
      oldestOverdueMs: 'ms?',
      atOpenAI: 'count?',
      unreachable: 'count?',
      late: 'count?',
      silentWebhooks: 'count?',
      waitingFor: 'counts?',
      waiting: 'count?',
      oldestWaitingMs: 'ms?',
      suspended: 'counts?',
      pricesAgeDays: 'count',
    },
    metrics: [
      { name: 'Polls', unit: 'Count' },
      { name: 'OldestOverdue', unit: 'Milliseconds', field: 'oldestOverdueMs' },
      { name: 'BatchesAtOpenAI', unit: 'Count', field: 'atOpenAI' },
      { name: 'BatchesUnreachable', unit: 'Count', field: 'unreachable' },
      { name: 'BatchesLate', unit: 'Count', field: 'late' },
      { name: 'SilentWebhooks', unit: 'Count', field: 'silentWebhooks' },
      { name: 'OldestWaiting', unit: 'Milliseconds', field: 'oldestWaitingMs' },
      { name: 'WaitingForTokens', unit: 'Count', field: 'waitingFor', of: 'tokens' },
      { name: 'WaitingForTurns', unit: 'Count', field: 'waitingFor', of: 'turns' },
      { name: 'WaitingForBudget', unit: 'Count', field: 'waitingFor', of: 'budget' },
      { name: 'WaitingForOperator', unit: 'Count', field: 'waitingFor', of: 'operator' },
      { name: 'WaitingForTime', unit: 'Count', field: 'waitingFor', of: 'time' },
      { name: 'WaitingForRelease', unit: 'Count', field: 'waitingFor', of: 'release' },
      { name: 'WaitingForPause', unit: 'Count', field: 'waitingFor', of: 'paused' },
      { name: 'SuspendedKeys', unit: 'Count', field: 'suspended', of: 'key' },
      { name: 'SuspendedQuotas', unit: 'Count', field: 'suspended', of: 'quota' },
      { name: 'SuspendedBilling', unit: 'Count', field: 'suspended', of: 'billing' },
      { name: 'SuspendedModels', unit: 'Count', field: 'suspended', of: 'model' },
      { name: 'PricesAgeDays', unit: 'None', field: 'pricesAgeDays' },
    ],
  },
  'batches.queried': {
    level: 'info',
    message:
      "OpenAI's list did not show these batches, so the poll asks for them one by one. Those that do not fit into this run are asked for in a later one.",
    fields: { apiKey: 'name', batches: 'count' },
  },
  'poll.shortened': {
    level: 'warn',
    message:
      'The poll had no time to ask for every batch that the list did not show. Each run begins with another one, so all of them get their turn.',
    fields: { apiKey: 'name' },
  },
  'models.listed': {
    level: 'info',
    message:
      'The list of models was asked for with this key (isAllowed: whether the key may), and the shutdown dates in it are kept. It is asked for again in a day.',
    fields: { apiKey: 'name', models: 'count', ending: 'count', isAllowed: 'flag' },
  },
  'models.withheld': {
    level: 'info',
    message:
      'The list of models could not be had, so the shutdown dates stay as they are known. It is asked for again in an hour.',
    fields: { apiKey: 'name', reason: 'reason' },
  },
  'version.refused': {
    level: 'warn',
    message:
      'A version of an API key (the current one, if keyVersion is absent) cannot be used to list batches. Those that no list shows are asked for one by one.',
    fields: { keyVersion: 'id?', reason: 'reason' },
  },
  'batch.ended': {
    level: 'info',
    message: 'The batch has ended at OpenAI. Its results are collected next.',
    fields: { ...REMOTE, status: 'code', rawStatus: 'code?' },
  },
  'batch.stuck': {
    level: 'warn',
    message:
      'The batch is in one state for longer than `stuck` in the settings allows, so it is cancelled at OpenAI. What it finished is kept; its other requests go to the next round while they have tries left.',
    fields: { ...REMOTE, status: 'code' },
    metrics: [{ name: 'BatchesStuck', unit: 'Count' }],
  },
  'batch.vanished': {
    level: 'warn',
    message:
      'OpenAI answers 404 for a batch that it created. The poll asks again; once the batch must have ended, it counts as lost.',
    fields: REMOTE,
  },
  'batch.lost': {
    level: 'warn',
    message:
      'OpenAI does not know the batch, or keeps it unfinished long past its time. Its requests wait, and continue if OpenAI ends it; `batchdrop resume` cannot release them. Ask OpenAI about it, because it may have been charged.',
    fields: REMOTE,
  },
  'batch.abandoned': {
    level: 'warn',
    message:
      'The batch is given up: OpenAI does not know it, or keeps it unfinished long past its time. Its requests run again while they have tries left and the job is not cancelled; the others end as lost_batch.',
    // `by`: of a person who gave it up; absent where its route gives up by itself.
    fields: { ...REMOTE, by: 'arn?' },
  },
  'work.removed': {
    level: 'info',
    message:
      'Files below work/ of jobs that ended longer ago than `workExpiration` (30 days by default) have been removed.',
    fields: { jobs: 'count' },
  },

  // Webhooks
  'webhook.received': {
    level: 'info',
    message: 'A webhook of OpenAI was verified. What it names is looked at next.',
    fields: WEBHOOK,
  },
  'webhook.refused': {
    level: 'warn',
    message:
      'A request to the webhook URL was not proven to be of OpenAI, so nothing of it is used. OpenAI sends again what it did send, and the poll finds out what a webhook does not tell.',
    fields: { status: 'httpStatus', reason: 'code' },
  },
  'webhook.ignored': {
    level: 'info',
    message:
      'A webhook of OpenAI was verified and is of a type that is not used. It was answered, and nothing is done.',
    fields: { webhookId: 'id', type: 'code', apiKey: 'name' },
  },
  'webhook.failed': {
    level: 'error',
    message:
      'A request to the webhook URL could not be answered. OpenAI sends the event again, and the poll finds out what a webhook does not tell.',
    fields: { error: 'error' },
  },
  'secret.missed': {
    level: 'warn',
    message:
      'No signing secret is set for the webhooks of this API key, so they are answered 401. Run `batchdrop webhook register`, or put the secret that OpenAI shows.',
    fields: { apiKey: 'name' },
  },
  'webhook.observed': {
    level: 'info',
    message: 'A webhook was about work of this stack. What OpenAI shows of it is recorded.',
    fields: { ...WEBHOOK, ...BATCH, lagMs: 'ms' },
    metrics: [{ name: 'WebhookLag', unit: 'Milliseconds', field: 'lagMs' }],
  },
  'webhook.repeated': {
    level: 'info',
    message: 'The webhook has been dealt with already, so nothing is read or done.',
    fields: WEBHOOK,
  },
  'webhook.dismissed': {
    level: 'info',
    message:
      'What the webhook names is not of this stack: another application of the project made it, or OpenAI still answered 404 after five minutes of looking. Nothing is done.',
    fields: WEBHOOK,
  },
  'webhook.skipped': {
    level: 'warn',
    message:
      'Too many webhooks of the last hour were about work of other applications, so what this one names is not read. The poll finds out. Give batchdrop an OpenAI project of its own.',
    fields: WEBHOOK,
  },
  'webhook.deferred': {
    level: 'info',
    message:
      'What the webhook names cannot be recorded yet: its record or its end is on the way, or OpenAI does not know it yet. It is looked at again after waitMs; the poll finds out, too.',
    fields: { ...WEBHOOK, waitMs: 'ms', tries: 'count' },
  },
  'webhook.abandoned': {
    level: 'warn',
    message:
      'What the webhook names could not be recorded for five minutes: its record or its end did not come. The poll finds out.',
    fields: WEBHOOK,
  },
  'webhook.postponed': {
    level: 'warn',
    message:
      'What the webhook names cannot be read, because its API key cannot be used. The poll finds out once it can.',
    fields: { ...WEBHOOK, reason: 'reason' },
  },
  'webhook.missed': {
    level: 'warn',
    message:
      'A batch, or a response in the background, had ended and no webhook had reported it. If none comes within two minutes, everything is looked at as often as without webhooks, until the next one arrives.',
    fields: { ...BATCH, openaiBatchId: 'id?', responseId: 'id?', apiKey: 'name' },
  },

  // A restored table
  'table.restored': {
    level: 'warn',
    message:
      'The table was restored to an earlier time. The poll now looks for batches and jobs that were made since, so that nothing runs twice.',
    fields: { poll: 'count', seen: 'count' },
  },
  'key.refused': {
    level: 'warn',
    message:
      'After a restore of the table, OpenAI refuses this API key (keyVersion, or the current version), so its batches were not compared with the records. The next poll tries again. Set a valid key.',
    fields: { apiKey: 'name', keyVersion: 'id?', reason: 'reason' },
  },
  'list.repeated': {
    level: 'warn',
    message:
      'A list of OpenAI leads back to an earlier cursor. Reading stops here, and the next run begins again.',
    fields: { cursor: 'id' },
  },
  'batch.orphaned': {
    level: 'warn',
    message:
      'A batch of this stack at OpenAI is in no record, so its results are not collected. Cancel it at OpenAI if it is not wanted.',
    fields: {
      jobId: 'id?',
      batchId: 'id?',
      nonce: 'id?',
      openaiBatchId: 'id',
      status: 'code',
      reason: 'reason',
    },
  },
  'batch.adopted': {
    level: 'warn',
    message:
      'The record of the batch was behind: it runs at OpenAI. The record now says so, and the batch is polled.',
    fields: REMOTE,
  },
  'job.adopted': {
    level: 'warn',
    message:
      'A job of this stack was missing in the table. It was recorded again from its files and continues.',
    fields: JOB,
  },
  'file.deleted': {
    level: 'info',
    message: 'An input file at OpenAI that no batch needs was deleted.',
    fields: { fileId: 'id', filename: 'key' },
  },
  'cleanup.deferred': {
    level: 'info',
    message:
      'The run had no time to delete all input files at OpenAI that no batch needs. The next hour deletes the others.',
    fields: { found: 'count' },
  },

  // Collect
  'batch.collected': {
    level: 'info',
    message: 'Every request of the batch has its outcome or a place in the next round.',
    fields: {
      ...SLICE,
      succeeded: 'count',
      failed: 'count',
      retried: 'count',
      failedByCode: 'counts',
      possiblyBilledTwice: 'counts',
      incomplete: 'count',
      filtered: 'count',
      cutOtherwise: 'count',
      repairedLines: 'count',
      strayLines: 'count',
      inputTokens: 'count',
      outputTokens: 'count',
      usd: 'usd',
    },
    metrics: [
      { name: 'RequestsSucceeded', unit: 'Count', field: 'succeeded', by: BY_TIER },
      { name: 'RequestsFailed', unit: 'Count', field: 'failed', by: BY_TIER },
      { name: 'InputTokens', unit: 'Count', field: 'inputTokens' },
      { name: 'OutputTokens', unit: 'Count', field: 'outputTokens' },
      { name: 'Usd', unit: 'None', field: 'usd' },
    ],
  },
  'collect.paused': {
    level: 'info',
    message: 'The results of the batch did not fit into this invocation. The next one continues.',
    fields: BATCH,
  },
  'collect.delayed': {
    level: 'warn',
    message:
      'The results of the batch cannot be fetched because its API key cannot be used. They are asked for again in ten minutes.',
    fields: { ...BATCH, apiKey: 'name', reason: 'reason' },
  },
  'download.restarted': {
    level: 'warn',
    message: 'Checkpoint unusable; restarting the download of a result file from its first byte.',
    fields: { ...BATCH, fileId: 'id', reason: 'reason' },
  },
  'batch.recut': {
    level: 'info',
    message:
      'The batch was cut into parts, because it was too large for a limit or a budget, or because its requests are called one by one from now on. The parts are sent next.',
    fields: { ...BATCH, parts: 'count' },
  },
  'batch.resent': {
    level: 'warn',
    message:
      'OpenAI failed the batch, and nothing shows that it ran any request. The same requests wait for their turn again, at least for waitMs, and go in a new batch.',
    fields: {
      ...BATCH,
      openaiBatchId: 'id?',
      code: 'code',
      waitMs: 'ms',
      counted: 'code?',
      tries: 'count?',
    },
    metrics: [retryBecauseOf('batch_failed')],
  },
  'batch.held': {
    level: 'warn',
    message:
      'OpenAI failed this batch several times, and nothing shows that it ran any request, so it is held. Fix the reason in code, then run `batchdrop resume` for the job.',
    fields: { ...BATCH, openaiBatchId: 'id?', code: 'code', resends: 'count' },
  },
  'usage.mismatched': {
    level: 'warn',
    message:
      'OpenAI reports other tokens for the batch than its result lines add up to. The cost in the receipt is that of the lines.',
    fields: {
      ...BATCH,
      openaiBatchId: 'id?',
      reportedInputTokens: 'count',
      reportedOutputTokens: 'count',
      countedInputTokens: 'count',
      countedOutputTokens: 'count',
    },
  },

  // Finalize
  'finalize.skipped': {
    level: 'info',
    message: 'Another worker finalizes this job, or has done so, so this one leaves it alone.',
    fields: JOB,
  },
  'finalize.postponed': {
    level: 'info',
    message: 'The job cannot be finalized yet. It is tried again after waitMs.',
    fields: { ...JOB, reason: 'reason', waitMs: 'ms' },
  },
  'finalize.paused': {
    level: 'info',
    message: 'Merging the results did not fit into this invocation. The next one continues.',
    fields: JOB,
  },
  'merge.restarted': {
    level: 'warn',
    message: 'Checkpoint unusable; restarting the merge of the results. No result is lost.',
    fields: { ...JOB, reason: 'reason' },
  },
  'job.completed': {
    level: 'info',
    message: 'The job has ended. Its results and its receipt are written, and a JobCompleted event was sent.',
    fields: {
      ...JOB,
      key: 'key',
      result: 'code',
      requests: 'count',
      succeeded: 'count',
      failed: 'count',
      // 0 of a job that was cancelled: a person decided that its requests have no answers.
      failedUncancelled: 'count',
      invalid: 'count',
      totalMs: 'ms',
      isLate: 'flag',
    },
    metrics: [
      { name: 'JobsCompleted', unit: 'Count' },
      { name: 'RequestsEnded', unit: 'Count', field: 'requests' },
      { name: 'RequestsEndedFailed', unit: 'Count', field: 'failedUncancelled' },
      { name: 'RequestsEndedInvalid', unit: 'Count', field: 'invalid' },
      { name: 'TimeToResult', unit: 'Milliseconds', field: 'totalMs' },
      { name: 'DeadlinesMissed', unit: 'Count', field: 'isLate' },
    ],
  },
  'deletion.skipped': {
    level: 'warn',
    message:
      'There was no time to delete all files of the job at OpenAI. The poll deletes the input files later, and OpenAI each result file 30 days after it was made; the results are not affected.',
    fields: { ...JOB, batches: 'count' },
  },
  'deletion.failed': {
    level: 'warn',
    message:
      'Files at OpenAI that are not needed any more could not be deleted. The poll deletes input files later, and OpenAI each result file 30 days after it was made; the results are not affected.',
    fields: { ...JOB, batchId: 'id?', error: 'code' },
  },
  'duplicate.deferred': {
    level: 'info',
    message: 'The job waits for its owner, the job of the same content, which has not ended yet.',
    fields: { ...JOB, owner: 'id?' },
  },
  'duplicate.started': {
    level: 'info',
    message:
      'The job of the same content has no results that this one can share, so this one is run after all.',
    fields: { ...JOB, owner: 'id?' },
  },
  'duplicate.answered': {
    level: 'info',
    message:
      'The job of the same content (owner) has ended. Its results are the results of this job as well.',
    fields: { ...JOB, owner: 'id' },
  },
  'duplicate.cancelled': {
    level: 'info',
    message: 'The job waited for another one of the same content (owner) and was cancelled with it.',
    fields: { ...JOB, owner: 'id' },
  },

  // What a person asks for
  'job.cancelled': {
    level: 'info',
    message:
      'The job was cancelled. Nothing more of it is sent; what is finished is kept, and the receipt follows.',
    fields: { ...JOB, duplicates: 'count', duplicatesRun: 'flag', by: 'arn?' },
  },
  'cancellation.requested': {
    level: 'info',
    message: 'OpenAI was asked to cancel the batch. The poll waits until it has ended.',
    fields: REMOTE,
  },
  'batch.resumed': {
    level: 'info',
    message: 'A person released the held batch. It is sent as soon as limits and budget allow.',
    fields: { ...BATCH, by: 'arn?' },
  },
  'suspension.lifted': {
    level: 'info',
    message:
      'A person lifted the suspension of this key or model. The next poll sends what waits for it; should the provider refuse it again, it is suspended again.',
    fields: { scope: 'name', by: 'arn', reason: 'reason?' },
  },
  'pause.started': {
    level: 'warn',
    message:
      'A person paused this route, or the stack where no route is named. Nothing new of it is sent; what is at the provider is collected, and deadlines keep running.',
    fields: { route: 'name?', by: 'arn' },
  },
  'pause.ended': {
    level: 'info',
    message: 'A person ended the pause. The next poll sends what waits.',
    fields: { route: 'name?', by: 'arn' },
  },
  'job.retried': {
    level: 'info',
    message:
      'A person had what did not succeed of this job dropped as a new input. The new job is named after the key.',
    fields: { ...JOB, key: 'key', number: 'count', by: 'arn' },
  },
  'job.forgotten': {
    level: 'warn',
    message:
      'A person had everything removed that this job had left. Its id, and who did it, is all that is kept.',
    fields: { ...JOB, objects: 'count', by: 'arn' },
  },
  'act.refused': {
    level: 'warn',
    message: 'A request of an operator was refused. The answer says why, and nothing was changed.',
    fields: { action: 'code?', code: 'code', by: 'arn?' },
  },
  'act.failed': {
    level: 'error',
    message: 'A request of an operator failed, and may be done in part. Each act may be repeated safely.',
    fields: { error: 'error' },
  },

  // Steps, leases and retries
  'step.failed': {
    level: 'error',
    message: 'A step failed. Its message comes back after waitMs and is tried again.',
    fields: { error: 'error', waitMs: 'ms' },
    metrics: [retryBecauseOf('step_failed')],
  },
  'poll.failed': {
    level: 'error',
    message: 'The poll failed, in whole or in part. The next scheduled run tries again.',
    fields: { error: 'error' },
    metrics: [{ name: 'PollsFailed', unit: 'Count' }],
  },
  'visibility.unchanged': {
    level: 'warn',
    message:
      'The time of the retry could not be set, so the message comes back only after the visibility timeout of its queue.',
    fields: { error: 'error' },
  },
  'step.skipped': {
    level: 'info',
    message: 'The step has to wait, and another worker or the sweep continues with the batch.',
    fields: { ...BATCH, reason: 'reason' },
  },
  'step.postponed': {
    level: 'info',
    message: 'The step has to wait. It is tried again after waitMs.',
    fields: { ...BATCH, reason: 'reason', waitMs: 'ms' },
  },
  'batch.delayed': {
    level: 'warn',
    message: 'A step of the batch failed several times. The batch waits for waitMs before the next try.',
    fields: { ...BATCH, state: 'code', failures: 'count', waitMs: 'ms', reason: 'reason' },
    metrics: [retryBecauseOf('batch_delayed')],
  },
  'job.delayed': {
    level: 'warn',
    message:
      'A step of the job failed several times. The job is tried again at nextAt; if isHeld, only every six hours until a person fixes the reason.',
    fields: {
      ...JOB,
      state: 'code',
      tries: 'count',
      reason: 'reason',
      since: 'time',
      nextAt: 'time',
      isHeld: 'flag',
    },
    metrics: [retryBecauseOf('job_delayed'), { name: 'JobsHeld', unit: 'Count', field: 'isHeld' }],
  },
  'renewal.failed': {
    level: 'warn',
    message: 'A lease could not be renewed; trying again. The work stops if the lease runs out.',
    fields: { lease: 'reason', leftMs: 'ms', reason: 'reason' },
  },
  'lease.lost': {
    level: 'warn',
    message: 'Another worker has the lease now. It continues the work; this worker changes nothing more.',
    fields: { lease: 'reason' },
  },
} as const satisfies Readonly<Record<`${string}.${string}`, EventRow>>;

/** The name of an event. */
export type EventName = keyof typeof EVENTS;

type MetricsOf<Row> = Row extends { metrics: readonly { name: infer Name }[] } ? Name : never;

/** The name of a metric of events. */
export type MetricName = MetricsOf<(typeof EVENTS)[EventName]>;

/** The fields of an event. */
export type EventFields<Name extends EventName> = FieldsOf<(typeof EVENTS)[Name]['fields']>;

/** What a worker knows of its invocation, and adds to each event. */
export const INVOCATION_FIELDS = {
  messageId: 'id?',
  receiveCount: 'count?',
  jobId: 'id?',
  batchId: 'id?',
} as const satisfies FieldKinds;

/** Values of {@link INVOCATION_FIELDS}. */
export type InvocationFields = FieldsOf<typeof INVOCATION_FIELDS>;
