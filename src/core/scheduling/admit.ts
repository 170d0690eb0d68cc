/**
 * Which waiting batches may go, in which order: oldest job first, but fair. Of several jobs that want the same
 * model's tokens, the one with the fewest batches on their way is next, the older of two that have as many; so each
 * gets a turn, whatever the others have dropped. What is next and does not fit yet keeps its place: nothing smaller
 * overtakes it on its ledger, so nothing starves.
 */
import type { QuotaSettings } from '../../contract/quota.ts';
import { apiKeyOf, type BatchRecord, isSlice, tokensOf } from '../model/batch.ts';
import { byRoundAndPlace } from '../model/batch-id.ts';
import type { Ledger, Reservation } from '../model/ledger.ts';
import type { Suspension } from '../model/suspension.ts';
import type { Demand } from '../ports/quota.ts';
import type { Prices } from '../pricing/prices.ts';
import { judgeMoney, type MoneyRules, type MoneyVerdict } from './budget.ts';
import { hasRoom, newLedger, reserveOn } from './ledger.ts';
import { backlogScopeOf, ledgerOf, suspensionScopesOf, tokensLedgerOf } from './scopes.ts';
import { RECUT_SHARE, SURELY_SMALL_SHARE, type TokenLimit, tokenLimitOf } from './token-limit.ts';

/** Everything that a decision depends on. */
export interface Situation {
  waiting: readonly BatchRecord[];
  /** What is on its way already. */
  held: readonly Pick<Reservation, 'jobId' | 'amounts'>[];
  ledgers: ReadonlyMap<string, Ledger>;
  suspensions: ReadonlyMap<string, Suspension>;
  /** Batches that may be created in this hour, by the API key that they are created with. */
  turnsLeft: ReadonlyMap<string, number>;
  quota: QuotaSettings;
  /** What the route of a batch says of money. */
  rulesOf: (batch: BatchRecord) => MoneyRules;
  prices: Prices;
  now: number;
}

/** Why a batch keeps waiting. */
export type WaitingFor = 'tokens' | 'turns' | 'budget' | 'operator' | 'time' | 'release';

export interface Admission {
  batch: BatchRecord;
  demands: Demand[];
  /** Suspended scopes that this batch is to probe. */
  probes: string[];
}

/** A batch that cannot go as it is: to be cut into batches of at most `tokens`, or, with one request, to fail. */
export interface Recut {
  batch: BatchRecord;
  tokens: number;
  limit: number;
}

/** A batch that is to be cut into batches that cost at most so many millionths of a USD. */
export interface Cut {
  batch: BatchRecord;
  microdollars: number;
}

/** A batch that must not go: its requests fail. */
export interface Refused {
  batch: BatchRecord;
  code: string;
  message: string;
}

export interface Decisions {
  /** In the order in which they are to go. */
  admissions: Admission[];
  recuts: Recut[];
  cuts: Cut[];
  refused: Refused[];
  /** What waits although nothing that is on its way can make room for it. */
  exhausted: BatchRecord[];
  waitingFor: Map<WaitingFor, number>;
  /** The scopes for which batches still wait, see `backlogScopeOf`. */
  backlog: Set<string>;
}

/**
 * So many refusals of one batch may say that it has more tokens than we think: it is halved, unless it is so small
 * that no error of ours explains them.
 */
const REFUSALS_UNTIL_HALVED = 3;

