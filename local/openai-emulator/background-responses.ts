import { refusal } from './api-error.ts';
import { checkBackground } from './background-checks.ts';
import {
  hasEnded,
  isFound,
  type ResponseRecord,
  responseFault,
  responseShown,
  retentionMs,
} from './background-lifecycle.ts';
import { type BackgroundDeps, BackgroundProgress } from './background-progress.ts';
import { checkMetadata } from './batch-validation.ts';
import type { EffectOf } from './effects.ts';
import type { Body } from './exchange.ts';
import { oneAtATime } from './one-at-a-time.ts';

/** What a create came to: the object, and what a fault makes of the answer. */
export type Created = {
  shown: Body;
  fault: EffectOf<'response'> | undefined;
};

/** Background responses. Every method first brings all of them up to the clock; errors are ApiErrors. */
export type BackgroundResponses = {
  create(body: Body, project: string, customId: string | null): Promise<Created>;
  retrieve(id: string, project: string): Promise<Body>;
  cancel(id: string, project: string): Promise<Body>;
  remove(id: string, project: string): Promise<Body>;
  /** Does everything that is due at the clock's present. */
  settle(): Promise<void>;
  /** Stops what runs upstream. */
  close(): Promise<void>;
};

/** The background part of the Responses API over the store. State is brought up to the clock at each call. */
export function createBackgroundResponses(deps: BackgroundDeps): BackgroundResponses {
  const progress = new BackgroundProgress(deps);
  const { settled, idle } = oneAtATime(() => progress.settle());
  const find = (id: string, project: string): ResponseRecord => {
    const record = deps.store.responses.get(id);
    if (record?.project === project && isFound(record, deps.clock.now())) return record;
    throw refusal(404, `Response with id '${id}' not found.`);
  };
  return {
    create: (body, project, customId) => settled(() => create(deps, progress, { body, project, customId })),
    retrieve: (id, project) => settled(() => responseShown(find(id, project))),
    cancel: (id, project) =>
      settled(async () => {
        const record = find(id, project);
        // "Cancelling twice is idempotent - subsequent calls simply return the final Response object" (guide).
        if (!hasEnded(record)) await progress.cancel(record);
        return responseShown(deps.store.responses.get(id)!);
      }),
    remove: (id, project) =>
      settled(() => {
        progress.remove(find(id, project));
        return { id, object: 'response', deleted: true };
      }),
    settle: () => settled(() => {}),
    close: async () => {
      await idle();
      await progress.close();
    },
  };
}

/** @throws ApiError 400 or 404, when nothing was made */
function create(
  { store, clock, faults, isStrict, settings }: BackgroundDeps,
  progress: BackgroundProgress,
  { body, project, customId }: { body: Body; project: string; customId: string | null },
): Created {
  const now = clock.now();
  const window = checkBackground(body, now, isStrict);
  const metadata = checkMetadata(body.metadata);
  const model = String(body.model);
  const ordinal = store.responses.size + 1;
  const subject = { response: ordinal, custom_id: customId, model, metadata, window };
  const effects = faults.fire('response', subject);
  const record: ResponseRecord = {
    id: store.ids.response(),
    ordinal,
    project,
    customId,
    body,
    model,
    metadata,
    window,
    status: 'queued',
    createdAtMs: now,
    inProgressAtMs: null,
    endedAtMs: null,
    retentionMs: retentionMs(body, project, settings),
    answer: null,
    execution: null,
    isDeleted: false,
    faults: effects,
  };
  const refused = responseFault(record, 'response.refuse');
  if (refused !== undefined) return { shown: {}, fault: refused };
  progress.add(record);
  return { shown: responseShown(record), fault: responseFault(record, 'response.lose_create') };
}
