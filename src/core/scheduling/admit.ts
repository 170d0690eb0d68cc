/**
 * Which waiting batches may go, in which order: oldest job first, but fair. Of several jobs that want the same
 * model's tokens, the one with the fewest batches on their way is next, the older of two that have as many; so each
 * gets a turn, whatever the others have dropped. What is next and does not fit yet keeps its place: nothing smaller
 * overtakes it on its ledger, so nothing starves.
 */
import type { QuotaSettings } from '../../contract/quota.ts';
import { isWindowTier } from '../../contract/route.ts';
import { apiKeyOf, type BatchRecord, isSlice, tierOf, tokensOf } from '../model/batch.ts';
import type { Ledger, Reservation } from '../model/ledger.ts';
import type { StatedError } from '../model/outcome-codes.ts';
import { PAUSED, type Pause, pauseOf } from '../model/pause.ts';
import type { Suspension } from '../model/suspension.ts';
import type { QuotaRules } from '../ports/provider-rules.ts';
import type { Demand } from '../ports/quota.ts';
import type { Prices } from '../pricing/prices.ts';
import { judgeMoney, type MoneyRules, type MoneyVerdict } from './budget.ts';
import { hasRoom, newLedger, reserveOn } from './ledger.ts';
import { nextQueue, type Queue, queuesOf } from './queues.ts';
import { backlogScopeOf, suspensionScope, suspensionScopesOf, tokensLedgerOf } from './scopes.ts';
import {
  configuredFor,
  givenLimitOf,
  RECUT_SHARE,
  SURELY_SMALL_SHARE,
  type TokenLimit,
  tokenLimitOf,
} from './token-limit.ts';

/** Everything that a decision depends on. */
export interface Situation {
  waiting: readonly BatchRecord[];
  /** What is on its way already. */
  reservations: readonly Pick<Reservation, 'jobId' | 'amounts'>[];
  ledgers: ReadonlyMap<string, Ledger>;
  suspensions: ReadonlyMap<string, Suspension>;
  /** Of what nothing new is sent. */
  pauses: readonly Pause[];
  /** By scope, the models that are gone for good, with what their requests fail with. */
  retired: ReadonlyMap<string, StatedError>;
  /** Batches that may be created in this hour, by the API key that they are created with. */
  turnsLeft: ReadonlyMap<string, number>;
  quota: QuotaSettings;
  /** What the provider says of limits. */
  quotaRules: QuotaRules;
  /** What the route of a batch says of money. */
  rulesOf: (batch: BatchRecord) => MoneyRules;
  prices: Prices;
  now: number;
}

/** Why a batch keeps waiting. */
export type WaitingFor = 'tokens' | 'turns' | 'budget' | 'operator' | 'time' | 'release' | typeof PAUSED;

/** A batch that may be sent, and what is reserved for it. */
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

/** What becomes of the batches that wait. */
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
  return new AdmissionPlan(situation).decide();
}

/** A batch of which a scope is suspended, but may be probed. */
interface Suspended {
  batch: BatchRecord;
  scopes: string[];
}

