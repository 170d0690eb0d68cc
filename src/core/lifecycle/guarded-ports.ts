import type { Erasure, ObjectStore, ObjectWriter } from '../ports/objects.ts';
import type { JobEvents } from '../ports/outbox.ts';
import type { BatchService } from '../ports/provider.ts';
import type { JobGraves } from '../ports/records.ts';
import type { Lease } from './lease.ts';

/** Those of a step's ports that are guarded. */
export interface GuardedPorts {
  objects?: Partial<ObjectStore>;
  batches?: Partial<BatchService> | { withKey(name: string): Partial<BatchService> };
  events?: JobEvents;
  erasure?: Erasure;
  graves?: JobGraves;
}

const OBJECT_EFFECTS = ['put', 'pin', 'remove'] as const satisfies (keyof ObjectStore)[];
const WRITER_EFFECTS = ['close', 'suspend'] as const satisfies (keyof ObjectWriter)[];
const BATCH_EFFECTS = [
  'uploadFile',
  'createBatch',
  'cancelBatch',
  'deleteFile',
] as const satisfies (keyof BatchService)[];
const ERASURE_EFFECTS = ['eraseVersions', 'eraseBelow'] as const satisfies (keyof Erasure)[];
const GRAVE_EFFECTS = ['bury', 'forgetPublication', 'forgetLatest'] as const satisfies (keyof JobGraves)[];
const EVENT_EFFECTS = ['completed'] as const satisfies (keyof JobEvents)[];

/** The same dependencies; side effects throw {@link LeaseLostError} once the lease is lost. */
export function guardPorts<Deps extends GuardedPorts>(deps: Deps, lease: Lease): Deps {
  const { objects, batches, events, erasure, graves } = deps;
  return {
    ...deps,
    ...(objects === undefined ? {} : { objects: guardObjects(objects, lease) }),
    ...(batches === undefined ? {} : { batches: guardBatches(batches, lease) }),
    ...(events === undefined ? {} : { events: guard(events, EVENT_EFFECTS, lease) }),
    ...(erasure === undefined ? {} : { erasure: guard(erasure, ERASURE_EFFECTS, lease) }),
    ...(graves === undefined ? {} : { graves: guard(graves, GRAVE_EFFECTS, lease) }),
  };
}

function guardObjects<Objects extends Partial<ObjectStore>>(objects: Objects, lease: Lease): Objects {
  const openWrite: ObjectStore['openWrite'] = (...parameters) =>
    guard(objects.openWrite!(...parameters), WRITER_EFFECTS, lease);
  return guard(objects, OBJECT_EFFECTS, lease, { openWrite });
}

function guardBatches(batches: object, lease: Lease): object {
  if (!('withKey' in batches)) return guard(batches, BATCH_EFFECTS, lease);
  const withKey = (...parameters: unknown[]): object =>
    guardBatches((batches.withKey as (...of: unknown[]) => object)(...parameters), lease);
  return guard(batches, BATCH_EFFECTS, lease, { withKey });
}

/** @param replaced methods that are given in place of the port's own. */
function guard<Port extends object>(
  port: Port,
  effects: readonly string[],
  lease: Lease,
  replaced: Readonly<Record<string, unknown>> = {},
): Port {
  return new Proxy(port, {
    get(target, name) {
      const own = Reflect.get(target, name) as unknown;
      if (typeof own !== 'function') return own;
      if (typeof name === 'string' && replaced[name] !== undefined) return replaced[name];
      if (!effects.includes(name as string)) return own.bind(target);
      return async (...parameters: unknown[]) => {
        lease.check();
        return own.apply(target, parameters) as unknown;
      };
    },
  });
}
