/** Reads who owns which prefix of the bucket, and claims what the stack needs and may have, by conditional write. */

import { OWNERS_KEY, ownersSchema, type PrefixOwner } from '../../contract/prefix-owners.ts';
import { problemsOf } from '../../contract/problems.ts';
import type { Settings } from '../../contract/settings.ts';
import { BatchdropError, CorruptWorkFileError } from '../base/errors.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { OwnersStore } from '../ports/objects.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { claimFor, prefixesOfRoute, type StackIdentity } from './owners.ts';

/** What it takes to claim prefixes. */
export interface ClaimPrefixesDeps extends StackIdentity {
  settings: Pick<Settings, 'layout' | 'routes' | 'takeOver'>;
  owners: OwnersStore;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Each write that was in vain is one of another stack; there are few, and each writes once. */
const MAX_WRITES = 10;

/**
 * The owners as they are now, with what this stack could claim. Safe to repeat and to be interrupted anywhere.
 * Nothing of it may be kept for a later object: another stack may have taken over.
 * @throws {CorruptWorkFileError} if the object is not what batchdrop writes; nothing may be run then.
 */
export async function claimPrefixes(deps: ClaimPrefixesDeps): Promise<PrefixOwner[]> {
  const { stackId, stackName, settings } = deps;
  const claimant = {
    stackId,
    stackName,
    prefixes: [...new Set(settings.routes.flatMap((route) => prefixesOfRoute(settings, route)))],
    takeOver: settings.takeOver,
  };
  for (let writes = 0; writes < MAX_WRITES; writes++) {
    const current = await deps.owners.readOwners();
    const { owners, claimed } = claimFor(
      claimant,
      current === undefined ? [] : parseOwners(current.body),
      deps.ambient.now(),
    );
    if (claimed.length === 0) return owners;
    const body = `${JSON.stringify({ v: 1, owners }, null, 2)}\n`;
    if (!(await deps.owners.writeOwners(body, current?.etag))) continue;
    for (const { prefix, since, before } of claimed) {
      const from = before?.at(-1)?.stackName;
      if (from === undefined) deps.telemetry.record('prefix.claimed', { prefix, since });
      else deps.telemetry.record('prefix.transferred', { prefix, since, from });
    }
    return owners;
  }
  throw new BatchdropError(
    `${OWNERS_KEY} was changed by other stacks ${MAX_WRITES} times in a row while this one claimed its prefixes; it tries again`,
  );
}

function parseOwners(body: string): PrefixOwner[] {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    json = undefined;
  }
  const parsed = ownersSchema.safeParse(json);
  if (parsed.success) return parsed.data.owners;

  throw new CorruptWorkFileError(
    `${OWNERS_KEY} does not say which stack owns which prefix (${problemsOf(parsed.error).join('; ')}). No new file is run until it does: ` +
      'put back the version before, or remove it if one stack alone uses the bucket.',
  );
}