/** Pure; see the top of this file for the rules. */
export function admit(situation: Situation): Decisions {
  const decisions: Decisions = {
    admissions: [],
    recuts: [],
    cuts: [],
    refused: [],
    exhausted: [],
    waitingFor: new Map(),
    backlog: new Set(),
  };
  const waitFor = (what: WaitingFor, batches: readonly BatchRecord[]): void => {
    decisions.waitingFor.set(what, (decisions.waitingFor.get(what) ?? 0) + batches.length);
    // Neither waits for room, so no batch waits behind them.
    if (what === 'time' || what === 'release') return;
    for (const batch of batches) decisions.backlog.add(backlogScopeOf(batch, what));
  };
  const leave = (lines: readonly Line[], what: WaitingFor): void => {
    for (const line of lines) if (line.batches.length > 0) waitFor(what, line.batches.splice(0));
  };
  const { suspensions, quota, now } = situation;
  const limits = new Map<string, TokenLimit>();
  const limitOf = (batch: BatchRecord): TokenLimit => {
    const { model } = batch;
    const name = tokensLedgerOf(batch);
    const limit =
      limits.get(name) ?? tokenLimitOf(situation.ledgers.get(name), model, configuredFor(quota, model), now);
    limits.set(name, limit);
    return limit;
  };

  const ledgers = new Map(situation.ledgers);
  const judgeOf = (batch: BatchRecord): MoneyVerdict =>
    judgeMoney(batch, situation.rulesOf(batch), ledgers, situation.prices, now);
  const free: BatchRecord[] = [];
  const suspended: { batch: BatchRecord; scopes: string[] }[] = [];
  for (const batch of situation.waiting) {
    if (batch.hold?.at !== undefined) {
      waitFor('release', [batch]);
      continue;
    }
    if ((batch.wait?.notBefore ?? 0) > now) {
      waitFor('time', [batch]);
      continue;
    }
    const recut = isSlice(batch)
      ? undefined
      : recutOf(batch, limitOf(batch), configuredFor(quota, batch.model));
    if (recut !== undefined) {
      decisions.recuts.push(recut);
      continue;
    }
    const scopes = suspensionScopesOf(batch).filter((scope) => suspensions.has(scope));
    if (scopes.length === 0) free.push(batch);
    else if (scopes.every((scope) => suspensions.get(scope)!.probeAt <= now))
      suspended.push({ batch, scopes });
    else waitFor('operator', [batch]);
  }

  const probesOf = new Map<BatchRecord, string[]>();
  const probing = new Set<string>();
  // The smallest: whatever it costs to find out that nothing has changed, is wasted.
  for (const { batch, scopes } of suspended.sort((one, other) => one.batch.bytes - other.batch.bytes)) {
    if (scopes.some((scope) => probing.has(scope))) {
      waitFor('operator', [batch]);
      continue;
    }
    if (judgeOf(batch).kind !== 'fits') {
      // It will not go, so it is no probe.
      free.push(batch);
      continue;
    }
    for (const scope of scopes) probing.add(scope);
    probesOf.set(batch, scopes);
    free.push(batch);
  }

  const lines = lineUp(free, situation.held);
  // One batch at a time for each budget: what is cut off the first one may be all that there is room for.
  const cutting = new Set<string>();
  const turnsLeft = new Map(situation.turnsLeft);
  for (let line = takeNext(lines); line !== undefined; line = takeNext(lines)) {
    const batch = line.batches[0]!;
    const money = judgeOf(batch);
    if (money.kind !== 'fits') {
      // Budgets are each other's business: this batch holds up no other on the ledger of its tokens.
      line.batches.shift();
      if (money.kind === 'refuse')
        decisions.refused.push({ batch, code: money.code, message: money.message });
      else if (money.kind === 'cut' && !cutting.has(money.ledger)) {
        cutting.add(money.ledger);
        decisions.cuts.push({ batch, microdollars: money.microdollars });
      } else {
        waitFor('budget', [batch]);
        if (money.kind === 'wait' && money.isExhausted) decisions.exhausted.push(batch);
      }
      continue;
    }
    const name = line.ledger;
    const ledger = ledgers.get(name) ?? newLedger(name, now);
    const demand = isSlice(batch)
      ? { ledger: name, amount: 1, limit: quota.concurrentSlices }
      : demandOf(batch, limitOf(batch));
    const turns = turnsLeft.get(line.apiKey) ?? 0;
    if (turns <= 0 && !isSlice(batch))
      leave(
        lines.filter(({ isOfSlices, apiKey }) => !isOfSlices && apiKey === line.apiKey),
        'turns',
      );
    else if ((ledger.pausedUntil ?? 0) > now || !hasRoom(ledger, demand)) {
      leave(
        lines.filter((other) => other.ledger === name),
        'tokens',
      );
    } else {
      const demands = [demand, ...money.demands];
      const id = `${batch.jobId}/${batch.batchId}`;
      for (const one of demands) ledgers.set(one.ledger, reserveOn(ledgers.get(one.ledger), one, id, now)!);
      line.batches.shift();
      line.onTheirWay++;
      if (!isSlice(batch)) turnsLeft.set(line.apiKey, turns - 1);
      decisions.admissions.push({ batch, demands, probes: probesOf.get(batch) ?? [] });
    }
  }
  return decisions;
}

/** The user's own limit for a model. */
export function configuredFor(quota: QuotaSettings, model: string): number | undefined {
  return Object.hasOwn(quota.enqueuedTokens, model) ? quota.enqueuedTokens[model] : undefined;
}

