/**
 * Answers a drop that is not run and that has no receipt: in the log, in the list of `batchdrop jobs --ignored`, and by
 * an event, as far as the settings say (`ignoredDrops`).
 */

import { type ObjectLocation, PREFIX_OWNED, type Unanswered } from '../../contract/messages.ts';
import { OPTIONS_SUFFIX } from '../../contract/options.ts';
import type { Settings } from '../../contract/settings.ts';
import { defined } from '../base/defined.ts';
import { ObjectUnreadableError } from '../base/errors.ts';
import { ignoredText } from '../model/ignored-drop.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { IgnoredDropStore } from '../ports/ignored-drops.ts';
import type { ObjectStore } from '../ports/objects.ts';
import type { DropEvents } from '../ports/outbox.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { whyIgnored } from '../requests/route.ts';
import { findLateSidecar } from '../requests/sidecar.ts';

/** What it takes to answer. */
export interface IgnoredDeps {
  stackId: string;
  settings: Pick<Settings, 'routes' | 'inputs'>;
  objects: Pick<ObjectStore, 'head'>;
  ignoredDrops: Pick<IgnoredDropStore, 'note'>;
  events: DropEvents;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Reports an object that no route takes. */
export async function reportIgnored(deps: IgnoredDeps, location: ObjectLocation): Promise<void> {
  const { why, route } = whyIgnored(deps.settings, location.key);
  const reason = why === 'options' && (await areLateOptions(deps.objects, location)) ? 'late_options' : why;
  deps.telemetry.record('object.ignored', { key: location.key, why: reason, route });
  // Consoles make folders, and options are read with their file: nobody waits for an answer.
  if (reason === 'folder' || reason === 'options') return;
  await answerIgnored(deps, location, reason, route);
}

/**
 * Tells of a drop outside of the log. The event goes first: a worker that dies between the two does both again, so that
 * it comes at least once.
 * @param route name of the route that the key lies below, if any.
 */
export async function answerIgnored(
  { stackId, settings, ignoredDrops, events, ambient }: Omit<IgnoredDeps, 'objects' | 'telemetry'>,
  { bucket, key, versionId }: ObjectLocation,
  why: Unanswered,
  route: string | undefined,
): Promise<void> {
  const own = settings.routes.find(({ name }) => name === route)?.ignoredDrops;
  const answer = own ?? settings.inputs.ignoredDrops;
  if (answer === 'off') return;
  // Another stack's file has a JobCompleted event already.
  if (answer === 'event' && why !== PREFIX_OWNED) {
    const message = ignoredText(why, route);
    await events.ignored(defined({ v: 1, stackId, bucket, key, versionId, why, route, message }));
  }
  await ignoredDrops.note(defined({ v: 1, key, why, route, at: ambient.now() }));
}

/** Whether options lie beside a file that was put before them. Where S3 does not say so, nothing is claimed. */
async function areLateOptions(
  objects: Pick<ObjectStore, 'head'>,
  { bucket, key }: ObjectLocation,
): Promise<boolean> {
  try {
    const file = await objects.head(bucket, key.slice(0, -OPTIONS_SUFFIX.length));
    return file !== undefined && (await findLateSidecar(objects, file)) !== undefined;
  } catch (error) {
    if (error instanceof ObjectUnreadableError) return false;
    throw error;
  }
}