/** What is decided of the waiting batches one after the other, and what is left for those that follow. */
class AdmissionPlan {
  readonly #situation: Situation;
  readonly #decisions: Decisions = {
    admissions: [],
    recuts: [],
    cuts: [],
    refused: [],
    exhausted: [],
    waitingFor: new Map(),
    backlog: new Set(),
  };
  /** With what the admissions so far reserve. */
  readonly #ledgers: Map<string, Ledger>;
  readonly #turnsLeft: Map<string, number>;
  readonly #limits = new Map<string, TokenLimit>();
  /** Batches that go once there is room. */
  readonly #candidates: BatchRecord[] = [];
  readonly #suspended: Suspended[] = [];
  readonly #probesOf = new Map<BatchRecord, string[]>();
  /** One batch at a time for each budget: what is cut off the first one may be all that there is room for. */
  readonly #cutting = new Set<string>();

  constructor(situation: Situation) {
    this.#situation = situation;
    this.#ledgers = new Map(situation.ledgers);
    this.#turnsLeft = new Map(situation.turnsLeft);
  }

  decide(): Decisions {
    for (const batch of this.#situation.waiting) this.#sort(batch);
    this.#chooseProbes();
    const queues = queuesOf(this.#candidates, this.#situation.reservations);
    for (let queue = nextQueue(queues); queue !== undefined; queue = nextQueue(queues)) {
      const money = this.#judgeMoney(queue.batches[0]!);
      if (money.kind === 'fits') this.#admitFirst(queue, queues, money.demands);
      // A batch that waits for money does not hold up those that wait for tokens.
      else this.#keepForMoney(queue.batches.shift()!, money);
    }
    return this.#decisions;
  }

  /** Separates batches that may go from those that wait whatever room there is, and from those that are cut. */
  #sort(batch: BatchRecord): void {
    if (pauseOf(this.#situation.pauses, batch.route) !== undefined) this.#wait(PAUSED, [batch]);
    else if (batch.hold?.at !== undefined) this.#wait('release', [batch]);
    else if ((batch.wait?.notBefore ?? 0) > this.#situation.now) this.#wait('time', [batch]);
    else {
      const recut = this.#recutOf(batch);
      if (recut === undefined) this.#sortBySuspension(batch);
      else this.#decisions.recuts.push(recut);
    }
  }

  #recutOf(batch: BatchRecord): Recut | undefined {
    if (isSlice(batch)) return undefined;
    return recutOf(batch, this.#limitOf(batch), configuredFor(this.#situation.quota, batch.model));
  }

  #sortBySuspension(batch: BatchRecord): void {
    const { suspensions, retired, now } = this.#situation;
    const error = retired.get(suspensionScope(apiKeyOf(batch), batch.model));
    if (error !== undefined) {
      this.#decisions.refused.push({ batch, ...error });
      return;
    }
    const scopes = suspensionScopesOf(batch).filter((scope) => suspensions.has(scope));
    if (scopes.length === 0) this.#candidates.push(batch);
    else if (scopes.every((scope) => suspensions.get(scope)!.probeAt <= now))
      this.#suspended.push({ batch, scopes });
    else this.#wait('operator', [batch]);
  }

  /** One probe for each suspended scope: the smallest batch, since its costs are lost if nothing has changed. */
  #chooseProbes(): void {
    const probing = new Set<string>();
    this.#suspended.sort((one, other) => one.batch.bytes - other.batch.bytes);
    for (const { batch, scopes } of this.#suspended) {
      if (scopes.some((scope) => probing.has(scope))) {
        this.#wait('operator', [batch]);
        continue;
      }
      this.#candidates.push(batch);
      // Without money it does not go, so it is no probe.
      if (this.#judgeMoney(batch).kind !== 'fits') continue;
      for (const scope of scopes) probing.add(scope);
      this.#probesOf.set(batch, scopes);
    }
  }

  /** Admits the first batch of a queue; if there is no room, all that want the same wait behind it. */
  #admitFirst(queue: Queue, queues: readonly Queue[], moneyDemands: readonly Demand[]): void {
    const { quota, now } = this.#situation;
    const batch = queue.batches[0]!;
    const ledger = this.#ledgers.get(queue.ledger) ?? newLedger(queue.ledger, now);
    const demand = queue.isOfSlices
      ? { ledger: queue.ledger, amount: 1, limit: slicesAtATime(batch, quota) }
      : demandOf(batch, this.#limitOf(batch));
    const turns = this.#turnsLeft.get(queue.apiKey) ?? 0;
    if (turns <= 0 && !queue.isOfSlices) {
      const isStopped = ({ isOfSlices, apiKey }: Queue) => !isOfSlices && apiKey === queue.apiKey;
      this.#leave(queues.filter(isStopped), 'turns');
    } else if ((ledger.pausedUntil ?? 0) > now || !hasRoom(ledger, demand)) {
      this.#leave(
        queues.filter((other) => other.ledger === queue.ledger),
        'tokens',
      );
    } else {
      const demands = [demand, ...moneyDemands];
      this.#reserve(batch, demands);
      queue.batches.shift();
      queue.onTheirWay++;
      if (!queue.isOfSlices) this.#turnsLeft.set(queue.apiKey, turns - 1);
      this.#decisions.admissions.push({ batch, demands, probes: this.#probesOf.get(batch) ?? [] });
    }
  }

  #reserve({ jobId, batchId }: BatchRecord, demands: readonly Demand[]): void {
    for (const demand of demands) {
      const reserved = reserveOn(
        this.#ledgers.get(demand.ledger),
        demand,
        `${jobId}/${batchId}`,
        this.#situation.now,
      );
      this.#ledgers.set(demand.ledger, reserved!);
    }
  }

  /** A batch that its budget does not let go as it is: refused, cut, or waiting. */
  #keepForMoney(batch: BatchRecord, money: Exclude<MoneyVerdict, { kind: 'fits' }>): void {
    const { refused, cuts, exhausted } = this.#decisions;
    if (money.kind === 'refuse') {
      refused.push({ batch, code: money.code, message: money.message });
    } else if (money.kind === 'cut' && !this.#cutting.has(money.ledger)) {
      this.#cutting.add(money.ledger);
      cuts.push({ batch, microdollars: money.microdollars });
    } else {
      this.#wait('budget', [batch]);
      if (money.kind === 'wait' && money.isExhausted) exhausted.push(batch);
    }
  }

  #judgeMoney(batch: BatchRecord): MoneyVerdict {
    const { rulesOf, prices, now } = this.#situation;
    return judgeMoney(batch, rulesOf(batch), this.#ledgers, prices, now);
  }

  #limitOf(batch: BatchRecord): TokenLimit {
    const { ledgers, quota, quotaRules, now } = this.#situation;
    const name = tokensLedgerOf(batch);
    const limit =
      this.#limits.get(name) ??
      tokenLimitOf(ledgers.get(name), givenLimitOf(quota, quotaRules, batch.model), now);
    this.#limits.set(name, limit);
    return limit;
  }

  #wait(what: WaitingFor, batches: readonly BatchRecord[]): void {
    const { waitingFor, backlog } = this.#decisions;
    waitingFor.set(what, (waitingFor.get(what) ?? 0) + batches.length);
    // None waits for room, so no batch waits behind them.
    if (what === 'time' || what === 'release' || what === PAUSED) return;
    for (const batch of batches) backlog.add(backlogScopeOf(batch, what));
  }

  #leave(queues: readonly Queue[], what: WaitingFor): void {
    for (const { batches } of queues) if (batches.length > 0) this.#wait(what, batches.splice(0));
  }
}

/**
 * Slices of a model in a background window that are open at a time. They wait for hours and mostly need no worker, so the
 * limit of slices that are being called is not theirs: 50,000 requests, as many as a batch may have.
 */
const OPEN_WINDOW_SLICES = 100;

/** How many slices of the model and tier of `batch` may be on their way. */
function slicesAtATime(batch: BatchRecord, { concurrentSlices }: QuotaSettings): number {
  return isWindowTier(tierOf(batch)) ? OPEN_WINDOW_SLICES : concurrentSlices;
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
 * Whether a batch has to be cut again, or to fail. A single request above the limit that the provider reported is sent
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