function demandOf(batch: BatchRecord, { ceiling, probes, known }: TokenLimit): Demand {
  const demand = {
    ledger: tokensLedgerOf(batch),
    amount: tokensOf(batch),
    limit: ceiling,
    allowWhenIdle: true,
  };
  if (probes === 0) return demand;
  const { jobId, bytes, jobBytes = 0 } = batch;
  const riskedBytes = Math.max(PROBED_SHARE * jobBytes, PROBED_BATCHES * bytes);
  const most = known ?? Number.MAX_SAFE_INTEGER;
  return { ...demand, probe: { jobId, bytes, count: probes, jobBytes: riskedBytes, most } };
}

/**
 * What of a job may be unjudged at a time: a fortieth of its bytes, or two batches, whichever is more. With what is
 * refused later on, less than a twentieth of a job's bytes is sent to no avail.
 */
const PROBED_SHARE = 0.025;
const PROBED_BATCHES = 2;

/**
 * Whether a batch has to be cut again, or to fail. A single request above the limit that OpenAI reported is sent
 * once, alone, before it fails: its tokens are an estimate.
 */
function recutOf(
  batch: BatchRecord,
  { known, assumed }: TokenLimit,
  configured: number | undefined,
): Recut | undefined {
  const tokens = tokensOf(batch);
  const refusals = batch.history?.tokenRefusals ?? 0;
  if (batch.requests === 1) {
    if (known === undefined || tokens <= known) return undefined;
    const isSurelyAbove = refusals > 0 || (configured !== undefined && tokens > configured);
    return isSurelyAbove ? { batch, tokens: known, limit: known } : undefined;
  }
  const most = known === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(known * RECUT_SHARE));
  if (tokens > most) return { batch, tokens: most, limit: known! };
  if (refusals < REFUSALS_UNTIL_HALVED || tokens < assumed * SURELY_SMALL_SHARE) return undefined;
  return { batch, tokens: Math.max(1, Math.floor(tokens / 2)), limit: assumed };
}

/** The batches of one job that want the same ledger, in order. */
interface Line {
  jobId: string;
  jobCreatedAt: number;
  apiKey: string;
  ledger: string;
  isOfSlices: boolean;
  batches: BatchRecord[];
  onTheirWay: number;
}

function lineUp(batches: readonly BatchRecord[], held: Situation['held']): Line[] {
  const keyOf = (jobId: string, ledger: string): string => `${jobId} ${ledger}`;
  const onTheirWay = new Map<string, number>();
  for (const { jobId, amounts } of held) {
    for (const { ledger } of amounts) {
      const key = keyOf(jobId, ledger);
      onTheirWay.set(key, (onTheirWay.get(key) ?? 0) + 1);
    }
  }
  const lines = new Map<string, Line>();
  for (const batch of batches) {
    const { jobId } = batch;
    const ledger = ledgerOf(batch);
    const key = keyOf(jobId, ledger);
    const line = lines.get(key) ?? {
      jobId,
      jobCreatedAt: ageOf(batch),
      apiKey: apiKeyOf(batch),
      ledger,
      isOfSlices: isSlice(batch),
      batches: [],
      onTheirWay: onTheirWay.get(key) ?? 0,
    };
    line.batches.push(batch);
    lines.set(key, line);
  }
  for (const line of lines.values()) {
    // Later rounds first: their jobs are nearer to their end.
    line.batches.sort((one, other) => other.round - one.round || byRoundAndPlace(one, other));
  }
  return [...lines.values()];
}

/** The line whose turn it is; `undefined` if none is left. */
function takeNext(lines: readonly Line[]): Line | undefined {
  let next: Line | undefined;
  for (const line of lines) {
    if (line.batches.length > 0 && (next === undefined || isBefore(line, next))) next = line;
  }
  return next;
}

function isBefore(one: Line, other: Line): boolean {
  if (one.onTheirWay !== other.onTheirWay) return one.onTheirWay < other.onTheirWay;
  if (one.jobCreatedAt !== other.jobCreatedAt) return one.jobCreatedAt < other.jobCreatedAt;
  return one.jobId < other.jobId;
}

/** Since when a batch's job waits. */
export function ageOf(batch: Pick<BatchRecord, 'jobCreatedAt' | 'createdAt'>): number {
  return batch.jobCreatedAt ?? batch.createdAt;
}
