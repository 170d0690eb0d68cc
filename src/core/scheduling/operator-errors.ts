/** Errors that only a person can fix, wherever they show: what they stop is suspended until a proof lifts it. */

import {
  ApiKeyMissingError,
  ApiKeyUnknownError,
  KEY_REPLACED,
  RefusedError,
  UploadRefusedError,
} from '../base/errors.ts';
import { serviceCode } from '../base/own-text.ts';
import { apiKeyOf, type BatchRecord } from '../model/batch.ts';
import type { Suspension, SuspensionProof } from '../model/suspension.ts';
import type { OperatorScope } from '../model/verdict.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { ErrorRules } from '../ports/provider-rules.ts';
import type { SuspensionStore } from '../ports/quota.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { isModelScope, suspensionScope, suspensionScopesOf } from './scopes.ts';

/** What an error stops, and why. */
export interface OperatorError {
  scope: OperatorScope;
  /** OpenAI's code, or ours. */
  code: string;
}

/** Our codes for a secret that holds no key, and for a key that the deployment has no secret for (any more). */
const API_KEY_MISSING = 'api_key_missing';
const API_KEY_UNKNOWN = 'api_key_unknown';
/** Our code for an account that has no room for files; OpenAI gives none. */
const STORAGE_FULL = 'storage_quota_exceeded';
/** Our own codes of what a person must fix; all others are the provider's. */
export type OperatorCode = typeof API_KEY_MISSING | typeof API_KEY_UNKNOWN | typeof STORAGE_FULL;

/**
 * What a failed upload or create says of the key or the model; `undefined` if nothing, so that it is tried again as
 * it is. By OpenAI's code first. Without a known one: 401 is about the key, which may have been replaced meanwhile;
 * 403 and 404 are about the model, which a create names by its file and an upload does not. (A model that is
 * suspended in place of the key holds up no other batch.)
 */
export function operatorErrorOf(rules: ErrorRules, error: unknown): OperatorError | undefined {
  if (error instanceof ApiKeyUnknownError) return { scope: 'key', code: API_KEY_UNKNOWN };
  if (error instanceof ApiKeyMissingError) return { scope: 'key', code: API_KEY_MISSING };
  if (!(error instanceof RefusedError)) return undefined;
  if (error.topic === 'storage_full') return { scope: 'key', code: STORAGE_FULL };
  const { status } = error;
  const code = error.code ?? `http_${status}`;
  const scope = rules.operatorScopeOf(code);
  if (scope !== undefined) return { scope, code };
  if (status === 401) return code === KEY_REPLACED ? undefined : { scope: 'key', code };
  if (status !== 403 && status !== 404) return undefined;
  return { scope: error instanceof UploadRefusedError ? 'key' : 'model', code };
}

/** What a person has to set right. */
export type SuspensionKind = 'key' | 'quota' | 'billing' | 'model';

/** By the scope of a suspension and the code that it was suspended for. */
export function suspensionKindOf(
  rules: Pick<ErrorRules, 'accountProblemOf'>,
  { scope, reason }: Pick<Suspension, 'scope' | 'reason'>,
): SuspensionKind {
  if (isModelScope(scope)) return 'model';
  return reason === STORAGE_FULL ? 'quota' : (rules.accountProblemOf(reason) ?? 'key');
}

interface SuspensionDeps {
  suspensions: Pick<SuspensionStore, 'getSuspensions' | 'suspend' | 'lift'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/**
 * Nothing more is sent into it, except for probes, until `provenBy` shows that it is over. To be done before the batch
 * waits again, or it would be admitted at once.
 */
export async function suspendFor(
  deps: SuspensionDeps,
  batch: BatchRecord,
  { scope, code }: OperatorError,
  provenBy: SuspensionProof,
): Promise<void> {
  const { jobId, batchId, model } = batch;
  const name = scope === 'key' ? suspensionScope(apiKeyOf(batch)) : suspensionScope(apiKeyOf(batch), model);
  await deps.suspensions.suspend(name, code, provenBy, deps.ambient.now());
  deps.telemetry.record('suspension.started', {
    jobId,
    batchId,
    scope: name,
    code: serviceCode(code),
  });
}

/** What `batch` has got through is not out of order any more. */
export async function liftSuspensionsFor(
  deps: Omit<SuspensionDeps, 'telemetry'>,
  batch: BatchRecord,
  proof: SuspensionProof,
): Promise<void> {
  const scopes = new Set(suspensionScopesOf(batch));
  for (const { scope } of await deps.suspensions.getSuspensions(apiKeyOf(batch)))
    if (scopes.has(scope)) await deps.suspensions.lift(scope, proof, deps.ambient.now());
}
