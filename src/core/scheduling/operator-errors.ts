/** Errors that only a person can mend, wherever they show: what they stop is parked, and let go again by proof. */

import {
  ApiKeyMissingError,
  ApiKeyUnknownError,
  KEY_REPLACED,
  RefusedError,
  UploadRefusedError,
} from '../base/errors.ts';
import { apiKeyOf, type BatchRecord } from '../model/batch.ts';
import type { ParkProof } from '../model/park.ts';
import type { OperatorScope } from '../model/verdict.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { ErrorRules } from '../ports/provider-rules.ts';
import type { ParkStore } from '../ports/quota.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { parkScope, parkScopesOf } from './scopes.ts';

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

/**
 * What a failed upload or create says of the key or the model; `undefined` if nothing, so that it is tried again as it is.
 * By OpenAI's code first. Without a known one: 401 is about the key, which may have been replaced meanwhile; 403 and 404 are about the model, which a create names
 * by its file and an upload does not. (A model that is parked in place of the key holds up nobody else.)
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

interface ParkDeps {
  parks: Pick<ParkStore, 'getParks' | 'park' | 'unpark'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/**
 * Nothing more is sent into it, except for probes, until `provenBy` shows that it is over. To be done before the batch
 * waits again, or it would be admitted at once.
 */
export async function parkFor(
  deps: ParkDeps,
  batch: BatchRecord,
  { scope, code }: OperatorError,
  provenBy: ParkProof,
): Promise<void> {
  const { jobId, batchId, model } = batch;
  const name = scope === 'key' ? parkScope(apiKeyOf(batch)) : parkScope(apiKeyOf(batch), model);
  await deps.parks.park(name, code, provenBy, deps.ambient.now());
  deps.telemetry.record('suspension.started', {
    jobId,
    batchId,
    scope: name,
    code,
  });
}

/** What `batch` has got through is not out of order any more. */
export async function unparkFor(
  deps: Omit<ParkDeps, 'telemetry'>,
  batch: BatchRecord,
  proof: ParkProof,
): Promise<void> {
  const scopes = new Set(parkScopesOf(batch));
  for (const { scope } of await deps.parks.getParks(apiKeyOf(batch)))
    if (scopes.has(scope)) await deps.parks.unpark(scope, proof, deps.ambient.now());
}
